"""Nodes that swap and edit."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError
from e4s_engine.integrations.comfyui import host, sockets, tensors
from e4s_engine.options import SwapOptions
from e4s_engine.photo.images import Pixels
from e4s_engine.regions import NAMES, PRESETS
from e4s_engine.result import Face, Result

_REGIONS = f"{', '.join(NAMES[1:])}, or {', '.join(PRESETS)}; several with commas"


class Swap(io.ComfyNode):
    """Put a face, or some regions of it, into every picture of a batch."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="E4SSwap",
            display_name="E4S Swap",
            category=sockets.CATEGORY,
            description="Puts the source's face, or some regions of it, into every target. Connect a source "
            "picture or an encoded face: one for all targets, or one for each.",
            inputs=[
                sockets.Engine.Input("engine"),
                io.Image.Input("target"),
                io.Image.Input("source", optional=True),
                sockets.Face.Input("source_face", optional=True),
                sockets.Labels.Input("source_labels", optional=True, tooltip="in place of the parser's"),
                sockets.Labels.Input("target_labels", optional=True, tooltip="in place of the parser's"),
                io.String.Input("regions", default="", tooltip=f"empty: the whole face; {_REGIONS}"),
                *sockets.option_inputs(),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def execute(
        cls,
        engine: Engine,
        target: Any,
        regions: str,
        source: Any = None,
        source_face: Any = None,
        source_labels: Any = None,
        target_labels: Any = None,
        **options: Any,
    ) -> io.NodeOutput:
        """Swap the batch."""
        given = _source(source, source_face, "source")
        labels = (source_labels, target_labels)
        how = SwapOptions(**sockets.options(options))
        return _swapped(engine, given, target, regions.strip() or None, labels, how)


class Edit(io.ComfyNode):
    """Mix a reference's texture into some regions of every picture of a batch."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="E4SEdit",
            display_name="E4S Edit",
            category=sockets.CATEGORY,
            description="Mixes the reference's texture (hair colour, make-up) into regions; shapes stay.",
            inputs=[
                sockets.Engine.Input("engine"),
                io.Image.Input("image"),
                io.Image.Input("reference", optional=True),
                sockets.Face.Input("reference_face", optional=True),
                sockets.Labels.Input("reference_labels", optional=True, tooltip="in place of the parser's"),
                sockets.Labels.Input("labels", optional=True, tooltip="in place of the parser's"),
                io.String.Input("regions", default="hair", tooltip=_REGIONS),
                *sockets.option_inputs(without=sockets.NOT_IN_EDITS),
            ],
            outputs=_outputs(),
        )

    @classmethod
    def execute(
        cls,
        engine: Engine,
        image: Any,
        regions: str,
        reference: Any = None,
        reference_face: Any = None,
        reference_labels: Any = None,
        labels: Any = None,
        **options: Any,
    ) -> io.NodeOutput:
        """Edit the batch."""
        if not regions.strip():
            raise ArgumentError(f"regions: expected at least one; known are {_REGIONS}")
        given = _source(reference, reference_face, "reference")
        how = SwapOptions(**sockets.options(options), shape=False)  # all that an edit is
        return _swapped(engine, given, image, regions, (reference_labels, labels), how)


def _outputs() -> list[Any]:
    return [
        io.Image.Output(display_name="image"),
        io.Mask.Output(display_name="changed", tooltip="where the face was pasted"),
        sockets.Result.Output(display_name="result", tooltip="for E4S Save Result"),
    ]


def _source(image: Any, faces: Any, name: str) -> list[Pixels | Face]:
    """Return the pictures or the faces of a source. Raises ArgumentError unless one of both is there."""
    if (image is None) == (faces is None):
        both = "both" if faces is not None else "neither"
        raise ArgumentError(f"{name}: connect either {name} or {name}_face, got {both}")
    return list(tensors.frames(image, name)) if faces is None else list(faces)


def _swapped(
    engine: Engine,
    source: list[Pixels | Face],
    target: Any,
    regions: str | None,
    labels: tuple[Any, Any],
    options: SwapOptions,
) -> io.NodeOutput:
    total = len(target)
    many = len(source) > 1
    source_labels, target_labels = labels
    if source_labels is not None:
        source_labels = tensors.per_picture(source_labels, len(source), "source_labels")
    swaps = engine.swap_each(
        tensors.per_picture(source, total, "source") if many else source[0],
        tensors.frames(target, "target"),
        regions,
        options=options,
        source_labels=source_labels if many or source_labels is None else source_labels[0],
        target_labels=None
        if target_labels is None
        else tensors.per_picture(target_labels, total, "target_labels"),
        on_error="raise",
    )
    results: list[Result] = []
    for swap in swaps:
        assert isinstance(swap, Result)  # an exception was raised
        results.append(swap)
        host.report(len(results), total)
    changed = tensors.mask([result.changed for result in results])
    return io.NodeOutput(tensors.merged(target, results), changed, tuple(results))
