"""`e4s serve` as a program of its own: wrong usage, and an orderly end."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from e4s_engine import synth
from e4s_engine.engine import Engine
from e4s_engine.photo import images
from e4s_engine.pipeline.loading import BUNDLED

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
from serve_tools import Client, until

COMMAND = [
    sys.executable,
    "-m",
    "e4s_engine.cli",
    "serve",
    "--port",
    "0",
    "--landmarks",
    "none",
    "--device",
    "cpu",
]


def png(seed):
    buffer = io.BytesIO()
    Image.fromarray(synth.render(synth.person(seed), synth.scene(seed), 256, 1).image).save(buffer, "PNG")
    return buffer.getvalue()


def started(*more):
    """Start the service; return it, its client, and the list that its log lines go into."""
    process = subprocess.Popen([*COMMAND, *more], stderr=subprocess.PIPE, text=True)
    lines = []

    def follow():
        lines.extend(json.loads(line) for line in process.stderr)

    threading.Thread(target=follow).start()
    until(lambda: lines or process.poll() is not None, 60)
    assert lines[0]["event"] == "listening" and lines[0]["address"] == "127.0.0.1", lines
    return process, Client(lines[0]["port"]), lines


def test_it_serves_and_ends_in_order_when_told():
    """SIGTERM lets the requests in hand be answered and takes no others; then it can be started again."""
    process, client, lines = started()
    try:
        ann, ben = png(12), png(7)
        fields = {"source": ann, "target": ben, "regions": "eyes", "align": "false"}
        replies = []
        threads = [
            threading.Thread(target=lambda: replies.append(client.form("/v1/swap", fields))) for _ in "abc"
        ]
        for thread in threads:
            thread.start()
        until(lambda: b"e4s_running 2" in client.get("/metrics").body)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert process.wait(30) == 0
        assert [reply.status for reply in replies] == [200] * 3
        with Engine(BUNDLED, device="cpu", landmarks=None) as engine:
            wanted = engine.swap(ann, ben, "eyes", align=False).image
        for reply in replies:
            assert np.abs(images.read(reply.body).astype(int) - wanted).max() <= 1
        with pytest.raises(OSError):
            client.get("/health")
        until(lambda: lines[-1]["event"] == "stopped")
        warned = [line for line in lines if line["logger"] == "py.warnings"]
        assert warned and "rendered faces only" in warned[0]["event"]  # about the bundled model
        assert all(set(line) >= {"time", "level", "logger", "event"} for line in lines)
    finally:
        process.kill()
        process.stderr.close()


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--host", "0.0.0.0"], 2, "--host: 0.0.0.0 can be reached from elsewhere"),
        (["--workers", "0"], 2, "--workers: expected a number from 1"),
        (["--keys", "none"], 2, "--keys: none cannot be read"),
        (["--port", "99999"], 2, "--port: expected a number from 0"),
        (["--weights", "none.safetensors"], 1, "--weights: no such file"),
    ],
)
def test_wrong_usage(fails, flags, code, words):
    assert words in fails("serve", "--port", "0", *flags, model=False, code=code)


def test_a_port_that_is_taken(fails):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "choose another" in fails("serve", "--port", port, model=False, code=1)


def test_missing_packages_are_named(fails, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "uvicorn" else found(name))
    message = fails("serve", model=False, code=2)
    assert "needs uvicorn" in message and "pip install e4s_engine[serve]" in message
