"""`e4s faces`: the faces of a photo."""

from __future__ import annotations

import argparse
import json
from argparse import Namespace
from typing import TYPE_CHECKING

from e4s_engine.cli import engines, flags, outputs

if TYPE_CHECKING:
    from e4s_engine.faces.face import DetectedFace

HELP = "the faces of a photo, with the numbers by which --faces chooses them"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument("image", metavar="PHOTO")
    command.add_argument(
        "-o", "--output", metavar="OVERLAY", help="also write the photo with the faces drawn in"
    )
    flags.add_overwrite(command)
    command.add_argument("--json", action="store_true", help="print one object per face, with its landmarks")
    flags.add_engine(command)


def run(arguments: Namespace) -> int:
    """List the faces, largest first, and draw them."""
    from e4s_engine.faces import overlay
    from e4s_engine.photo import images

    outputs.check(arguments, {"--output": arguments.output})
    with engines.engine(arguments) as engine:
        photo = images.read(arguments.image, "image")
        faces = engine.faces(photo)
        name = engine.landmarks
    for number, face in enumerate(faces):
        print(json.dumps({"number": number} | face.facts()) if arguments.json else _line(number, face))
    if not arguments.json:
        print(f"{len(faces)} face{'' if len(faces) == 1 else 's'} by {name}")
    if arguments.output:
        images.write(overlay.draw(photo, faces), arguments.output, "--output")
    return 0


def _line(number: int, face: DetectedFace) -> str:
    x, y = face.centre
    text = f"{number}: at {x:.0f},{y:.0f}, crop {face.side:.0f} wide, turned {round(face.angle)} degrees"
    return f"{text}, score {face.score:.2f}" + (f" ({face.warning})" if face.warning else "")
