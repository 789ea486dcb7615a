"""The service under load: many clients, slow and vanishing ones, a kill and a restart.

    python -m benchmarks.serve_load [--requests 1000] [--clients 16] [--weights W] [--json]

Every answer must be right: a swap whose bytes are the engine's, or a refusal that the service promises.
"""

from __future__ import annotations

import argparse
import io
import json
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import machine
from e4s_engine import synth
from e4s_engine.engine import Engine
from e4s_engine.photo import images

REGIONS = ("eyes", "nose", "lips", "hair", "eyebrows", "skin")
BOUNDARY = "load"
SIDE = 256
_NEAR = 2  # grey levels by which a batch may differ from a swap alone


def main() -> None:
    arguments = _arguments()
    people = [_png(seed) for seed in (12, 7, 4, 5)]
    pairs = [(a, b, region) for a in people[:2] for b in people[2:] for region in REGIONS]
    with Engine(arguments.weights, landmarks=None) as engine:
        wanted = [engine.swap(a, b, region, align=False).image for a, b, region in pairs]
    service = _Service(arguments)
    nuisance = threading.Event()
    nuisances = [
        threading.Thread(target=_nuisance, args=(service, kind, nuisance))
        for kind in ("slow", "gone", "torn")
    ]
    for thread in nuisances:
        thread.start()
    steady = _round(service, arguments, pairs, wanted, arguments.requests)
    nuisance.set()
    for thread in nuisances:
        thread.join()
    memory = service.memory()
    metrics = _metrics(service)
    killed = _killed(service, arguments, pairs, wanted)
    code = service.end(signal.SIGTERM)
    report = {
        "machine": machine.describe(),
        "steady": steady,
        "peak_mb": memory,
        "after": metrics,
        "killed_and_restarted": killed,
        "exit_code": code,
    }
    print(json.dumps(report, indent=None if arguments.json else 2))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--queue", type=int, default=16)
    parser.add_argument("--weights")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _png(seed: int) -> bytes:
    buffer = io.BytesIO()
    picture = synth.render(synth.person(seed), synth.scene(seed), SIDE, 2).image
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


class _Service:
    """A service of its own process, on one port for good."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        weights = ["--weights", arguments.weights] if arguments.weights else []
        limits = ["--queue", str(arguments.queue), "--upload-seconds", "5"]
        command = [sys.executable, "-m", "e4s_engine.cli", "serve", "--port", str(self.port)]
        self._command = [*command, "--landmarks", "none", *weights, *limits]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=5).close()
                return
            except OSError:
                assert time.monotonic() < end, "the service did not start"
                time.sleep(0.05)

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(90)

    def memory(self) -> float | None:
        """Return the highest memory of the process in MB, where the system tells."""
        status = Path(f"/proc/{self.process.pid}/status")
        if not status.exists():
            return None
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return round(int(line.split()[1]) / 1024, 1)

    def head(self, length: int) -> bytes:
        lines = (
            "POST /v1/swap HTTP/1.1", "Host: load", f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
            f"Content-Length: {length}", "", "",
        )  # fmt: skip
        return "\r\n".join(lines).encode()


def _form(source: bytes, target: bytes, region: str) -> bytes:
    fields = {"source": source, "target": target, "regions": region.encode(), "align": b"false"}
    parts = b""
    for name, value in fields.items():
        file = '; filename="x.png"' if name in ("source", "target") else ""
        parts += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        parts += value + b"\r\n"
    return parts + f"--{BOUNDARY}--\r\n".encode()


def _send(service: _Service, body: bytes) -> tuple[int, bytes]:
    """Send a swap; return status and body, 0 for a connection that broke."""
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    request = urllib.request.Request(f"http://127.0.0.1:{service.port}/v1/swap", body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            assert error.code != 503 or int(error.headers["Retry-After"]) > 0
            return error.code, error.read()
    except (OSError, ConnectionError):
        return 0, b""


def _round(
    service: _Service, arguments: argparse.Namespace, pairs: list[Any], wanted: list[Any], requests: int
) -> dict[str, Any]:
    """Send swaps from all clients; those that are refused try again. Returns what came back."""
    bodies = [_form(*pair) for pair in pairs]
    seconds: list[float] = []
    statuses: Counter[int] = Counter()

    def one(number: int) -> None:
        place = number % len(pairs)
        while True:
            start = time.perf_counter()
            status, body = _send(service, bodies[place])
            statuses[status] += 1
            if status == 200:
                break
            assert status in (0, 503, 504), (status, body)
            time.sleep(0.2)
        seconds.append(time.perf_counter() - start)
        worst = np.abs(images.read(body).astype(int) - wanted[place]).max()
        assert worst <= _NEAR, f"{pairs[place][2]}: off by {worst}"
        if len(seconds) % 100 == 0:
            print(f"{len(seconds)} of {requests} done, {dict(statuses)}", file=sys.stderr)

    start = time.perf_counter()
    with ThreadPoolExecutor(arguments.clients) as pool:
        list(pool.map(one, range(requests)))
    whole = time.perf_counter() - start
    ordered = sorted(seconds)
    return {
        "requests": requests,
        "clients": arguments.clients,
        "seconds": round(whole, 1),
        "per_second": round(requests / whole, 2),
        "median_s": round(statistics.median(ordered), 3),
        "p95_s": round(ordered[int(0.95 * (len(ordered) - 1))], 3),
        "longest_s": round(ordered[-1], 3),
        "statuses": dict(statuses),
    }


def _nuisance(service: _Service, kind: str, end: threading.Event) -> None:
    """Be a bad client until told: one that dawdles, that leaves after its request, or breaks off in it."""
    body = (
        _form(b"x" * 200_000, b"y" * 200_000, "eyes") if kind == "torn" else _form(_png(9), _png(8), "eyes")
    )
    while not end.is_set():
        try:
            with socket.create_connection(("127.0.0.1", service.port), timeout=30) as connection:
                connection.sendall(service.head(len(body)))
                if kind == "slow":
                    for byte in body[:30]:
                        connection.sendall(bytes([byte]))
                        if end.wait(0.3):
                            return
                elif kind == "gone":
                    connection.sendall(body)
                    end.wait(0.5)
                else:
                    connection.sendall(body[: len(body) // 2])
                    end.wait(0.05)
        except OSError:
            end.wait(0.1)


def _metrics(service: _Service) -> dict[str, float]:
    """Return what the service says of itself once nobody calls any more."""
    end = time.monotonic() + 30
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/metrics", timeout=30) as answer:
            lines = [line.rpartition(" ") for line in answer.read().decode().splitlines() if line[0] != "#"]
        samples = {name: float(value) for name, _, value in lines if "_bucket" not in name}
        still = {name: samples[name] for name in ("e4s_waiting", "e4s_running", "e4s_held_bytes")}
        if not any(still.values()) or time.monotonic() > end:
            counts = {name: value for name, value in samples.items() if name.startswith("e4s_requests")}
            return still | counts
        time.sleep(0.2)


def _killed(
    service: _Service, arguments: argparse.Namespace, pairs: list[Any], wanted: list[Any]
) -> dict[str, Any]:
    """Kill the service amid requests and start it again; clients try again and all get their answers."""
    gap: list[float] = []

    def restart() -> None:
        time.sleep(2)
        service.end(signal.SIGKILL)
        start = time.perf_counter()
        service.start()
        gap.append(round(time.perf_counter() - start, 2))

    thread = threading.Thread(target=restart)
    thread.start()
    done = _round(service, arguments, pairs, wanted, max(arguments.requests // 10, 2 * arguments.clients))
    thread.join()
    return done | {"ready_again_s": gap[0]}


if __name__ == "__main__":
    main()
