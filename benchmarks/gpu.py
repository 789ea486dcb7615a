"""All tests and timings that need a GPU, in one call: compile, check, time. Needs PyTorch, Triton and pytest.

    pip install --no-build-isolation --no-deps -e . && python -m benchmarks.gpu --out gpu.json

1. Compiles every kernel for the card, on all cores.
2. Checks ops of the tests' case table and the whole networks on the device against the reference, then the
   goldens if E4S_SHARED (or ../shared) holds them. Nothing is timed if a check fails.
3. Tunes tiles for some minutes (kernels/tune.py), and checks the networks again with the result.
4. Times CUDA graph replays by the device's events: encode and decode at several batch sizes, every kernel
   alone beside the card's ceilings and cuDNN, and PyTorch in the published form and the one-pass form under
   torch.compile.
5. Runs small ops under compute-sanitizer's memcheck and racecheck, if installed.

The report is written after every step, so that an interrupted run is not lost.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import gpu_kernels, machine
from e4s_engine import _native, regions
from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.backends.cuda import swap as swaps
from e4s_engine.backends.cuda import tune
from e4s_engine.errors import E4SError
from e4s_engine.pipeline import compose
from e4s_engine.testing.loaded import loaded
from e4s_engine.testing.metrics import psnr
from e4s_engine.testing.portraits import portrait

TESTS = Path(__file__).parents[1] / "python_tests"
LEAST_PSNR = 48.0
BATCHES = (1, 2, 4, 8, 16, 32)
CHECKS = ("compiled", "ops", "networks", "swaps", "goldens")
TIMINGS = ("tuned", "networks_tuned", "stages_ms", "swap_ms", "kernels", "torch_ms", "sanitized")
# Steps of `benchmarks.swap --device cuda`.
SWAP = ("compiled", "networks", "swaps", "stages_ms", "swap_ms", "kernels", "torch_ms")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the steps; return 0 if all checks pass, 1 if one fails, 2 if there is no GPU."""
    options = _arguments(argv)
    sys.path.insert(0, str(TESTS))  # for the cases and their checks
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
        "compiled": lambda: _compile(device.arch, options),
        "ops": lambda: _check_ops(device, options),
        "networks": lambda: _check_networks(options),
        "swaps": lambda: _check_swaps(options),
        "goldens": lambda: _check_goldens(options),
    }
    timings: dict[str, Callable[[], Any]] = {
        "tuned": lambda: _tune(options),
        "networks_tuned": lambda: _check_networks(options),
        "stages_ms": lambda: _time_stages(options),
        "swap_ms": lambda: _time_swaps(device, options),
        "kernels": lambda: _time_kernels(device, options),
        "torch_ms": lambda: _time_torch(options),
        "sanitized": _sanitize,
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


def _compile(arch: int, options: argparse.Namespace) -> dict[str, Any]:
    """Compile every kernel of the networks and the cases, on all cores."""
    from device_tools import program_of

    launches: list[Any] = []
    for precision in options.precisions:
        for batch in options.batches:
            launches += compiling.published_launches(precision, batch)
        launches += [launch for case in _cases(options) for launch in program_of(case, precision).launches]
    wanted = compiling.distinct(launches, arch)
    manifests = list(compiling.warm(wanted.values(), arch, options.jobs))
    spilled = [m["kernel"] for m in manifests if m["spills"]]
    return {"kernels": len(manifests), "failures": [f"{name} spills" for name in spilled]}


def _cases(options: argparse.Namespace) -> list[Any]:
    from cases import CASES

    return CASES[:: options.every]


def _check_ops(device: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Check every n-th case on the card, as the tests do; return the worst error per precision."""
    from device_tools import error_of, tolerance
    from native_tools import expected

    failures, worst = [], dict.fromkeys(options.precisions, 0.0)
    for case in _cases(options):
        want = expected(case)
        for precision in options.precisions:
            error, labels = error_of(device, case, precision, want)
            if not error <= tolerance(precision, labels):
                failures.append(f"{case.name} {precision}")
            if not labels:
                worst[precision] = max(worst[precision], error)
    return {"failures": failures, "worst": worst}


def _sanitize() -> dict[str, Any]:
    """Run the device's tests of small ops under compute-sanitizer."""
    tool = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if tool is None:
        return {"skipped": "compute-sanitizer is not installed"}
    results: dict[str, Any] = {"failures": []}
    tests = [str(TESTS / "test_cuda_device.py"), "-k", "small", "-q", "-p", "no:cacheprovider"]
    for name in ("memcheck", "racecheck"):
        command = [tool, "--tool", name, "--error-exitcode", "9", sys.executable, "-m", "pytest", *tests]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
        results[name] = done.stdout[-500:]
        if done.returncode:
            results["failures"].append(f"{name}: status {done.returncode}")
    return results


def _inputs(batch: int) -> tuple[Any, Any]:
    people = [portrait(seed) for seed in range(2)]
    images, labels = (np.stack([p[i] for p in people]) for i in (0, 1))
    return np.resize(images, (batch, *images.shape[1:])), np.resize(labels, (batch, *labels.shape[1:]))


def _check_networks(options: argparse.Namespace) -> dict[str, Any]:
    """Check encode, decode and parse at the published size against PyTorch in fp32 on the same card."""
    from e4s_engine.backends.cuda.backend import Cuda
    from e4s_engine.backends.reference import Reference

    model, parser = gpu_kernels.models()
    images, labels = _inputs(2)
    reference = loaded(Reference("cuda:0", "fp32"), model, parser)
    styles = reference.run("rgi", "encode", images, labels)
    pictures, classes = (
        reference.run("rgi", "decode", styles, labels),
        reference.run("parser", "parse", images),
    )
    results: dict[str, Any] = {"failures": []}
    for precision in options.precisions:
        mine = loaded(Cuda("cuda:0", precision), model, parser)
        error = np.abs(mine.run("rgi", "encode", images, labels) - styles).max() / np.abs(styles).max()
        decibels = psnr(mine.run("rgi", "decode", styles, labels), pictures)
        agreement = float((mine.run("parser", "parse", images) == classes).mean())
        results[precision] = {"styles": float(error), "picture_db": decibels, "labels": agreement}
        if not (decibels >= (LEAST_PSNR if precision != "fp32" else 80) and agreement > 0.98):
            results["failures"].append(precision)
    return results


# Regions of the checked fused swaps; () is the whole face.
TAKEN = ((), (regions.EYES, regions.NOSE), (regions.HAIR,), (regions.LIPS, regions.MOUTH, regions.SKIN))


def _check_swaps(options: argparse.Namespace) -> dict[str, Any]:
    """Check the fused swap against the stages in PyTorch, with pictures on the host and on the card."""
    from e4s_engine.backends.cuda.backend import Cuda
    from e4s_engine.backends.reference import Reference
    from e4s_engine.options import SwapOptions
    from e4s_engine.photo import align
    from e4s_engine.pipeline import pipeline
    from e4s_engine.pipeline.portraits import Job, Part, Portrait, Regions, WholeFace

    model, _ = gpu_kernels.models()
    images, labels = _inputs(2)
    source, target = (
        Portrait("picture", align.whole(image, "picture"), mask)
        for image, mask in zip(images, labels, strict=True)
    )
    stages = pipeline.Pipeline(loaded(Reference("cuda:0", "fp32"), model), None, None, model.config.size)
    jobs = [
        Job(target, (Part(source, chosen),), Regions(chosen) if chosen else WholeFace()) for chosen in TAKEN
    ]
    wanted = [stages.swap([job], SwapOptions())[0] for job in jobs]
    results: dict[str, Any] = {"failures": []}
    for precision in options.precisions:
        mine = loaded(Cuda("cuda:0", precision), model)
        for chosen, want in zip(TAKEN, wanted, strict=True):
            name = f"{precision} {'+'.join(regions.NAMES[r] for r in chosen) or 'face'}"
            results[name] = one = _check_swap(mine, images, labels, chosen or None, want)
            near = min(one["pasted_db"], one["face_db"]) >= LEAST_PSNR - 3  # allows for 8-bit rounding
            if not (near and one["resident"] and one["labels"]):
                results["failures"].append(name)
    return results


def _check_swap(mine: Any, images: Any, labels: Any, chosen: Any, want: Any) -> dict[str, Any]:
    import torch
    from torch.utils.dlpack import from_dlpack

    flags = compose.request(chosen, labels[0])
    got = mine.swap(images[:1], labels[:1], images[1:], labels[1:], flags[None])
    source, target = (mine.resident(torch.from_numpy(image).cuda()) for image in images)
    resident = mine.swap_resident(source, labels[0], target, labels[1], flags) if source and target else None
    pasted, face = (psnr(a[0], b) for a, b in zip(got[:2], (want.image, want.face), strict=True))
    exact = np.array_equal(got.labels[0], want.labels)
    return {
        "pasted_db": pasted,
        "face_db": face,
        "resident": resident is not None
        and np.array_equal(from_dlpack(resident.pasted).cpu().numpy(), got.pasted[0]),
        "labels": exact and np.array_equal(got.holes[0] > 0, want.holes),
    }


def _check_goldens(options: argparse.Namespace) -> dict[str, Any]:
    """Check a decode against the published implementation's swap at 1024."""
    from native_tools import golden_model

    from e4s_engine.backends.cuda.backend import Cuda

    folder = Path(os.environ.get("E4S_SHARED", Path(__file__).parents[2] / "shared")) / "golden"
    if not (folder / "recipe.py").is_file():
        return {"skipped": f"no goldens at {folder}; set E4S_SHARED"}
    os.environ["E4S_GOLDEN"] = str(folder)
    results: dict[str, Any] = {"failures": []}
    with np.load(folder / "rgi_1024_swap.npz") as opened:
        goldens = dict(opened)
    for precision in options.precisions:
        backend = loaded(Cuda("cuda:0", precision), golden_model(1024, int(goldens["seed"])))
        picture = backend.run(
            "rgi", "decode", goldens["swapped_style_vectors"][None], goldens["swapped_labels"][None]
        )[0]
        want = goldens["swapped_strided"]
        difference = float(np.abs(picture[::4, ::4] - want).max())
        decibels = psnr(picture[::4, ::4], want)
        results[precision] = {"difference": difference, "db": decibels}
        if not (difference < 1e-3 if precision == "fp32" else decibels >= LEAST_PSNR):
            results["failures"].append(precision)
    return results


def _tune(options: argparse.Namespace) -> dict[str, Any]:
    """Tune tiles for one precision at batch 1, and store them in the cache."""
    wanted = ["--seconds", str(options.tune), "--precision", options.precisions[0]]
    return {"status": tune.main(wanted) if options.tune > 0 else None}


def _time_stages(options: argparse.Namespace) -> dict[str, Any]:
    """Time graph replays in milliseconds: medians of several rounds, by precision, stage and batch."""
    from e4s_engine.backends.cuda.backend import Cuda

    model, parser = gpu_kernels.models()
    times: dict[str, Any] = {}
    for precision in options.precisions:
        backend = loaded(Cuda("cuda:0", precision), model, parser)
        for network, stage in (("rgi", "encode"), ("rgi", "decode"), ("parser", "parse")):
            for batch in options.batches:
                backend.time(network, stage, batch, 3)
                rounds = [backend.time(network, stage, batch, options.runs) for _ in range(5)]
                times[f"{precision} {stage} {batch}"] = statistics.median(rounds)
    return times


def _time_swaps(device: Any, options: argparse.Namespace) -> dict[str, float]:
    """Time fused swaps of aligned crops in milliseconds, 8-bit in and out, by precision and batch."""
    from e4s_engine.backends.cuda.backend import Linker, swap_graph

    model, _ = gpu_kernels.models()
    table = tune.shipped(device.arch) | tune.load(device.name)
    times = {}
    for precision in options.precisions:
        linker = Linker(device)
        for batch in options.batches:
            swap = swaps.record(model.config, precision, batch, table)
            linker.add(swap, model.tensors)
            graph = swap_graph(linker, swap)
            graph.time(3)
            rounds = [graph.time(options.runs) for _ in range(5)]
            times[f"{precision} {batch}"] = statistics.median(rounds)
    return times


def _time_kernels(device: Any, options: argparse.Namespace) -> dict[str, Any]:
    return gpu_kernels.alone(device, options.precisions[0], options.runs)


def _time_torch(options: argparse.Namespace) -> dict[str, Any]:
    """Time a swap's two encodes and its decode in PyTorch on the card: published, one pass, compiled."""
    import torch

    from e4s_engine import ops
    from e4s_engine.networks.rgi import decode, encode

    model, _ = gpu_kernels.models()
    images, labels = (torch.from_numpy(a).cuda() for a in _inputs(2))
    placed = {name: torch.from_numpy(t).cuda() for name, t in model.tensors.items()}

    def published() -> Any:
        return swap(ops.published)

    def one_pass() -> Any:
        return swap(ops.reference)

    def swap(form: Any) -> Any:
        styles = encode.encode_pixels(form, images, labels, placed, model.config)
        return decode.decode(form, styles[:1], labels[:1], placed, model.config)

    times: dict[str, Any] = {}
    for name, run, tf32, dtype in (
        ("published fp32", published, False, None),
        ("published tf32", published, True, None),
        ("published fp16", published, True, torch.float16),
        ("onepass fp16", one_pass, True, torch.float16),
        ("onepass fp16 compiled", torch.compile(one_pass, mode="reduce-overhead"), True, torch.float16),
    ):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        enabled = dtype is not None
        try:
            with torch.inference_mode(), torch.autocast("cuda", dtype or torch.float16, enabled=enabled):
                times[name] = gpu_kernels.events(run, 3 if "published" in name else options.runs)
        except Exception as error:  # a compiler's failure is a result, too
            times[name] = f"{type(error).__name__}: {error}"[:300]
    return times


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
