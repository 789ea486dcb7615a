"""The page's server in a thread, and a client that keeps a cookie as a browser does."""

from __future__ import annotations

import base64
import contextlib
import http.client
import io
import json
import threading
import time

import numpy as np
from PIL import Image

ENDING = 60  # seconds that the server may take to start or to end


@contextlib.contextmanager
def served(engine, **more):
    """Serve the page of an engine on a free port; yield the port."""
    from e4s_engine.ui import running

    listening = running.opened("127.0.0.1", 0)
    server = running.server(engine, **more)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    end = time.monotonic() + ENDING
    while not server.started and time.monotonic() < end:
        time.sleep(0.02)
    assert server.started
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(ENDING)
        listening.close()
        assert not thread.is_alive()


class Client:
    """A visitor. Answers are (status, body); the last answer's headers are in `headers`."""

    def __init__(self, port):
        self.port, self.cookie, self.headers = port, None, {}

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookie:
            headers["Cookie"] = self.cookie
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        data, self.headers = answer.read(), {k.lower(): v for k, v in answer.getheaders()}
        connection.close()
        if "set-cookie" in self.headers:
            self.cookie = self.headers["set-cookie"].partition(";")[0]
        return answer.status, data

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    def post(self, path, body, **headers):
        return self.ask("POST", path, json.dumps(body), **{"Content_Type": "application/json", **headers})

    def add(self, pixels, role="photo"):
        """Upload pixels, or a file's bytes; return what the server says of the photo."""
        data = pixels if isinstance(pixels, bytes) else png(pixels)
        status, answer = self.ask("POST", f"/api/photos?as={role}", data)
        assert status == 200, answer
        return json.loads(answer)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def base64_png(labels):
    return base64.b64encode(png(labels)).decode()


def pixels(data):
    with Image.open(io.BytesIO(data)) as picture:
        return np.array(picture)
