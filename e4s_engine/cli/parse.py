"""`e4s parse`: the regions of a photo."""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path

from e4s_engine.cli import engines, files, flags, outputs
from e4s_engine.errors import ArgumentError

HELP = "the regions of a photo, as a coloured overlay"

_LOSSLESS = {".png", ".npy", ".tif", ".tiff", ".bmp"}


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    flags.add_image(command)
    flags.add_face(command)
    command.add_argument(outputs.LABELS, metavar="FILE", help="also write the label map itself (png, npy)")
    flags.add_options(command, only=("align",))
    flags.add_output(command)
    flags.add_engine(command)


def run(arguments: Namespace) -> int:
    """Parse, and save the overlay and the labels."""
    from e4s_engine.photo import images, labelfile, sheets

    outputs.check(arguments, {"--output": arguments.output, outputs.LABELS: arguments.save_labels})
    if arguments.save_labels and Path(arguments.save_labels).suffix.lower() not in _LOSSLESS:
        raise ArgumentError("--save-labels: JPEG and WebP would change the labels; write .png or .npy")
    with engines.engine(arguments) as engine:
        points = files.read_landmarks(arguments.image_landmarks, "--image-landmarks")
        portrait = engine.portrait(
            arguments.image, align=arguments.align, landmarks=points, face=arguments.face
        )
        labels = engine.parse(portrait)
    images.write(sheets.overlay(portrait.crop.image, labels), arguments.output, "--output")
    if arguments.save_labels:
        labelfile.write(labels, arguments.save_labels, outputs.LABELS)
    return 0
