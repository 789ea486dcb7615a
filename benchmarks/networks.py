"""The networks around the swap: the compiled runtime against PyTorch, in turns in one process.

    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.networks [--only gpen] [--rounds 5] [--json]
    python -m benchmarks.networks --threads 1 --clock cpu  # on a machine that others use

Weights are random: times do not depend on them. PyTorch runs the published form in fp32, once in its usual
layout and once in channels_last; the ratios are to the faster of the two. A round runs every form once, so
that noise on a shared machine affects all. Times are medians, with the least and the most beside them. The
processor's clock stands still while other processes run, but counts threads that wait: it needs one thread.
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
from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig
from e4s_engine.networks.gpen.config import GPENConfig
from e4s_engine.networks.inpaint.config import InpaintConfig
from e4s_engine.networks.network import Config, Function, Input
from e4s_engine.networks.parsenet.config import ParseNetConfig
from e4s_engine.networks.recolor.config import RecolorConfig
from e4s_engine.networks.rrdbnet import tiles
from e4s_engine.networks.rrdbnet.config import RealESRGANConfig, RRDBConfig
from e4s_engine.networks.segnext.config import SIZES
from e4s_engine.testing.loaded import loaded
from e4s_engine.weights import Model

MODELS = {
    "parsenet": (ParseNetConfig(), "parse_face"),
    "rrdbnet": (RRDBConfig(), "enlarge"),
    "gpen": (GPENConfig(), "restore"),
    "key_points": (FaceVid2VidConfig(), "key_points"),
    "head_pose": (FaceVid2VidConfig(), "head_pose"),
    "reenact": (FaceVid2VidConfig(), "reenact"),
    "realesrgan": (RealESRGANConfig(), "enlarge"),
    **{f"segnext_{size}": (config, "parse") for size, config in SIZES.items()},
    "features": (RecolorConfig(), "features"),
    "references": (RecolorConfig(), "references"),
    "colour": (RecolorConfig(), "colour"),
    "inpaint": (InpaintConfig(), "fill"),
}


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def native_runner(
    model: Model, function: str, precision: str, arrays: list[np.ndarray], threads: int = 0
) -> Callable[[], Any]:
    """Return a function that runs the network in the compiled runtime, RRDBNets in tiles."""
    kind = registry.kind_of(model.config)
    backend = loaded(Native(precision, threads=threads), model)
    if kind in ("rrdbnet", "realesrgan"):
        return lambda: tiles.enlarged(lambda name, array: backend.run(kind, name, array), arrays[0])
    return lambda: backend.run(kind, function, *arrays)


def torch_runner(
    model: Model, function: str, last: bool, arrays: list[np.ndarray], device: str = "cpu"
) -> Callable[[], Any]:
    """Return a function that runs the network in PyTorch, with kernels channels_last or as usual."""
    tensors = {name: torch.from_numpy(tensor).to(device) for name, tensor in model.tensors.items()}
    if last:
        layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
        tensors = {
            name: tensor.contiguous(memory_format=layouts.get(tensor.ndim, torch.contiguous_format))
            for name, tensor in tensors.items()
        }
    declared = registry.of(model.config).function(function)
    inputs = [torch.from_numpy(array).to(device) for array in arrays]
    inputs = [
        array.permute(0, 3, 1, 2) if kind is Input.MAPS else array
        for array, kind in zip(inputs, declared.inputs, strict=True)
    ]

    def run() -> Any:
        with torch.inference_mode():
            return declared.call(ops.reference, *inputs, tensors, model.config)

    return run


def example_arrays(declared: Function, config: Config, side: int) -> list[np.ndarray]:
    """Return inputs at the published size; side: of a picture of any size."""
    rng, arrays = np.random.default_rng(0), []
    for kind, shape in zip(declared.inputs, declared.examples(config), strict=True):
        if kind is Input.PIXELS:
            size = (side, side, 3) if declared.free else shape
            arrays.append(rng.integers(0, 256, (1, *size), dtype=np.uint8))
        elif kind is Input.LABELS:  # parts as large as a face's, in bands
            arrays.append(np.broadcast_to(np.arange(shape[1]) // 16 + 1, (1, *shape)).astype(np.uint8).copy())
        else:
            arrays.append(rng.uniform(0, 0.5, (1, *shape)).astype(np.float32))
    return arrays


def measure(
    name: str, rounds: int, side: int, threads: int = 0, clock: Callable[[], float] = time.perf_counter
) -> dict[str, Any]:
    """Time every form of a network, in turns. side: of the RRDBNets' picture; the others have one size.

    threads: of the compiled runtime; 0: all. clock: function that returns seconds.
    """
    config, function = MODELS[name]
    model = weights.random_model(config)
    arrays = example_arrays(registry.of(config).function(function), config, side)
    forms = {"native fp32": native_runner(model, function, "fp32", arrays, threads)}
    if _native.kernels("")[1]:
        forms["native bf16"] = native_runner(model, function, "bf16", arrays, threads)
    forms["torch"] = torch_runner(model, function, False, arrays)
    forms["torch channels_last"] = torch_runner(model, function, True, arrays)
    timed: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for form, run in forms.items():
            start = clock()
            run()
            if number:  # the first round warms up
                timed.setdefault(form, []).append(clock() - start)
    medians = {form: statistics.median(seconds) for form, seconds in timed.items()}
    fastest = min(medians["torch"], medians["torch channels_last"])
    return {
        "network": name,
        "picture": " x ".join(map(str, arrays[0].shape[1:3])),
        "seconds": {n: {"median": medians[n], "min": min(s), "max": max(s)} for n, s in timed.items()},
        "ratio": {form: fastest / medians[form] for form in medians if form.startswith("native")},
    }


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=MODELS, nargs="+", default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=256, help="side of the picture that RRDBNets enlarge")
    parser.add_argument("--threads", type=int, default=_native.threads(), help="of every form")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="the wall's, or the processor's")
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = []
    for kind in options.only:
        result = measure(kind, options.rounds, options.side, options.threads, CLOCKS[options.clock])
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
