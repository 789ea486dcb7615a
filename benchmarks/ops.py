"""Every convolution of the networks: the compiled runtime against PyTorch (oneDNN), in one run.

    python -m benchmarks.ops [--precision fp32,bf16] [--rounds 7] [--json]

Both run the same shapes with the same number of threads, in turns, so that noise on a shared machine affects
both; times are medians. Set OMP_WAIT_POLICY=PASSIVE: PyTorch's threads otherwise spin on after a call. The
peak is measured by a convolution whose operands stay in cache. The upsampling layers are transposed
convolution and FIR in both. With --json the last line is one object.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from e4s_engine import _native, ops
from e4s_engine.backends.native import WeightStore, compile_plan
from e4s_engine.backends.plans import examples
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.ops import regional_conv
from e4s_engine.plan import Constant, Plan, Step
from e4s_engine.plan.fuse import fuse

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Shape = tuple[int, int, int, int, int, int, bool]  # inputs, outputs, kernel, stride, height, width, upsample


def convolutions() -> dict[Shape, tuple[str, int]]:
    """List the distinct convolutions of the published networks: shape -> (network, number of uses)."""
    counts: dict[Shape, tuple[str, int]] = {}
    for network, plan in examples([ModelConfig(), ParserConfig()], "fp32").items():
        for step in plan.steps:
            shape = shape_of(plan, step)
            if shape is not None:
                counts[shape] = (network, counts.get(shape, (network, 0))[1] + 1)
    return counts


def shape_of(plan: Plan, step: Step) -> Shape | None:
    """Return the shape of a step's convolution; None if it is another step, or below 1e8 operations."""
    if step.kind not in ("conv2d", "regional_conv") or step.flop < 1e8:
        return None
    kernel = step.weights["kernel"][0]
    outputs, inputs, size = kernel.shape[:3]  # type: ignore[union-attr]
    _, height, width, _ = plan.buffers[step.buffers["x"]].shape
    upsample = bool(step.numbers.get("upsample", 0))
    return (inputs, outputs, size, int(step.numbers.get("stride", 1)), height, width, upsample)


def native_runner(shape: Shape, precision: str, direct: bool = False) -> tuple[Callable[[], float], float]:
    """Return a function that runs the step once and returns its seconds; and its floating-point operations.

    Operations are those of the direct form, whichever form runs. direct: flag as in WeightStore.
    """
    inputs, outputs, kernel, stride, height, width, upsample = shape
    plan = Plan(precision)
    shapes = {"x": (1, inputs, height, width), "w": (outputs, inputs, kernel, kernel)}
    weights = plan.weights(shapes, "bench")
    x = ops.record.constant(weights["x"], 1)
    if upsample:
        styles = Constant(("ones",), (1, 1, inputs), lambda _: np.ones(inputs, np.float32))
        ops.record.regional_conv(x, weights["w"], styles, None, upsample=True)
    else:
        ops.record.conv2d(x, weights["w"], stride=stride)
    fuse(plan)
    store = WeightStore(direct=direct)
    rng = np.random.default_rng(0)
    store.add(plan, {name: rng.standard_normal(s, dtype=np.float32) for name, s in shapes.items()})
    compiled = compile_plan(plan, store)
    return lambda: compiled.run([], timed=True)[-1], plan.flop


def in_torch(shape: Shape, precision: str, device: str = "cpu") -> Callable[[], object]:
    """Return the same convolution in PyTorch, channels last, which is fastest in oneDNN and cuDNN."""
    inputs, outputs, kernel, stride, height, width, upsample = shape
    place: dict[str, Any] = {"device": device, "dtype": DTYPES[precision]}
    x = torch.randn(1, inputs, height, width).to(**place).contiguous(memory_format=torch.channels_last)
    w = torch.randn(outputs, inputs, kernel, kernel).to(**place)
    w = w.contiguous(memory_format=torch.channels_last)

    def run() -> object:
        with torch.inference_mode():
            if upsample:
                return regional_conv.convolve(x, w, upsample=True)
            return torch.nn.functional.conv2d(x, w, stride=stride, padding=kernel // 2)

    return run


def torch_runner(shape: Shape, precision: str) -> Callable[[], float]:
    """Return a function that runs the convolution in PyTorch and returns its seconds."""
    convolve = in_torch(shape, precision)

    def run() -> float:
        start = time.perf_counter()
        convolve()
        return time.perf_counter() - start

    return run


def compare(shape: Shape, precision: str, rounds: int) -> tuple[float, float, float]:
    """Return the median seconds of the runtime and of PyTorch, run in turns, and the operations."""
    mine, flop = native_runner(shape, precision)
    theirs = torch_runner(shape, precision)
    mine(), theirs()
    pairs = [(mine(), theirs()) for _ in range(rounds)]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs), flop


def peak(precision: str) -> float:
    """Measure FLOP/s of a direct convolution that stays in cache: the multiply units' sustained rate."""
    runner, flop = native_runner((256, 64, 3, 1, 24, 16, False), precision, direct=True)
    return flop / min(runner() for _ in range(50))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--precision", default="fp32,bf16" if _native.kernels("")[1] else "fp32")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(_native.threads())
    result: dict[str, Any] = {"machine": platform.processor() or platform.machine()}
    result |= {
        "isa": _native.kernels("")[0],
        "threads": _native.threads(),
        "torch": torch.__version__,
        "ops": [],
    }
    for precision in arguments.precision.split(","):
        result[f"peak_gflops_{precision}"] = round(peak(precision) / 1e9, 1)
        print(f"{precision}: peak {result[f'peak_gflops_{precision}']} GFLOP/s, {result['isa']}")
        print(f"{'network':<17}{'convolution':<34}{'ms':>9}{'GFLOP/s':>9}{'torch ms':>10}{'ratio':>7}")
        for shape, (network, count) in convolutions().items():
            mine, theirs, flop = compare(shape, precision, arguments.rounds)
            inputs, outputs, kernel, stride, height, width, upsample = shape
            name = f"{inputs}->{outputs} k{kernel} s{stride} {height}x{width}{' up' if upsample else ''}"
            rate = flop / mine / 1e9
            print(
                f"{network:<17}{name:<34}{mine * 1e3:9.2f}{rate:9.1f}{theirs * 1e3:10.2f}{theirs / mine:7.2f}"
            )
            row = {"network": network, "conv": name, "count": count, "precision": precision}
            row |= {"native_s": mine, "torch_s": theirs, "gflops": round(rate, 1)}
            result["ops"].append(row)
    if arguments.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
