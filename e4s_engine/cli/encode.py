"""`e4s encode`: a photo to a saved face."""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path

from e4s_engine.cli import engines, files, flags, outputs

HELP = "save the face of a photo as a small file, which swaps take as their SOURCE without the photo"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    flags.add_image(command)
    flags.add_face(command)
    command.add_argument("--labels", metavar="FILE", help="labels of the image's aligned crop")
    command.add_argument("--consent", metavar="TEXT", default="", help="what the person agreed to")
    command.add_argument("--licence", metavar="TEXT", default="", help="terms of the photo")
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
    with engines.engine(arguments) as engine:
        face = engine.encode(
            arguments.image,
            files.read_labels(arguments.labels, arguments, "--labels"),
            align=arguments.align,
            landmarks=files.read_landmarks(arguments.image_landmarks, "--image-landmarks"),
            face=arguments.face,
        )
    texts = {"consent": arguments.consent, "licence": arguments.licence}
    face.save(arguments.output, **texts, thumbnail=not arguments.no_thumbnail)
    return 0
