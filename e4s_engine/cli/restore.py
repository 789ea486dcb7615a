"""`e4s restore`: a photo at four times its size, its faces drawn anew."""

from __future__ import annotations

import argparse
from argparse import Namespace

from e4s_engine.cli import engines, flags, marking, outputs

HELP = "a photo at four times its size, every face drawn anew (RealESRNet, GPEN)"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument("image", metavar="PHOTO")
    flags.add_output(command)
    flags.add_quality(command)
    marking.add(command)
    marking.add_guard(command)
    flags.add_engine(command)


def run(arguments: Namespace) -> int:
    """Restore and save."""
    outputs.check(arguments, {"--output": arguments.output})
    marking.check(arguments, arguments.output)
    with engines.engine(arguments) as engine:
        restored = engine.restore(arguments.image)
    restored.save(arguments.output, quality=arguments.quality, **marking.how(arguments))
    count = len(restored.faces)
    print(f"{arguments.output}: {count} face{'' if count == 1 else 's'} restored")
    return 0
