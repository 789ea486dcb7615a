"""`e4s demo`: whole face, eyes and hair of a rendered person in another, beside the rendered truth."""

from __future__ import annotations

import argparse
import warnings
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from e4s_engine.cli import engines, flags, marking, outputs
from e4s_engine.errors import DemoModelWarning

if TYPE_CHECKING:
    from e4s_engine.engine import Engine
    from e4s_engine.photo import sheets
    from e4s_engine.photo.images import Pixels
    from e4s_engine.synth.render import Picture

HELP = "the whole chain on two made-up people, as a contact sheet"

SIDE = 512
SHEET = "out/demo.png"
SWAPS: dict[str, Sequence[str] | None] = {"whole face": None, "eyes": ["eyes"], "hair": ["hair"]}


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument(
        "-o", "--output", metavar="SHEET", help=f"default: {SHEET}, which is replaced if it exists"
    )
    flags.add_overwrite(command)
    command.add_argument(
        "--photos",
        metavar="FOLDER",
        help="also write the photos of the two people there: e4s_source.png, e4s_target.png",
    )
    command.add_argument("--seed", type=flags.natural, default=0, metavar="N", help="other people")
    flags.add_engine(command)


def run(arguments: Namespace) -> int:
    """Write the sheet."""
    from e4s_engine.photo import images

    output = Path(arguments.output or SHEET)
    output.parent.mkdir(parents=True, exist_ok=True)
    arguments.overwrite |= arguments.output is None
    photos = _photos(arguments.photos)
    outputs.check(arguments, {"--output": output, **photos})
    warnings.simplefilter("ignore", DemoModelWarning)  # rendered people; `main` restores the filters
    with engines.engine(arguments) as engine:
        marking.save(sheet(engine, arguments.seed), output, "sheet", sign=False)
    for photo, rendered in zip(photos.values(), people(arguments.seed), strict=False):
        images.write(rendered.image, photo, "--photos")
    print(f"look at {output}")
    return 0


def _photos(folder: str | None) -> dict[str, Path]:
    """Return the files of the two photos by the names of errors about them; makes their folder."""
    if folder is None:
        return {}
    Path(folder).mkdir(parents=True, exist_ok=True)
    return {f"--photos {name}": Path(folder) / f"e4s_{name}.png" for name in ("source", "target")}


def people(seed: int) -> tuple[Picture, Picture]:
    """Render the source and the target."""
    from e4s_engine import synth

    source, target = (
        synth.render(synth.person(number), synth.scene(number), SIDE) for number in (2 * seed, 2 * seed + 1)
    )
    return source, target


def sheet(engine: Engine, seed: int = 0) -> Pixels:
    """Make a contact sheet, uint8 [H, W, 3]: the inputs, three swaps, and their exact answers."""
    from e4s_engine import regions, synth
    from e4s_engine.photo import sheets

    source, target = synth.person(2 * seed), synth.person(2 * seed + 1)
    scene = synth.scene(2 * seed + 1)
    source_picture, target_picture = people(seed)
    # An engine with a parser finds the labels itself; otherwise they come from the renderer.
    blind = engine.parser == "none"
    source_labels, target_labels = (
        picture.labels if blind else None for picture in (source_picture, target_picture)
    )
    face = engine.encode(source_picture.image, source_labels, align=False)
    swapped: list[sheets.Panel] = []
    composed: list[sheets.Panel] = []
    truth: list[sheets.Panel] = []
    for name, chosen in SWAPS.items():
        result = engine.swap(face, target_picture.image, chosen, target_labels=target_labels, align=False)
        names = chosen or [regions.NAMES[r] for r in regions.FACE]
        answer = synth.render(synth.combine(target, source, names), scene, SIDE)
        swapped.append((name, result.image))
        composed.append((f"{name}: labels", sheets.colour(result.labels, result.holes)))
        truth.append((f"{name}: rendered truth", answer.image))
    return sheets.sheet(
        [
            [("source", source_picture.image), *swapped],
            [("target", target_picture.image), *composed],
            [("regions", sheets.legend()), *truth],
        ]
    )
