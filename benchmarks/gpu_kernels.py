"""A swap's kernels one by one on a GPU: milliseconds and rates, beside the card's ceilings and cuDNN."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks import ops
from e4s_engine import weights
from e4s_engine.backends.cuda import ahead
from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.backends.cuda.backend import Linker, graph_of
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.testing.portraits import portrait

ROUNDS = 3
CALLS = 10  # of PyTorch in one CUDA graph


def models() -> tuple[Any, Any]:
    """Return a generator and a parser of the published size with random weights."""
    return weights.random_model(ModelConfig()), weights.random_model(ParserConfig())


def inputs(batch: int, first: int = 0) -> tuple[Any, Any]:
    """Return pictures and labels of two portraits in turn, beginning with one of them."""
    pictures, labels = zip(portrait(first % 2), portrait((first + 1) % 2), strict=True)
    turns = [i % 2 for i in range(batch)]
    return np.stack(pictures)[turns], np.stack(labels)[turns]


def events(run: Callable[[], object], runs: int) -> float:
    """Measure milliseconds per run of PyTorch calls by CUDA events, after a warm-up."""
    event: Any = torch.cuda.Event
    for _ in range(3):
        run()
    first, last = (event(enable_timing=True) for _ in range(2))
    first.record()
    for _ in range(runs):
        run()
    last.record()
    torch.cuda.synchronize()
    return float(first.elapsed_time(last) / runs)


def graphed(run: Callable[[], object], runs: int) -> float:
    """Measure milliseconds per run of PyTorch calls within a CUDA graph, where launching costs little.

    Calls that cannot be captured are measured by `events`.
    """
    cuda: Any = torch.cuda
    graph, side = cuda.CUDAGraph(), cuda.Stream()
    side.wait_stream(cuda.current_stream())
    with cuda.stream(side):  # searches of algorithms, which a capture refuses, happen here
        for _ in range(3):
            run()
    cuda.current_stream().wait_stream(side)
    try:
        with cuda.graph(graph):
            for _ in range(CALLS):
                run()
    except RuntimeError:
        cuda.synchronize()
        return events(run, runs)
    return events(graph.replay, max(runs // CALLS, 3)) / CALLS


def ceilings(precision: str, runs: int, device: str = "cuda:0", side: int = 8192) -> dict[str, float]:
    """Measure the card: TFLOP/s of a large matrix product, GB/s of a copy far larger than its cache."""
    a, b = (torch.randn(side, side, device=device).to(ops.DTYPES[precision]) for _ in range(2))
    source = torch.zeros(side, side * 4, device=device)
    target = torch.empty_like(source)
    product, copy = events(lambda: a @ b, runs), events(lambda: target.copy_(source), runs)
    return {"tflops": 2 * side**3 / product / 1e9, "gbs": 2 * source.nbytes / copy / 1e6}


def alone(device: Any, precision: str, runs: int) -> dict[str, Any]:
    """Time every kernel of the networks alone, at batch 1, the slowest first; and measure the card.

    tflops: rate of the networks' nominal operations. gbs: rate as if all data were accessed once. torch_ms:
    time of the same convolution in cuDNN in a CUDA graph, without demodulation, noise, bias or activation.
    """
    model, parser = models()
    rows = []
    programs = ahead.programs(precision, device.arch)
    for program, owner in zip(programs, (model, model, parser), strict=True):
        linker = Linker(device)
        linker.add(program, owner.tensors)
        steps = {id(launch): step for launch, step in zip(program.launches, program.steps, strict=True)}
        for launch in compiling.distinct(program.launches, device.arch).values():
            rows.append(_row(linker, program, launch, steps[id(launch)], owner.tensors, precision, runs))
    rows.sort(key=lambda row: -row["ms"])
    ratios = [row["torch_ms"] / row["ms"] for row in rows if row["step"] == "conv2d" and "torch_ms" in row]
    return {
        "ceilings": ceilings(precision, runs),
        "cudnn_over_conv": statistics.mean(ratios) if ratios else None,
        "kernels": rows,
    }


def _row(
    linker: Linker, program: Any, launch: Any, step: Any, arrays: Any, precision: str, runs: int
) -> dict[str, Any]:
    graph = graph_of(linker, program, [launch])
    graph.time(3)
    ms = statistics.median(graph.time(runs) for _ in range(ROUNDS))
    row = {"kernel": launch.kernel, "step": step.kind, "ms": ms, "constants": launch.constants}
    row["gbs"] = program.moved(launch, arrays) / ms / 1e6
    if launch.problem is not None:
        row["tflops"] = step.flop / ms / 1e9
        shape = ops.shape_of(program.plan, step)
        if shape is not None:
            row["torch_ms"] = graphed(ops.in_torch(shape, precision, "cuda:0"), runs)
    return row
