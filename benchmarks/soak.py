"""Soak test: swaps of mixed batch sizes from several threads at once.

Results must be bit-identical to those of one thread, and memory must not grow.

    python -m benchmarks.soak                                        a small model
    python -m benchmarks.soak --weights e4s.safetensors --swaps 500  the official size: an hour on two cores
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import threading
from pathlib import Path

import numpy as np

from e4s_engine import weights
from e4s_engine.backends import Backend, Bytes, Floats
from e4s_engine.backends.native import Native
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.pipeline import compose
from e4s_engine.testing.loaded import loaded
from e4s_engine.testing.portraits import portrait

BATCHES = (1, 2, 3, 4)
SMALL = ModelConfig(
    size=32, channels=(32, 32, 16, 16), latents=8, latent_dim=32, injected=5, mlp_hidden=32, stem=16,
    stages=((16, 1), (32, 2), (48, 1), (32, 1)), encoder_size=64,
)  # fmt: skip


@dataclasses.dataclass
class Report:
    """Result of a soak test. grown_mb: memory growth over the second half of the swaps; None if unknown."""

    swaps: int
    wrong: int
    grown_mb: float | None


def soak(backend: Backend, images: Bytes, labels: Bytes, swaps: int, threads: int) -> Report:
    """Swap images [4,H,W,3] with labels [4,512,512] among each other, each with its neighbour as source."""
    expected = {batch: _swap(backend, images[:batch], labels[:batch]) for batch in BATCHES}
    lock = threading.Lock()
    done = wrong = 0
    half: float | None = None

    def work() -> None:
        nonlocal done, wrong, half
        while True:
            with lock:
                if done >= swaps:
                    return
                batch = BATCHES[done % len(BATCHES)]
                done += 1
                if half is None and done > swaps // 2:
                    half = _resident_mb()
            faces = _swap(backend, images[:batch], labels[:batch])
            if not np.array_equal(faces, expected[batch]):
                with lock:
                    wrong += 1

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    now = _resident_mb()
    return Report(swaps, wrong, None if now is None or half is None else now - half)


def _swap(backend: Backend, images: Bytes, labels: Bytes) -> Floats:
    """Swap a batch, with each picture as a target and the one before it as its source."""
    styles = backend.run("rgi", "encode", images, labels)
    mixed = np.stack([compose.whole_face_styles(styles[i - 1], styles[i]) for i in range(len(styles))])
    return backend.run("rgi", "decode", mixed, labels)


def _resident_mb() -> float | None:
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def main() -> int:
    """Print the report; return 1 if a result differed."""
    parser = argparse.ArgumentParser(description="Swap from several threads at once, and compare.")
    parser.add_argument("--weights", help="default: random weights of a small size")
    parser.add_argument("--swaps", type=int, default=500)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--precision", default="auto")
    arguments = parser.parse_args()
    model = weights.open_model(arguments.weights, "rgi") if arguments.weights else weights.random_model(SMALL)
    people = [portrait(seed) for seed in range(max(BATCHES))]
    images, labels = (np.stack([person[i] for person in people]) for i in (0, 1))
    backend = loaded(Native(arguments.precision), model)
    report = soak(backend, images, labels, arguments.swaps, arguments.threads)
    print(json.dumps({**dataclasses.asdict(report), "precision": backend.precision, "isa": backend.isa}))
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
