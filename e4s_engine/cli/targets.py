"""Targets of a batch: photos and folders of them, and the names of their results."""

from __future__ import annotations

import dataclasses
import os
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from e4s_engine.cli import clips, outputs
from e4s_engine.errors import ArgumentError, ImageError, OutputError
from e4s_engine.photo.files import check_writable

FORMATS = ("png", "jpg", "webp", "avif", "tiff", "bmp", "gif")
_SAME = {".jpeg": ".jpg", ".tif": ".tiff"}


@dataclasses.dataclass(frozen=True)
class Target:
    """A photo or clip, its place in the output folder, and the file to write."""

    photo: Path
    place: Path
    output: Path
    clip: bool = False


def targets(arguments: Namespace, with_clips: bool = False) -> list[Target]:
    """Return the targets of `e4s swap`: where each is, and where its result goes.

    with_clips: whether clips are targets too, as of `e4s batch`.

    Raises ImageError for a folder without pictures, ArgumentError for flags that do not fit together,
    OutputError for results that would be one file.
    """
    output = Path(arguments.output)
    named = [Path(target) for target in arguments.target]
    ends = (os.sep, os.altsep or os.sep)
    several = len(named) > 1 or named[0].is_dir() or arguments.output.endswith(ends)
    clip = with_clips and clips.is_clip(named[0])
    if not several and not output.is_dir() and (output.suffix or not clip):
        if arguments.format:
            raise ArgumentError("--format: is for folders of results; here the name of --output says it")
        return [Target(named[0], Path(named[0].name), output, clip)]
    # A photo may be named twice.
    places = dict.fromkeys(_places(named, arguments.recursive, output, with_clips))
    return in_folder(places, output, arguments.format, with_clips)


def in_folder(
    places: Iterable[tuple[Path, Path]], output: Path, form: str | None, with_clips: bool = False
) -> list[Target]:
    """Return photos, with their places in the folder of results, as targets; makes the folder.

    form: wanted format, as in `name_of`; clips keep theirs. Raises OutputError for results that would be one
    file.
    """
    _make_folder(output)
    listed = [_target(photo, place, output, form, with_clips) for photo, place in places]
    for group in outputs.doubles(target.output for target in listed):
        if len(set(group)) == 1:
            photos = [str(target.photo) for target in listed if target.output == group[0]]
            raise OutputError(
                f"--output: {' and '.join(photos[:2])} would both become {group[0]}; swap them into "
                "different folders, or give the folder above them with --recursive"
            )
    return listed


def _target(photo: Path, place: Path, output: Path, form: str | None, with_clips: bool) -> Target:
    clip = with_clips and clips.is_clip(photo)
    return Target(photo, place, output / (place if clip else name_of(place, form)), clip)


def name_of(place: Path, form: str | None) -> Path:
    """Return the name of a result, which depends on its photo's name alone.

    A photo keeps its name if its format is written without loss of colours (or is the wanted one); otherwise
    the format's suffix is appended, so that t.jpg and t.gif never become one file.

    place: the photo's path in its folder. form: wanted format, one of FORMATS; None: the photo's own.
    """
    from e4s_engine.photo import images

    suffix = place.suffix.lower()
    if form is None:
        return place if suffix in images.FORMATS - {".gif"} else place.with_name(f"{place.name}.png")
    same = _SAME.get(suffix, suffix) == f".{form}"
    return place if same else place.with_name(f"{place.name}.{form}")


def _make_folder(output: Path) -> None:
    from e4s_engine.photo import opening

    if not output.is_dir() and (outputs.identity(output) or output.suffix.lower() in opening.SUFFIXES):
        raise OutputError(f"--output: for several photos expected a folder, got {output}")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"--output: cannot make the folder {output}: {error.strerror}; choose another"
        ) from error


def _places(
    named: Sequence[Path], recursive: bool, output: Path, with_clips: bool
) -> Iterator[tuple[Path, Path]]:
    """Yield every photo with its place below the folder that was named."""
    what = "pictures or clips" if with_clips else "pictures"
    for path in named:
        if not path.is_dir():
            yield path, Path(path.name)
            continue
        inside = sorted(_inside(path, recursive, output, with_clips))
        if not inside:
            more = "" if recursive else "; --recursive looks into its folders"
            raise ImageError(f"target: the folder {path} holds no {what}{more}")
        yield from ((photo, photo.relative_to(path)) for photo in inside)


def _inside(folder: Path, recursive: bool, output: Path, with_clips: bool) -> Iterator[Path]:
    """Yield the pictures in a folder, and perhaps the clips.

    Hidden files are left out, among them the AppleDouble files ("._a.jpg") that macOS leaves on other disks,
    and so are the output folder, if it lies inside, and the parts of clips whose swap was interrupted.
    """
    from e4s_engine.photo import opening
    from e4s_engine.video import ledger

    suffixes = opening.SUFFIXES | set(clips.SUFFIXES if with_clips else ())
    left_out = outputs.identity(output)
    for root, folders, files in os.walk(folder):
        here = Path(root)
        folders[:] = [
            name
            for name in folders
            if recursive
            and not name.startswith(".")
            and not name.endswith(ledger.UNFINISHED)
            and outputs.identity(here / name) != left_out
        ]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                yield here / name


def check(arguments: Namespace, listed: Sequence[Target]) -> list[Target]:
    """Check, before any work, that the results may be written; return the targets that are left to do.

    With --skip-existing results that exist are left out. A photo may be replaced by its own result alone,
    with --overwrite; every other input of a batch is kept in any case.
    """
    read = outputs.identities([*outputs.inputs(arguments), *(target.photo for target in listed)])
    left: list[Target] = []
    existing: list[Path] = []
    for target in listed:
        _check_place(target)
        key = outputs.identity(target.output)
        if key is None:
            left.append(target)
            continue
        own = len(listed) == 1 or key == outputs.identity(target.photo)
        if key in read and not (arguments.overwrite and own):
            raise outputs.is_input(target.output, "--output", read[key], may_be=own)
        if not arguments.skip_existing:
            left.append(target)
            existing.append(target.output)
    if existing and not arguments.overwrite:
        what = f"{existing[0]} exists already"
        if len(existing) > 1:
            what = f"{len(existing)} of {len(listed)} results exist already, {existing[0]} first"
        raise OutputError(f"--output: {what}; --skip-existing keeps what is there, --overwrite replaces it")
    return left


def _check_place(target: Target) -> None:
    """Check a result's format and folder; make the folders between, which --recursive needs."""
    if len(target.place.parts) > 1:
        target.output.parent.mkdir(parents=True, exist_ok=True)
    if target.clip:
        check_writable(target.output, "--output")
    else:
        outputs.check_format(target.output, "--output")
