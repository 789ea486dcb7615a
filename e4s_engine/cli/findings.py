"""Findings of `e4s doctor`: one function per matter, which looks at this machine and changes nothing."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import os
import platform
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from e4s_engine import backends
from e4s_engine.errors import E4SError

OK, MISSING, SLOWER, BROKEN = "ok", "missing", "slower", "broken"

# What an extra is for. Others are listed too, without a purpose.
_PURPOSES = {
    "torch": "official .pt files, inversion, training",
    "cuda": "the engine's own kernels on NVIDIA cards",
    "faces": "photos that are not aligned: finds the faces",
    "serve": "the service, `e4s serve`",
    "ui": "the page, `e4s ui`",
    "video": "clips, `e4s video`",
    "c2pa": "signed manifests",
    "ray": "`e4s batch --ray`, on many machines",
}
_DEVELOPERS = ("test", "docs")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclasses.dataclass(frozen=True)
class Finding:
    """A fact about this machine. state: OK, MISSING, SLOWER or BROKEN. remedy: what to do, or ""."""

    subject: str
    state: str
    fact: str
    remedy: str = ""


def extension(weights: str | None) -> Iterator[Finding]:
    """Look at the compiled extension."""
    try:
        backends.check_extension()
    except (E4SError, ImportError) as error:
        yield Finding("compiled extension", BROKEN, *_parted(error))
        return
    yield Finding("compiled extension", OK, "fits the package")
    yield from _processor()


def _processor() -> Iterator[Finding]:
    from e4s_engine import _native

    has = [name for name, present in _native.cpu_features().items() if present]
    asked = os.environ.get("E4S_ISA", "")
    try:
        best, taken = _native.kernels("")[0], _native.kernels(asked)[0]
        threads = _native.threads()
    except E4SError as error:
        yield Finding("processor", BROKEN, *_parted(error))
        return
    fact = f"{', '.join(has) or 'no known extensions'}; kernels {taken}"
    if taken != best and not taken.startswith("amx"):
        yield Finding("processor", SLOWER, f"{fact}, as E4S_ISA says", f"unset E4S_ISA: {best} is faster")
    elif taken == "portable":
        yield Finding("processor", SLOWER, fact, "a processor with AVX2 is several times faster")
    else:
        yield Finding("processor", OK, fact)
    yield _threads(threads)


def _threads(threads: int) -> Finding:
    """Compare threads with the processors that they may use: a container's quota is no affinity mask."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = quota_of(_QUOTA)
    fact = f"{threads} on {processors} processors"
    if quota is not None and quota < threads:
        remedy = f"E4S_THREADS={max(int(quota), 1)}: more threads than the quota wait for each other"
        return Finding("threads", SLOWER, f"{fact}, of which this container may use {quota:g}", remedy)
    if threads < processors:
        return Finding("threads", SLOWER, fact, "unset E4S_THREADS, if the others are idle")
    return Finding("threads", OK, fact)


def quota_of(file: Path) -> float | None:
    """Return how many processors a control group may use; None: all."""
    try:
        quota, period = file.read_text("ascii").split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max 100000"
        return None


def device(weights: str | None) -> Iterator[Finding]:
    """Say which device an engine takes, and why."""
    cards = _cards()
    why, remedy = _why(cards)
    try:
        chosen = backends.create([], "auto", "auto", "auto")
    except (E4SError, ImportError) as error:
        yield Finding("device", BROKEN, *_parted(error))
        return
    fact = f"{chosen.device} by the {chosen.name} backend in {chosen.precision}, as {why}"
    yield Finding("device", SLOWER if remedy else OK, fact, remedy)


def _cards() -> list[int]:
    """Return the compute capabilities of the NVIDIA cards; none without a driver."""
    try:
        backends.check_extension()
        from e4s_engine import _native

        return list(_native.cuda_architectures())
    except (E4SError, ImportError):
        return []


def _why(cards: list[int]) -> tuple[str, str]:
    """Return the reason for the device that "auto" takes, and what would be faster."""
    from e4s_engine.backends.cuda import compile as compiling

    if not cards:
        return "there is no NVIDIA card, or no driver of one", ""
    oldest = min(compiling.ARCHITECTURES)
    card = f"the card has sm_{cards[0]}"
    if cards[0] < oldest:
        return f"{card}, and the engine's kernels need sm_{oldest}", ""
    if importlib.util.find_spec("triton") is not None:
        return f"{card}, and Triton compiles the kernels at their first use", ""
    if compiling.has_kernels(cards[0]):
        return f"{card}, and its kernels are compiled already", ""
    return f"{card}, but no compiled kernels and no Triton to compile them", "pip install e4s_engine[cuda]"


def extras(weights: str | None) -> Iterator[Finding]:
    """Look at the packages of every extra."""
    for extra, packages in _extras().items():
        purpose = f" ({_PURPOSES[extra]})" if extra in _PURPOSES else ""
        versions = {package: _version(package) for package in packages}
        there = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
        lacking = ", ".join(name for name, version in versions.items() if not version)
        if lacking:
            fact = f"without {lacking}{purpose}"
            yield Finding(f"extra {extra}", MISSING, fact, f"pip install e4s_engine[{extra}]")
        else:
            yield Finding(f"extra {extra}", OK, there + purpose)


def _extras() -> dict[str, list[str]]:
    """Return the packages of the extras, by the metadata of what is installed; none in a bare checkout."""
    found: dict[str, list[str]] = defaultdict(list)
    try:
        lines = importlib.metadata.requires("e4s_engine") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    for line in lines:
        package, _, marker = line.partition(";")
        extra = re.search(r"extra == [\"']([\w-]+)[\"']", marker)
        system = re.search(r"platform_system == [\"'](\w+)[\"']", marker)
        elsewhere = system is not None and system.group(1) != platform.system()
        name = re.match(r"[\w.-]+", package)
        if extra and name and extra.group(1) not in _DEVELOPERS and not elsewhere:
            found[extra.group(1)].append(name.group())
    return dict(found)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def weights(weights: str | None) -> Iterator[Finding]:
    """Look at the weights that an engine would load, and at the networks beside them."""
    from e4s_engine.pipeline import loading
    from e4s_engine.weights import folder

    try:
        chosen = loading.files_of(*loading.choose(weights))
    except E4SError as error:
        yield Finding("weights", BROKEN, *_parted(error))
        return
    if chosen.model == loading.BUNDLED:
        fact = "the bundled demo model, which knows rendered faces only"
        yield Finding("weights", MISSING, fact, "for photos of people the README names the official weights")
        return
    assert isinstance(chosen.model, Path)
    if not chosen.model.is_file():
        yield Finding("weights", BROKEN, f"no such file: {chosen.model}", "name a file or folder that exists")
        return
    official = [file for file in (chosen.model, *chosen.others.values()) if file.suffix != ".safetensors"]
    remedy = "`e4s convert` makes them load faster, without PyTorch" if official else ""
    yield Finding("weights", SLOWER if official else OK, str(chosen.model), remedy)
    for kind in folder.known():
        if kind == "rgi":
            continue
        file = chosen.others.get(kind)
        if file is None:
            yield Finding(
                f"network {kind}", MISSING, "not beside the weights", "`e4s weights FOLDER` says more"
            )
        else:
            yield Finding(f"network {kind}", OK, str(file))


def faces(weights: str | None) -> Iterator[Finding]:
    """Say what finds faces."""
    from e4s_engine.faces import auto, files
    from e4s_engine.faces.retinaface import RetinaFace
    from e4s_engine.pipeline import loading

    try:
        chosen = loading.files_of(*loading.choose(weights))
    except E4SError:  # said already
        chosen = None
    own = chosen is not None and "retinaface" in chosen.others
    # It is asked for its name alone.
    retinaface = RetinaFace(lambda _: np.zeros(0)) if own else None
    detector = auto.at_hand(retinaface, chosen.folder if chosen else None)
    if detector is None:
        fact = "no detector: photos must be aligned, or come with landmarks"
        yield Finding("faces", MISSING, fact, files.INSTALL)
    else:
        yield Finding("faces", OK, detector.name)


def pictures(weights: str | None) -> Iterator[Finding]:
    """Say which picture formats are read."""
    from PIL import Image, features

    Image.preinit()
    fact = f"Pillow {_version('pillow')}"
    lacking = [name for name in ("webp", "avif") if not features.check(name)]
    if lacking:
        remedy = "a newer Pillow from its wheels reads them"
        yield Finding("pictures", MISSING, f"{fact} without {', '.join(lacking)}", remedy)
    elif importlib.util.find_spec("pillow_heif") is None:
        yield Finding("pictures", MISSING, f"{fact} without HEIC", "pip install pillow-heif")
    else:
        yield Finding("pictures", OK, f"{fact}, HEIC by pillow-heif {_version('pillow-heif')}")


def _parted(error: Exception) -> tuple[str, str]:
    """Return what an error's message says, and its remedy."""
    fact, _, remedy = " ".join(str(error).split()).partition("; ")
    return fact, remedy


LOOKS: tuple[Callable[[str | None], Iterator[Finding]], ...] = (
    extension,
    device,
    weights,
    faces,
    pictures,
    extras,
)
