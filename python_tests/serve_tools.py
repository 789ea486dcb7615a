"""A service on a port of its own, and clients that behave or do not."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import uvicorn

from e4s_engine.photo import images
from e4s_engine.serve import server
from e4s_engine.serve.app import Service
from e4s_engine.serve.keys import Keys
from e4s_engine.serve.limits import Limits

BOUNDARY = "e4s-boundary"
FORM = f"multipart/form-data; boundary={BOUNDARY}"


class Reply(NamedTuple):
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return self.json["error"]["message"]

    @property
    def picture(self) -> np.ndarray:
        return images.read(self.body)


class Client:
    """A client of a service on this machine."""

    def __init__(self, port: int, key: str | None = None) -> None:
        self.port, self.key = port, key

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Send one request on a connection of its own. body: bytes, or an iterable of them (chunked)."""
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            reply = connection.getresponse()
            return Reply(reply.status, reply.headers, reply.read())
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        return self.send("GET", path)

    def form(self, path: str, fields: dict[str, Any], **headers: str) -> Reply:
        """Send a form: bytes as files, all else as text, a list as several fields of one name."""
        return self.send("POST", path, form_of(fields), Content_Type=FORM, **headers)

    def json(self, path: str, fields: Any, accept: str = "application/json") -> Reply:
        """Send JSON, bytes in it as base64."""
        body = json.dumps(fields, default=lambda data: base64.b64encode(data).decode()).encode()
        return self.send("POST", path, body, Content_Type="application/json", Accept=accept)

    def raw(self) -> socket.socket:
        """Return an open connection on which nothing was sent."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)


def form_of(fields: dict[str, Any]) -> bytes:
    """Return the body of a form."""
    parts = []
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            is_file = isinstance(one, bytes)
            head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'
            head += '; filename="ann-secret.png"' if is_file else ""
            parts.append(f"{head}\r\n\r\n".encode() + (one if is_file else str(one).encode()) + b"\r\n")
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


@contextmanager
def running(engine: Any, limits: Limits | None = None, keys: list[str] | None = None) -> Iterator[Any]:
    """Run a service over an engine, or what stands for one; yield a client and the service."""
    listening = server.listen("127.0.0.1", 0)
    service = Service(engine, limits or Limits(), Keys(keys or []))
    runner = uvicorn.Server(server.config(service))
    thread = threading.Thread(target=runner.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Client(listening.getsockname()[1], keys[0] if keys else None), service
    finally:
        runner.should_exit = True
        thread.join(30)
        listening.close()
        service.line.close()
        assert not thread.is_alive()


def until(condition: Any, seconds: float = 10.0) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


class SlowEngine:
    """A stand-in whose `faces` waits until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.calls = 0

    def faces(self, image: bytes) -> list[Any]:
        self.calls += 1
        assert self.go.wait(30)
        return []

    def close(self) -> None:
        self.go.set()
