"""All tests and timings that need a GPU, in one call: compile, check, time. Needs PyTorch, Triton and pytest.

    pip install --no-build-isolation --no-deps -e . && python -m benchmarks.gpu --out gpu.json

1. Compiles every kernel for the card, on all cores.
2. Checks ops of the tests' case table and the whole networks on the device against the reference, then the
   goldens if E4S_SHARED (or ../shared) holds them. Nothing is timed if a check fails.
3. Tunes tiles for some minutes (backends/cuda/tune.py), and checks the networks again with the result.
4. Times CUDA graph replays on portraits by the device's events: networks and fused swaps at several batch
   sizes, every kernel alone beside the card's ceilings and cuDNN, and PyTorch in the published form and the
   one-pass form, both also under torch.compile. Step "forms" times fused swaps without each form that steps
   may take, "api" public calls, and the host's part of them, "published" checks and times the networks of
   reenactment and restoration, "training" a step of the demo model's training.
5. Runs small ops under compute-sanitizer's memcheck and racecheck, if installed.

The report is written after every step, so that an interrupted run is not lost.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import gpu_api, gpu_checks, gpu_published, gpu_times, gpu_training, machine
from e4s_engine import _native
from e4s_engine.errors import E4SError
from e4s_engine.training.recipe import DEMO

BATCHES = (1, 2, 4, 8, 16, 32)
CHECKS = ("compiled", "ops", "networks", "swaps", "goldens")
TIMINGS = (
    "tuned", "networks_tuned", "forms", "stages_ms", "swap_ms", "api", "published", "training", "kernels",
    "torch_ms", "sanitized",
)  # fmt: skip
# Steps of `benchmarks.swap --device cuda`.
SWAP = ("compiled", "networks", "swaps", "stages_ms", "swap_ms", "api", "kernels", "torch_ms")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the steps; return 0 if all checks pass, 1 if one fails, 2 if there is no GPU."""
    options = _arguments(argv)
    sys.path.insert(0, str(gpu_checks.TESTS))
    command = sys.argv[1:] if argv is None else list(argv)
    report: dict[str, Any] = {"machine": machine.describe(), "command": command, "failures": []}
    try:
        device = _native.CudaDevice(0)
    except E4SError as error:
        report |= {"gpu": None, "why": str(error)}
        _write(options.out, report)
        print(f"no GPU here, nothing was run: {error}", file=sys.stderr)
        return 2
    report["gpu"] = {"name": device.name, "arch": device.arch}
    steps: dict[str, Callable[[], Any]] = {
        "compiled": lambda: gpu_checks.kernels(device.arch, options),
        "ops": lambda: gpu_checks.ops(device, options),
        "networks": lambda: gpu_checks.networks(options),
        "swaps": lambda: gpu_checks.fused_swaps(options),
        "goldens": lambda: gpu_checks.goldens(options),
    }
    timings: dict[str, Callable[[], Any]] = {
        "tuned": lambda: gpu_times.tiles(options),
        "networks_tuned": lambda: gpu_checks.networks(options),
        "forms": lambda: gpu_times.forms(device, options),
        "stages_ms": lambda: gpu_times.stages(options),
        "swap_ms": lambda: gpu_times.fused_swaps(device, options),
        "api": lambda: gpu_api.calls(options),
        "published": lambda: gpu_published.run(options),
        "training": lambda: gpu_training.measured(DEMO, "cuda:0", DEMO.schedule.batch, options.runs),
        "kernels": lambda: gpu_times.kernels(device, options),
        "torch_ms": lambda: gpu_times.in_torch(options),
        "sanitized": gpu_checks.sanitize,
    }
    for name, step in steps.items():
        if name in options.steps:
            _step(report, name, step, options)
    if report["failures"] and not options.time_anyway:
        print(f"checks failed, nothing is timed: {report['failures']}", file=sys.stderr)
        return 1
    for name, step in timings.items():
        if name in options.steps:
            _step(report, name, step, options)
    summary = _summary(report)
    _write(options.out, report | summary)
    if options.json:
        print(json.dumps(summary))
    return 1 if report["failures"] else 0


def _step(report: dict[str, Any], name: str, step: Callable[[], Any], options: argparse.Namespace) -> None:
    """Run one step; an exception counts as a failure, and the next step still runs."""
    start = time.perf_counter()
    try:
        report[name] = step()
        failed = report[name].get("failures", []) if isinstance(report[name], dict) else []
        report["failures"] += [f"{name}: {what}" for what in failed]
    except Exception as error:  # a report of the other steps is worth more than a traceback alone
        traceback.print_exc()
        report["failures"].append(f"{name}: {type(error).__name__}: {error}")
    report[f"{name}_s"] = round(time.perf_counter() - start, 1)
    print(f"{name}: {report[f'{name}_s']} s", file=sys.stderr, flush=True)
    _write(options.out, report)


def _summary(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the summary's keys on swaps, as far as they were timed."""
    swaps, torch_ms = report.get("swap_ms", {}), report.get("torch_ms", {})
    if "bf16 1" not in swaps:
        return {}
    latency = swaps["bf16 1"]
    rates = [1000 * batch / swaps[f"bf16 {batch}"] for batch in BATCHES if f"bf16 {batch}" in swaps]
    summary = {"cuda_latency_ms_b1": latency, "cuda_swaps_per_s": max(rates)}
    for key, name in (("eager", "published fp16"), ("compiled", "onepass fp16 compiled")):
        if isinstance(torch_ms.get(name), float):
            summary[f"cuda_ratio_{key}"] = torch_ms[name] / latency
    return summary


def _write(path: Path, report: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(report, indent=1))


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Prove and time the CUDA engine on this machine's GPU.")
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--precisions", nargs="+", default=["bf16", "fp32", "fp16"])
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--every", type=int, default=4, help="check each n-th case of the ops")
    parser.add_argument("--runs", type=int, default=20, help="replays per timing")
    parser.add_argument("--tune", type=float, default=120.0, help="seconds to look for better tiles; 0: none")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes that compile")
    parser.add_argument("--time-anyway", action="store_true", help="time even where a check fails")
    parser.add_argument("--steps", nargs="+", choices=CHECKS + TIMINGS, default=CHECKS + TIMINGS)
    parser.add_argument("--json", action="store_true", help="end with the summary as one JSON object")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
