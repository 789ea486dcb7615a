"""The RetinaFace detector: the compiled runtime against PyTorch, in turns in one process.

    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.faces [--rounds 5] [--json]

Weights are random: times do not depend on them. PyTorch runs the published form (convolutions, batch norms
and activations one by one, fp32), once in its usual layout and once in channels_last; the ratio is to the
faster of the two. Times are medians, with the least and the most beside them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks import machine
from e4s_engine import ops, weights
from e4s_engine.backends.native import Native
from e4s_engine.networks.retinaface import decode
from e4s_engine.networks.retinaface.config import DetectorConfig
from e4s_engine.networks.retinaface.heads import heads, size_within
from e4s_engine.testing.loaded import loaded

SIZES = ((480, 640), (1080, 1920), (1500, 1500))  # the second is searched at 562 x 1000, as published


def runners(pixels: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Return functions that compute the heads of a photo uint8 [1,H,W,3], by name."""
    model = weights.random_model(DetectorConfig())
    native = loaded(Native("fp32"), model)
    plain = {name: torch.from_numpy(tensor) for name, tensor in model.tensors.items()}
    last = {
        name: tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
        for name, tensor in plain.items()
    }
    image = torch.from_numpy(pixels)

    def reference(tensors: dict[str, Any]) -> Any:
        with torch.inference_mode():
            return heads(ops.reference, image, tensors, model.config)

    return {
        "native": lambda: native.run("retinaface", "detect", pixels),
        "torch": lambda: reference(plain),
        "torch channels_last": lambda: reference(last),
    }


def measure(height: int, width: int, rounds: int) -> dict[str, Any]:
    """Time every form at a size of photo, in turns."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    timed: dict[str, list[float]] = {}
    forms = runners(pixels)
    for number in range(rounds + 1):
        for name, run in forms.items():
            start = time.perf_counter()
            run()
            if number:  # the first round warms up
                timed.setdefault(name, []).append(time.perf_counter() - start)
    raw = forms["native"]()[0]
    start = time.perf_counter()
    decode.decode(raw, height, width)
    decoding = time.perf_counter() - start
    medians = {name: statistics.median(seconds) for name, seconds in timed.items()}
    return {
        "photo": f"{width} x {height}",
        "searched": " x ".join(map(str, size_within(height, width)[::-1])),
        "seconds": {n: {"median": medians[n], "min": min(s), "max": max(s)} for n, s in timed.items()},
        "decode": decoding,
        "ratio": min(medians["torch"], medians["torch channels_last"]) / medians["native"],
    }


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    options = parser.parse_args()
    results = []
    for height, width in SIZES:
        result = measure(height, width, options.rounds)
        results.append(result)
        print(f"{result['photo']}, searched at {result['searched']}:")
        for name, times in result["seconds"].items():
            print(f"  {name:<20}{times['median']:7.3f} s  ({times['min']:.3f} to {times['max']:.3f})")
        print(f"  {'decoding':<20}{result['decode']:7.3f} s\n  {result['ratio']:.2f} x as fast as PyTorch")
    print(machine.describe())
    if options.json:
        print(json.dumps({"machine": machine.describe(), "results": results}))


if __name__ == "__main__":
    main()
