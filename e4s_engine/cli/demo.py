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
    command.add_argument("--seed", type=flags.natural, default=0, metavar="N", help="other people")
    flags.add_engine(command)


def run(arguments: Namespace) -> int:
    """Write the sheet."""
    output = Path(arguments.output or SHEET)
    output.parent.mkdir(parents=True, exist_ok=True)
    arguments.overwrite |= arguments.output is None
    outputs.check(arguments, {"--output": output})
    warnings.simplefilter("ignore", DemoModelWarning)  # rendered people; `main` restores the filters
    with engines.engine(arguments) as engine:
        marking.save(sheet(engine, arguments.seed), output, "sheet", sign=False)
    print(f"look at {output}")
    return 0


def sheet(engine: Engine, seed: int = 0) -> Pixels:
    """Make a contact sheet, uint8 [H, W, 3]: the inputs, three swaps, and their exact answers."""
    from e4s_engine import regions, synth
    from e4s_engine.photo import sheets

    source, target = synth.person(2 * seed), synth.person(2 * seed + 1)
    source_picture = synth.render(source, synth.scene(2 * seed), SIDE)
    scene = synth.scene(2 * seed + 1)
    target_picture = synth.render(target, scene, SIDE)
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
