"""`e4s encode`: a photo, or several of one person, to a saved face."""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from e4s_engine.cli import engines, files, flags, outputs
from e4s_engine.errors import ArgumentError
from e4s_engine.options import Average

if TYPE_CHECKING:
    from e4s_engine.engine import Engine
    from e4s_engine.result import Face

HELP = "save the face of a photo as a small file, which swaps take as their SOURCE without the photo"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument(
        "image", metavar="IMAGE", nargs="+", help="photo; several photos or saved faces of one person"
    )
    command.add_argument("--image-landmarks", metavar="FILE", help=flags.LANDMARKS)
    flags.add_face(command)
    command.add_argument(
        "--how",
        choices=get_args(Average),
        default="mean",
        help="of several photos take each region's mean, or its best view: least hidden, sharpest",
    )
    command.add_argument("--labels", metavar="FILE", help="labels of the image's aligned crop")
    command.add_argument("--consent", metavar="TEXT", help="what the person agreed to")
    command.add_argument("--licence", metavar="TEXT", help="terms of the photo")
    command.add_argument(
        "--no-thumbnail",
        action="store_true",
        help="leave out the small picture; the file then shows nobody",
    )
    flags.add_options(command, only=("align",))
    command.add_argument(
        "-o", "--output", required=True, metavar="FACE", help="file to write, .face or .safetensors"
    )
    flags.add_overwrite(command)
    flags.add_engine(command)
    flags.add_label_format(command)


def run(arguments: Namespace) -> int:
    """Encode and save."""
    outputs.check_face(arguments, "--output", Path(arguments.output))
    _check_several(arguments)
    with engines.engine(arguments) as engine:
        face = _face(engine, arguments)
    texts = {"consent": arguments.consent, "licence": arguments.licence}
    face.save(arguments.output, **texts, thumbnail=not arguments.no_thumbnail)
    return 0


def _check_several(arguments: Namespace) -> None:
    """Raise ArgumentError for flags of a single photo beside several."""
    if len(arguments.image) == 1:
        return
    if arguments.labels or arguments.image_landmarks or arguments.face != "largest":
        raise ArgumentError(
            "--labels, --image-landmarks, --face: belong to one photo; encode it alone, then give its file"
        )


def _face(engine: Engine, arguments: Namespace) -> Face:
    if len(arguments.image) > 1:
        return engine.average(arguments.image, how=arguments.how, align=arguments.align)
    return engine.encode(
        arguments.image[0],
        files.read_labels(arguments.labels, arguments, "--labels"),
        align=arguments.align,
        landmarks=files.read_landmarks(arguments.image_landmarks, "--image-landmarks"),
        face=arguments.face,
    )
