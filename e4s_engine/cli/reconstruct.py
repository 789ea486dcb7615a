"""`e4s reconstruct`: a photo through the model and back."""

from __future__ import annotations

import argparse
from argparse import Namespace

from e4s_engine.cli import engines, files, flags, marking, outputs

HELP = "a photo through the model and back"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    flags.add_image(command)
    flags.add_face(command)
    command.add_argument("--labels", metavar="FILE", help="labels of the image's aligned crop")
    command.add_argument(
        "--steps", type=int, default=0, metavar="N",
        help="optimisation steps, with --backend reference (200 as published); default: the encoder's codes",
    )  # fmt: skip
    flags.add_options(command, only=("blend", "align"))
    flags.add_output(command)
    flags.add_quality(command)
    marking.add(command)
    marking.add_guard(command)
    flags.add_engine(command)
    flags.add_label_format(command)


def run(arguments: Namespace) -> int:
    """Reconstruct and save."""
    outputs.check(arguments, {"--output": arguments.output})
    marking.check(arguments, arguments.output)
    with engines.engine(arguments) as engine:
        result = engine.reconstruct(
            arguments.image,
            files.read_labels(arguments.labels, arguments, "--labels"),
            blend=arguments.blend,
            align=arguments.align,
            landmarks=files.read_landmarks(arguments.image_landmarks, "--image-landmarks"),
            face=arguments.face,
            steps=arguments.steps,
        )
    result.save(arguments.output, quality=arguments.quality, **marking.how(arguments))
    return 0
