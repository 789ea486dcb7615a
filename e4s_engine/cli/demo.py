"""Demo of the whole chain on two rendered people: whole face, eyes and hair, beside the rendered truth."""

from __future__ import annotations

from collections.abc import Sequence

from e4s_engine import regions, synth
from e4s_engine.engine import Engine
from e4s_engine.photo import sheets
from e4s_engine.photo.images import Pixels
from e4s_engine.result import Result

SIDE = 512
SWAPS: dict[str, Sequence[str] | None] = {"whole face": None, "eyes": ["eyes"], "hair": ["hair"]}


def sheet(engine: Engine, seed: int = 0) -> Pixels:
    """Make a contact sheet, uint8 [H, W, 3]: the inputs, three swaps, and their exact answers."""
    source, target = synth.person(2 * seed), synth.person(2 * seed + 1)
    source_picture = synth.render(source, synth.scene(2 * seed), SIDE)
    scene = synth.scene(2 * seed + 1)
    target_picture = synth.render(target, scene, SIDE)
    # An engine with a parser finds the labels itself; otherwise they come from the renderer.
    blind = engine.parser == "none"
    source_labels, target_labels = (
        picture.labels if blind else None for picture in (source_picture, target_picture)
    )
    face = engine.encode(source_picture.image, source_labels)
    swapped: list[sheets.Panel] = []
    composed: list[sheets.Panel] = []
    truth: list[sheets.Panel] = []
    for name, chosen in SWAPS.items():
        result: Result = engine.swap(face, target_picture.image, chosen, target_labels=target_labels)
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
