"""Contact sheet of a swap, as `e4s swap --explain` writes it."""

from __future__ import annotations

from collections.abc import Sequence

from e4s_engine.photo.images import Pixels
from e4s_engine.photo.sheets import colour, legend, overlay, sheet
from e4s_engine.pipeline.located import Portrait
from e4s_engine.result import Result


def swap_sheet(sources: Sequence[Portrait], target: Portrait, result: Result) -> Pixels:
    """Show a swap's steps: inputs, generated face and result above, parsed and composed labels below.

    sources, target: as `Engine.portrait` returns them, with labels.
    """
    names = ["source"] if len(sources) == 1 else [f"source {i + 1}" for i in range(len(sources))]
    inputs = [*zip(names, sources, strict=True), ("target", target)]
    pictures = [(name, portrait.crop.image) for name, portrait in inputs]
    parsed = [
        (f"{name} labels", overlay(portrait.crop.image, portrait.labels))
        for name, portrait in inputs
        if portrait.labels is not None
    ]
    composed = colour(result.labels, result.holes)
    return sheet(
        [
            [*pictures, ("face as generated", result.face), ("result", result.image)],
            [*parsed, ("composed, holes hatched", composed), ("regions", legend())],
        ]
    )
