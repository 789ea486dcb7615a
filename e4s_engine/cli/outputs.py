"""Files that commands write: the one place that decides whether a file may be written."""

from __future__ import annotations

import os
import unicodedata
from argparse import Namespace
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from e4s_engine.errors import ArgumentError, OutputError
from e4s_engine.photo.files import check_writable
from e4s_engine.weights import facefile

_INPUTS = (
    "source", "target", "image", "photo", "reference", "driving", "official", "clip", "labels",
    "source_labels",
    "target_labels", "reference_labels", "image_landmarks", "source_landmarks", "target_landmarks",
    "reference_landmarks", "driving_landmarks", "weights", "parser", "c2pa_cert", "c2pa_key",
)  # fmt: skip
_PAIRS = ("also", "put")  # WHAT=IMAGE

Identity = tuple[int, int]
LABELS = "--save-labels"


def inputs(arguments: Namespace) -> list[Path]:
    """Return the files and folders that a command names to be read."""
    values: list[str] = []
    for name in _INPUTS:
        value = getattr(arguments, name, None)
        values += value if isinstance(value, list) else [value] if isinstance(value, str) else []
    for name in _PAIRS:
        values += [item.partition("=")[2] for item in getattr(arguments, name, None) or ()]
    return list(map(Path, values))


def check(arguments: Namespace, outputs: Mapping[str, str | Path | None]) -> None:
    """Check, before any work, that the files of a command may be written.

    outputs: files by the flags that name them; None: the flag was not given.

    Raises OutputError for a file that cannot be written, that two flags name, or that is there already,
    above all if it is an input, unless --overwrite was given; ArgumentError for an unknown picture format.
    """
    wanted = {flag: Path(path) for flag, path in outputs.items() if path is not None}
    for flag, path in wanted.items():
        check_format(path, flag)
    _check_places(arguments, wanted)


def check_face(arguments: Namespace, flag: str, path: Path) -> None:
    """Check like `check` that a face may be saved: a file with the ending of one."""
    if not facefile.is_saved(path):
        raise ArgumentError(f"{flag}: {path} must end in {' or '.join(facefile.SUFFIXES)}")
    check_writable(path, flag)
    _check_places(arguments, {flag: path})


def _check_places(arguments: Namespace, wanted: Mapping[str, Path]) -> None:
    """Raise OutputError for files that may not be replaced, or that two flags name."""
    read = identities(inputs(arguments))
    for flag, path in wanted.items():
        check_free(path, flag, read, arguments.overwrite)
    twice = next(doubles(wanted.values()), None)
    if twice:
        flags = [flag for flag, path in wanted.items() if path in twice]
        raise OutputError(f"{flags[1]}: is the same file as {flags[0]}; give it another name")


def check_format(path: Path, flag: str) -> None:
    """Raise ArgumentError for an unknown format, OutputError for a place that cannot be written.

    Pictures are written everywhere, label maps as arrays too.
    """
    from e4s_engine.photo import files, images

    if flag == LABELS and path.suffix.lower() == ".npy":
        files.check_writable(path, flag)
    else:
        images.check_output(path, flag)


def check_free(path: Path, flag: str, read: Mapping[Identity, Path], overwrite: bool) -> None:
    """Raise OutputError for a file that is an input, or that is there already, unless it may be replaced."""
    key = identity(path)
    if overwrite or key is None:
        return
    if original := read.get(key):
        raise is_input(path, flag, original)
    raise OutputError(f"{flag}: {path} exists already; choose another name, or pass --overwrite")


def is_input(path: Path, flag: str, original: Path, may_be: bool = True) -> OutputError:
    """Return the error for an output that is an input. may_be: whether --overwrite would allow it."""
    alias = "" if str(path) == str(original) else f" (under the name {path})"
    mean = ", or pass --overwrite if you mean it" if may_be else ""
    return OutputError(
        f"{flag}: would replace the input {original}{alias}; choose another name or folder{mean}"
    )


def identities(paths: Iterable[Path]) -> dict[Identity, Path]:
    """Return existing files by device and inode, which are the same by any path, link or case."""
    return {key: path for path in reversed(list(paths)) if (key := identity(path)) is not None}


def identity(path: Path) -> Identity | None:
    """Return a file's device and inode; None if there is no such file."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def doubles(paths: Iterable[Path]) -> Iterator[Sequence[Path]]:
    """Yield groups of paths that name one file, perhaps only where case does not matter."""
    groups: dict[str, list[Path]] = {}
    for path in paths:
        key = unicodedata.normalize("NFC", os.path.realpath(path)).casefold()
        groups.setdefault(key, []).append(path)
    yield from (group for group in groups.values() if len(group) > 1)
