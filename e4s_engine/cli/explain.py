"""Contact sheet of a swap, as `e4s swap --explain` writes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from e4s_engine.photo.images import Pixels
from e4s_engine.photo.sheets import Panel, colour, legend, overlay, sheet
from e4s_engine.pipeline.located import Portrait
from e4s_engine.regions import Labels
from e4s_engine.result import Driven, Result


def swap_sheet(
    sources: Sequence[Portrait], target: Portrait, result: Result, parse: Callable[[Pixels], Labels]
) -> Pixels:
    """Show a swap's steps: inputs, generated face and result above, parsed and composed labels below.

    Sources that were driven are followed by the driven and the restored face, whose labels the swap read; a
    face that was re-coloured or inpainted by the pictures after these steps.

    sources, target: as `Engine.portrait` returns them, with labels. parse: function aligned crop -> labels.
    """
    names = ["source"] if len(sources) == 1 else [f"source {i + 1}" for i in range(len(sources))]
    given = list(zip(names, sources, strict=True))
    steps = [step for driven in result.faces[0].driven for step in _steps(driven)]
    pictures = [(name, portrait.crop.image) for name, portrait in given]
    above = [*pictures, *steps, ("target", target.crop.image)]
    parsed = [_labelled(name, one.crop.image, one.labels) for name, one in given if one.labels is not None]
    parsed += [_labelled(name, picture, parse(picture)) for name, picture in steps[-1:]]
    if target.labels is not None:
        parsed.append(_labelled("target", target.crop.image, target.labels))
    composed = colour(result.labels, result.holes)
    return sheet(
        [
            [*above, ("face as generated", result.face), *result.stages, ("result", result.image)],
            [*parsed, ("composed, holes hatched", composed), ("regions", legend())],
        ]
    )


def _labelled(name: str, picture: Pixels, labels: Labels) -> Panel:
    return f"{name} labels", overlay(picture, labels)


def _steps(driven: Driven) -> list[Panel]:
    """Return what was made of a source, with names."""
    steps = (("driven", driven.reenacted), ("restored", driven.restored))
    return [(name, picture) for name, picture in steps if picture is not None]
