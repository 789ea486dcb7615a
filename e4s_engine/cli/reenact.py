"""`e4s reenact`: a face in the pose and with the expression of another."""

from __future__ import annotations

import argparse
from argparse import Namespace

from e4s_engine.cli import engines, files, flags, marking, outputs

HELP = "a face in the pose and with the expression of another (face-vid2vid)"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument("source", metavar="SOURCE", help="whose face")
    command.add_argument("driving", metavar="DRIVING", help="whose pose and expression")
    command.add_argument(
        "--restore", action="store_true", help="restore the picture, at 1024 x 1024 in place of 256 x 256"
    )
    for flag, whose in (("--source-landmarks", "source"), ("--driving-landmarks", "driving photo")):
        command.add_argument(flag, metavar="FILE", help=f"of the {whose}: {flags.LANDMARKS}")
    flags.add_options(command, only=("align",))
    flags.add_output(command)
    flags.add_quality(command)
    marking.add(command)
    marking.add_guard(command)
    flags.add_engine(command)


def run(arguments: Namespace) -> int:
    """Reenact and save."""
    outputs.check(arguments, {"--output": arguments.output})
    marking.check(arguments, arguments.output)
    with engines.engine(arguments) as engine:
        picture = engine.reenact(
            arguments.source,
            arguments.driving,
            restore=arguments.restore,
            align=arguments.align,
            source_landmarks=files.read_landmarks(arguments.source_landmarks, "--source-landmarks"),
            driving_landmarks=files.read_landmarks(arguments.driving_landmarks, "--driving-landmarks"),
        )
    marking.save(picture, arguments.output, "reenact", quality=arguments.quality, **marking.how(arguments))
    return 0
