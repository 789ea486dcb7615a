"""`e4s edit`: another photo's texture in some regions."""

from __future__ import annotations

import argparse
from argparse import Namespace

from e4s_engine.cli import engines, files, flags, marking, outputs

HELP = "mix another photo's texture into some regions"

_NOT_HERE = ("shape", "texture", "hair_first")  # every shape stays, and texture is what an edit takes


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    flags.add_image(command)
    command.add_argument("reference", metavar="REFERENCE")
    command.add_argument("--reference-landmarks", metavar="FILE", help=flags.LANDMARKS)
    flags.add_regions(command, True, "regions or presets to take the texture of")
    flags.add_options(command, without=_NOT_HERE)
    command.add_argument("--labels", metavar="FILE", help="labels of the image's aligned crop")
    command.add_argument("--reference-labels", metavar="FILE", help="labels of the reference's aligned crop")
    flags.add_output(command)
    flags.add_quality(command)
    marking.add(command)
    marking.add_guard(command)
    flags.add_engine(command)
    flags.add_label_format(command)


def run(arguments: Namespace) -> int:
    """Edit and save."""
    outputs.check(arguments, {"--output": arguments.output})
    marking.check(arguments, arguments.output)
    files.check_regions(arguments.regions)
    options = engines.options(arguments)
    with engines.engine(arguments) as engine:
        result = engine.edit(
            arguments.image,
            arguments.reference,
            arguments.regions,
            options.extent,
            options=options,
            labels=files.read_labels(arguments.labels, arguments, "--labels"),
            reference_labels=files.read_labels(arguments.reference_labels, arguments, "--reference-labels"),
            landmarks=files.read_landmarks(arguments.image_landmarks, "--image-landmarks"),
            reference_landmarks=files.read_landmarks(arguments.reference_landmarks, "--reference-landmarks"),
        )
    result.save(arguments.output, quality=arguments.quality, **marking.how(arguments))
    return 0
