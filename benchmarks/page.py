"""Seconds from a slider to the picture in `e4s ui`: requests of its page to its server, over loopback.

    python -m benchmarks.page [weights] [repeats] [parser]

prints one JSON object: medians and the spread of 80% of the requests, both faces cached. Times end when the
picture has arrived; `swap_seconds` is the engine's part of it.
"""

from __future__ import annotations

import http.client
import json
import statistics
import sys
import threading
import time
import warnings
from typing import Any

from benchmarks import machine
from e4s_engine.engine import Engine
from e4s_engine.errors import DemoModelWarning
from e4s_engine.ui import running

CASES: dict[str, list[str] | None] = {"eyes": ["eyes"], "nose and lips": ["nose", "lips"], "whole face": None}


class Visitor:
    """A visitor of the page, with a cookie."""

    def __init__(self, port: int) -> None:
        self._connection, self._cookie = http.client.HTTPConnection("127.0.0.1", port), ""

    def post(self, path: str, body: Any) -> tuple[bytes, str]:
        """Return an answer and its Server-Timing."""
        headers = {"Content-Type": "application/json", "Cookie": self._cookie}
        self._connection.request("POST", path, json.dumps(body), headers)
        answer = self._connection.getresponse()
        data = answer.read()
        assert answer.status == 200, data
        self._cookie = (answer.getheader("set-cookie") or self._cookie).partition(";")[0]
        return data, answer.getheader("server-timing") or ""


def measure(port: int, repeat: int) -> dict[str, Any]:
    """Move the extent's slider `repeat` times for every case, the cases in turn."""
    visitor = Visitor(port)
    target, source = (json.loads(visitor.post("/api/rendered", {"seed": seed})[0])["id"] for seed in (1, 0))
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
    for i in range(repeat + 2):
        for name, regions in CASES.items():
            people = [{"photo": source, "regions": regions}]
            body = {"target": target, "sources": people, "options": {"extent": 0.5 + i / (4 * repeat + 8)}}
            start = time.perf_counter()
            timing = visitor.post("/api/swap", body)[1]
            seconds = time.perf_counter() - start
            if i >= 2:  # the first ones fill caches
                swap = float(timing.partition("dur=")[2].partition(",")[0]) / 1000
                times[name].append((seconds, swap))
    return {name: _summary(measured) for name, measured in times.items()}


def _summary(measured: list[tuple[float, float]]) -> dict[str, float]:
    seconds = [total for total, _ in measured]
    tenths = statistics.quantiles(seconds, n=10)
    swap = statistics.median(swap for _, swap in measured)
    figures = {
        "seconds": statistics.median(seconds),
        "low": tenths[0],
        "high": tenths[-1],
        "swap_seconds": swap,
    }
    return {name: round(value, 4) for name, value in figures.items()}


def main() -> None:
    """Serve the page on a free port in a thread, and measure."""
    weights = sys.argv[1] if len(sys.argv) > 1 else None
    repeat = int(sys.argv[2]) if len(sys.argv) > 2 else 40
    parser = sys.argv[3] if len(sys.argv) > 3 else "auto"
    warnings.simplefilter("ignore", DemoModelWarning)
    with running.opened("127.0.0.1", 0) as listening, Engine(weights, parser=parser) as engine:
        server = running.server(engine)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        figures = measure(listening.getsockname()[1], repeat)
        server.should_exit = True
        thread.join()
        facts = {"model": engine.config.size, "precision": engine.precision, **machine.describe()}
    print(json.dumps({**figures, **facts}))


if __name__ == "__main__":
    main()
