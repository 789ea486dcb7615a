"""Files that commands read and write."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from e4s_engine.errors import ImageError, OutputError

_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif"}


def expand(targets: Sequence[str]) -> list[Path]:
    """Return the target photos; a folder is replaced by the photos in it."""
    photos: list[Path] = []
    for target in map(Path, targets):
        if not target.is_dir():
            photos.append(target)
            continue
        inside = sorted(p for p in target.iterdir() if p.is_file() and p.suffix.lower() in _IMAGE_SUFFIXES)
        if not inside:
            raise ImageError(f"target: the folder {target} holds no pictures")
        photos += inside
    return photos


def outputs(targets: Sequence[Path], output: Path, several: bool) -> list[Path]:
    """Return one file per target: `output` itself, or files named after the targets in that folder."""
    if not several and not output.is_dir():
        return [output]
    if not output.is_dir() and (output.exists() or output.suffix.lower() in _IMAGE_SUFFIXES):
        raise OutputError(f"--output: for several photos expected a folder, got {output}")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"--output: cannot make the folder {output}: {error.strerror}; choose another"
        ) from error
    names: list[Path] = []
    for target in targets:
        name, count = output / f"{target.stem}.png", 1
        while name in names:
            count += 1
            name = output / f"{target.stem}_{count}.png"
        names.append(name)
    photos = {target.resolve() for target in targets}
    clash = next((name for name in names if name.resolve() in photos), None)
    if clash is not None and several:
        raise OutputError(f"--output: would write over the target photo {clash}; choose another folder")
    return names


def check_output(path: str | Path, argument: str = "--output") -> None:
    """Check, before any work, that a picture can be written."""
    from e4s_engine.photo import images

    images.check_output(path, argument)


def read_labels(path: str | None, arguments: Namespace, argument: str) -> Any:
    """Read a label file in the convention that the flags say; None stays None."""
    from e4s_engine.photo import labelfile

    return None if path is None else labelfile.read(path, arguments.label_format, argument)


def read_landmarks(path: str | None, argument: str) -> Any:
    """Read a landmark file; None stays None."""
    from e4s_engine.photo import labelfile

    return None if path is None else labelfile.read_landmarks(path, argument)
