"""Checks of the CUDA engine on a GPU, for `benchmarks.gpu`: kernels, networks, fused swaps, goldens.

Each returns a part of the report, in which "failures" names what failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import gpu_kernels
from e4s_engine import regions
from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.pipeline import compose
from e4s_engine.testing.loaded import loaded
from e4s_engine.testing.metrics import psnr

TESTS = Path(__file__).parents[1] / "python_tests"  # must be importable, for the cases and their tools
LEAST_PSNR = 48.0


def kernels(arch: int, options: argparse.Namespace) -> dict[str, Any]:
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


def ops(device: Any, options: argparse.Namespace) -> dict[str, Any]:
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


def networks(options: argparse.Namespace) -> dict[str, Any]:
    """Check encode, decode and parse at the published size against PyTorch in fp32 on the same card."""
    from e4s_engine.backends.cuda.backend import Cuda
    from e4s_engine.backends.reference import Reference

    model, parser = gpu_kernels.models()
    images, labels = gpu_kernels.inputs(2)
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


def fused_swaps(options: argparse.Namespace) -> dict[str, Any]:
    """Check the fused swap against the stages in PyTorch, with pictures on the host and on the card."""
    from e4s_engine.backends.cuda.backend import Cuda
    from e4s_engine.backends.reference import Reference
    from e4s_engine.options import SwapOptions
    from e4s_engine.photo import align
    from e4s_engine.pipeline import pipeline
    from e4s_engine.pipeline.located import Portrait
    from e4s_engine.pipeline.portraits import Job, Part, Regions, WholeFace

    model, _ = gpu_kernels.models()
    images, labels = gpu_kernels.inputs(2)
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


def goldens(options: argparse.Namespace) -> dict[str, Any]:
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


def sanitize() -> dict[str, Any]:
    """Run the device's tests of small ops under compute-sanitizer."""
    tool = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if tool is None:
        return {"skipped": "compute-sanitizer is not installed"}
    results: dict[str, Any] = {"failures": []}
    tests = [
        str(TESTS / "backends" / "cuda" / "test_cuda_device.py"),
        "-k",
        "small",
        "-q",
        "-p",
        "no:cacheprovider",
    ]
    for name in ("memcheck", "racecheck"):
        command = [tool, "--tool", name, "--error-exitcode", "9", sys.executable, "-m", "pytest", *tests]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
        results[name] = done.stdout[-500:]
        if done.returncode:
            results["failures"].append(f"{name}: status {done.returncode}")
    return results
