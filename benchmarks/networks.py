"""The networks of the published restoration: the compiled runtime against PyTorch, in turns in one process.

    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.networks [--only gpen] [--rounds 5] [--json]

Weights are random: times do not depend on them. PyTorch runs the published form in fp32, once in its usual
layout and once in channels_last; the ratios are to the faster of the two. A round runs every form once, so
that noise on a shared machine affects all. Times are medians, with the least and the most beside them.
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
from e4s_engine import _native, ops, weights
from e4s_engine.backends.native import Native
from e4s_engine.networks import registry
from e4s_engine.networks.gpen.config import GPENConfig
from e4s_engine.networks.parsenet.config import ParseNetConfig
from e4s_engine.networks.rrdbnet import tiles
from e4s_engine.networks.rrdbnet.config import RRDBConfig
from e4s_engine.testing.loaded import loaded
from e4s_engine.weights import Model

MODELS = {
    "parsenet": (ParseNetConfig(), "parse_face"),
    "rrdbnet": (RRDBConfig(), "enlarge"),
    "gpen": (GPENConfig(), "restore"),
}


def native_runner(model: Model, function: str, precision: str, pixels: np.ndarray) -> Callable[[], Any]:
    """Return a function that runs the network in the compiled runtime, RRDBNet in tiles."""
    kind = registry.kind_of(model.config)
    backend = loaded(Native(precision), model)
    if kind == "rrdbnet":
        return lambda: tiles.enlarged(lambda name, array: backend.run(kind, name, array), pixels)
    return lambda: backend.run(kind, function, pixels)


def torch_runner(model: Model, function: str, last: bool, pixels: np.ndarray) -> Callable[[], Any]:
    """Return a function that runs the network in PyTorch, with kernels channels_last or as usual."""
    tensors = {name: torch.from_numpy(tensor) for name, tensor in model.tensors.items()}
    if last:
        tensors = {
            name: tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
            for name, tensor in tensors.items()
        }
    call = registry.of(model.config).function(function).call
    image = torch.from_numpy(pixels)

    def run() -> Any:
        with torch.inference_mode():
            return call(ops.reference, image, tensors, model.config)

    return run


def measure(kind: str, rounds: int, side: int) -> dict[str, Any]:
    """Time every form of a network, in turns. side: of RRDBNet's picture; the others have one size."""
    config, function = MODELS[kind]
    model = weights.random_model(config)
    declared = registry.get(kind).function(function)
    (shape,) = declared.examples(config)
    if declared.free:
        shape = (side, side, 3)
    pixels = np.random.default_rng(0).integers(0, 256, (1, *shape), dtype=np.uint8)
    forms = {"native fp32": native_runner(model, function, "fp32", pixels)}
    if _native.kernels("")[1]:
        forms["native bf16"] = native_runner(model, function, "bf16", pixels)
    forms["torch"] = torch_runner(model, function, False, pixels)
    forms["torch channels_last"] = torch_runner(model, function, True, pixels)
    timed: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name, run in forms.items():
            start = time.perf_counter()
            run()
            if number:  # the first round warms up
                timed.setdefault(name, []).append(time.perf_counter() - start)
    medians = {name: statistics.median(seconds) for name, seconds in timed.items()}
    fastest = min(medians["torch"], medians["torch channels_last"])
    return {
        "network": kind,
        "picture": " x ".join(map(str, shape[:2])),
        "seconds": {n: {"median": medians[n], "min": min(s), "max": max(s)} for n, s in timed.items()},
        "ratio": {name: fastest / medians[name] for name in medians if name.startswith("native")},
    }


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=MODELS, nargs="+", default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=256, help="side of the picture that RRDBNet enlarges")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    options = parser.parse_args()
    torch.set_num_threads(_native.threads())
    results = []
    for kind in options.only:
        result = measure(kind, options.rounds, options.side)
        results.append(result)
        print(f"{kind}, {result['picture']}:")
        for name, times in result["seconds"].items():
            ratio = f"{result['ratio'][name]:7.2f} x PyTorch" if name in result["ratio"] else ""
            spread = f"({times['min']:.3f} to {times['max']:.3f})"
            print(f"  {name:<20}{times['median']:8.3f} s  {spread:<22}{ratio}", flush=True)
    print(machine.describe())
    if options.json:
        print(json.dumps({"machine": machine.describe(), "results": results}))


if __name__ == "__main__":
    main()
