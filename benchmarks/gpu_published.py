"""Networks of reenactment and restoration on a GPU, for `benchmarks.gpu`: checks, times beside PyTorch."""

from __future__ import annotations

import argparse
import statistics
from typing import Any

import numpy as np

from benchmarks import gpu_kernels, networks
from e4s_engine import weights
from e4s_engine.networks import registry
from e4s_engine.networks.network import Config
from e4s_engine.testing.loaded import loaded
from e4s_engine.testing.metrics import psnr

# Largest difference over the largest value, with random weights.
MOST = {"fp32": 1e-3, "bf16": 0.2, "fp16": 0.2}
SIDE = 256  # of the picture that RRDBNet enlarges


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Check every function against PyTorch in fp32 on the same card, and time both.

    error: largest difference over the largest value; of classes, the share that differs. db: PSNR. ms: the
    CUDA graph alone. torch_ms: the same function in PyTorch in tf32 and under fp16 autocast, each in a CUDA
    graph where it can be captured.
    """
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False  # until times are taken
    results: dict[str, Any] = {"failures": []}
    for name, (config, function) in networks.MODELS.items():
        results[name] = _checked(name, config, function, options, results["failures"])
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    for name, (config, function) in networks.MODELS.items():
        arrays = networks.example_arrays(registry.of(config).function(function), config, SIDE)
        try:
            results[name]["torch_ms"] = _in_torch(weights.random_model(config), function, arrays, options)
        except RuntimeError as error:  # the other networks' times are worth having
            results["failures"].append(f"{name} in PyTorch: {error}")
    return results


def _checked(
    name: str, config: Config, function: str, options: argparse.Namespace, failures: list[str]
) -> dict[str, Any]:
    """Return the errors of a function and its times, by precision."""
    from e4s_engine.backends.cuda.backend import Cuda
    from e4s_engine.backends.reference import Reference

    model, kind, result = weights.random_model(config), registry.kind_of(config), {}
    arrays = networks.example_arrays(registry.of(config).function(function), config, SIDE)
    want = loaded(Reference("cuda:0", "fp32"), model).run(kind, function, *arrays)
    for precision in options.precisions:
        backend = loaded(Cuda("cuda:0", precision), model)
        got = backend.run(kind, function, *arrays)
        error = _error(got, want)
        rounds = [backend.time(kind, function, arrays, options.runs) for _ in range(5)]
        result[precision] = one = {"error": error, "ms": statistics.median(rounds)}
        if got.dtype != np.uint8:
            one["db"] = psnr(got, want)
        if not error <= MOST[precision]:
            failures.append(f"{name} {precision}")
    return result


def _error(got: Any, want: Any) -> float:
    if want.dtype == np.uint8:
        return float((got != want).mean())
    return float(np.abs(got - want).max() / np.abs(want).max())


def _in_torch(model: Any, function: str, arrays: list[Any], options: argparse.Namespace) -> dict[str, float]:
    import torch

    run = networks.torch_runner(model, function, False, arrays, "cuda")
    times = {}
    for name, enabled in (("tf32", False), ("fp16", True)):

        def call(enabled: bool = enabled) -> Any:
            with torch.autocast("cuda", torch.float16, enabled=enabled):
                return run()

        times[name] = gpu_kernels.graphed(call, options.runs)
    return times
