"""Checks of the CUDA engine on a GPU, for `benchmarks.gpu`: kernels, networks, fused swaps, goldens.

Each returns a part of the report, in which "failures" names what failed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import gpu_kernels
from e4s_engine import regions
from e4s_engine.backends.cuda import ahead, workers
from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.networks.rgi import relight
from e4s_engine.options import SwapOptions
from e4s_engine.photo import align
from e4s_engine.pipeline import loading, pipeline
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.portraits import Job, Part, Regions, WholeFace
from e4s_engine.testing.loaded import loaded
from e4s_engine.testing.metrics import psnr

TESTS = Path(__file__).parents[1] / "python_tests"  # must be importable, for the cases and their tools
LEAST_PSNR = 48.0


def kernels(arch: int, options: argparse.Namespace) -> dict[str, Any]:
    """Compile every kernel of the networks and the cases, on all cores."""
    from device_tools import programs_of

    launches: list[Any] = []
    for precision in options.precisions:
        for batch in options.batches:
            launches += ahead.launches(precision, arch, batch)
        programs = [program for case in _cases(options) for program in programs_of(case, precision)]
        launches += [launch for program in programs for launch in program.launches]
    wanted = compiling.distinct(launches, arch)
    manifests = list(workers.warm(wanted.values(), arch, options.jobs))
    spilled = [
        manifest["kernel"]
        for launch, manifest in zip(wanted.values(), manifests, strict=True)
        if manifest["spills"] and not ahead.may_spill(launch, arch)
    ]
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


# The checked fused swaps: what each source gives (() is the whole face), and options other than the defaults.
Asked = tuple[tuple[tuple[int, ...], ...], dict[str, Any]]
ASKED: dict[str, Asked] = {
    "face": (((),), {}),
    "eyes+nose": (((regions.EYES, regions.NOSE),), {"match": "none"}),  # else the host pastes it
    "hair": (((regions.HAIR,),), {}),
    "lips+mouth+skin": (((regions.LIPS, regions.MOUTH, regions.SKIN),), {}),
    "hair, nose+eyes of another": (((regions.HAIR,), (regions.NOSE, regions.EYES)), {}),
    "half of the texture": (((regions.HAIR,),), {"extent": 0.5, "shape": False}),
    "under the hair": (((),), {"hair_first": False}),
    "kept texture": (((),), {"texture": False}),
}


def fused_swaps(options: argparse.Namespace) -> dict[str, Any]:
    """Check fused swaps against the stages in PyTorch, by sources and options, of large and small models.

    Each is done of pictures on the host, of sources encoded before, and of pictures on the card; where only a
    part of the face is generated, and where all of it is, to the same bits.
    """
    from e4s_engine import weights
    from e4s_engine.backends.cuda.backend import Cuda
    from e4s_engine.backends.reference import Reference
    from e4s_engine.networks.rgi.config import ModelConfig

    large, small = gpu_kernels.models()[0], weights.open_model(loading.BUNDLED, "rgi", "weights")
    results: dict[str, Any] = {"failures": []}
    for size, model in ((large.config.size, large), (small.config.size, small)):
        assert isinstance(model.config, ModelConfig)
        lights = relight.layers(model.tensors, np.stack) if model.config.relight else None
        stages = pipeline.Pipeline(loaded(Reference("cuda:0", "fp32"), model), None, None, size, lights)
        wanted = {name: _swapped(stages, *asked) for name, asked in ASKED.items()}
        for precision in options.precisions:
            mine = dataclasses.replace(stages, backend=loaded(Cuda("cuda:0", precision), model))
            for asked, want in wanted.items():
                name = f"{size} {precision} {asked}"
                results[name] = one = _check_swap(mine, want, *ASKED[asked])
                near = min(one["pasted_db"], one["face_db"]) >= LEAST_PSNR - 3  # allows for 8-bit rounding
                exact = one["resident"] and one["labels"] and one["boxed"]
                if not (near and exact and one["cached_db"] > LEAST_PSNR):
                    results["failures"].append(name)
    return results


def _people() -> list[Portrait]:
    images, labels = gpu_kernels.inputs(2)
    return [
        Portrait("picture", align.whole(image, "picture"), mask)
        for image, mask in zip(images, labels, strict=True)
    ]


def _swapped(
    stages: pipeline.Pipeline,
    given: tuple[tuple[int, ...], ...],
    changes: dict[str, Any],
    people: Sequence[Any] | None = None,
) -> Any:
    """Swap the first portrait, and for a second source the target's own, into the second one."""
    everybody = people or _people()
    target = everybody[1] if people is None else _people()[1]
    parts = tuple(Part(person, ids) for person, ids in zip(everybody, given, strict=False))
    request = Regions(tuple(sorted(sum(given, ())))) if given[0] else WholeFace()
    return stages.swap([Job(target, parts, request)], SwapOptions(**changes))[0]


def _check_swap(
    mine: pipeline.Pipeline, want: Any, given: tuple[tuple[int, ...], ...], changes: dict[str, Any]
) -> dict[str, Any]:
    import torch
    from torch.utils.dlpack import from_dlpack

    people = _people()
    got = _swapped(mine, given, changes)
    whole = _swapped(mine, given, changes | {"full_face": True})
    faces = list(mine.encode(people).values())
    cached = _swapped(mine, given, changes, faces)
    resident = True
    if len(given) == 1:
        source, target = (torch.from_numpy(person.crop.image.copy()).cuda() for person in people)
        request = Regions(given[0]) if given[0] else WholeFace()
        labels = [person.labels for person in people]
        made = mine.swap_resident(source, target, labels, request, SwapOptions(**changes))
        resident = made is not None and bool(
            np.array_equal(from_dlpack(made.resident).cpu().numpy(), got.image)
        )
    return {
        "pasted_db": psnr(got.image, want.image),
        "face_db": psnr(got.face, want.face),
        "cached_db": psnr(cached.image, got.image),
        "resident": resident,
        "boxed": np.array_equal(got.image, whole.image) and np.array_equal(got.face, whole.face),
        "labels": np.array_equal(got.labels, want.labels) and np.array_equal(got.holes, want.holes),
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
