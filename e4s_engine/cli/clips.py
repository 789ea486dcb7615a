"""Clips among the targets of `e4s batch`: which they are, and their swaps, as `e4s video` makes them."""

from __future__ import annotations

import argparse
import re
import shutil
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e4s_engine.cli import engines, flags, marking
from e4s_engine.errors import ArgumentError, OutputError

if TYPE_CHECKING:
    from e4s_engine.engine import Engine
    from e4s_engine.video.options import Steady

SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm")  # results have their clip's
# Flags of photos by the values that they have unless somebody gives them.
_OF_PHOTOS = {
    "target_labels": None, "target_landmarks": None, "align": "auto", "full_face": False, "pixel_mark": False,
}  # fmt: skip


def is_clip(path: Path) -> bool:
    """Return whether a path is that of a clip, by its ending."""
    return path.suffix.lower() in SUFFIXES


def add(command: argparse.ArgumentParser) -> None:
    """Add the flags that say how a clip is swapped and encoded."""
    command.add_argument(
        "--every",
        type=flags.positive,
        default=16,
        metavar="N",
        help="in clips: encode the target every N frames; 1: every frame",
    )
    command.add_argument("--no-steady", action="store_true", help="in clips: swap every frame as a photo")
    command.add_argument("--encoder", default="auto", help="auto, h264, hevc, av1, vp9 or ffv1 (lossless)")
    command.add_argument(
        "--no-audio", action="store_true", help="leave out the sound, which is copied otherwise"
    )


def steady(arguments: Namespace) -> Steady:
    """Return how steady clips are, as the flags say."""
    from e4s_engine.video.options import Steady

    return Steady.off() if arguments.no_steady else Steady(every=arguments.every)


def check(arguments: Namespace, listed: Sequence[Path]) -> None:
    """Check before any work that clips can be swapped. Raises ArgumentError, or BackendError without PyAV."""
    clip = next(filter(is_clip, listed), None)
    if clip is None:
        return
    from e4s_engine.video import codecs

    codecs.pyav()
    steady(arguments)
    given = [name for name, value in _OF_PHOTOS.items() if getattr(arguments, name, value) != value]
    if given:
        flag = f"--{given[0].replace('_', '-')}"
        raise ArgumentError(f"{flag}: is for photos, and {clip} is a clip; swap the clips by another command")


def begin_anew(output: Path) -> None:
    """Delete what an interrupted run has left of a clip. Raises OutputError if that fails."""
    from e4s_engine.video import ledger

    unfinished = ledger.folder_of(output)
    if not unfinished.exists():
        return
    try:
        shutil.rmtree(unfinished)
    except OSError as error:
        raise OutputError(
            f"--overwrite: cannot delete {unfinished}, an unfinished run ({error.strerror or error}); "
            "delete it by hand"
        ) from error


def save(engine: Engine, arguments: Namespace, source: tuple[Any, Any], clip: Path, output: Path) -> None:
    """Swap a clip into its file, or go on with an interrupted run of the same. Raises E4SError.

    source: as `swap.source_of` returns it.
    """
    if output.exists() and not arguments.overwrite:
        raise OutputError(f"--output: {output} has appeared meanwhile and is kept")
    person, regions = source
    options = engines.options(arguments)
    if arguments.put:
        options = options.changed(faces="largest")  # the source names the tracks itself
    with engine.video(person, clip, regions, options=options, steady=steady(arguments)) as video:
        video.save(
            output,
            encoder=arguments.encoder,
            audio=not arguments.no_audio,
            resume=True,
            sign=marking.sign(arguments),
        )


def about_target(message: str) -> str:
    """Return a message about a clip as one about a target of a batch."""
    return re.sub(r"^(frames|clip): ", "target: ", message)
