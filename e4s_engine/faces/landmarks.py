"""Face finders of an engine: the best detector at hand, a caller's own landmark model, or none.

A caller's model maps an image uint8 [H, W, 3] to a list of faces: one `DetectedFace`, or one float array of
landmarks [68, 2] (iBUG order) or [5, 2] (eyes, nose tip, mouth corners) in pixels, per face.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from e4s_engine.errors import AlignmentError, ArgumentError, noted
from e4s_engine.faces import auto, handedness
from e4s_engine.faces.face import DetectedFace, Detector, ordered
from e4s_engine.photo import align
from e4s_engine.photo.images import Pixels


class LandmarkModel(Protocol):
    """A caller's model: finds the faces of an image."""

    def __call__(self, image: Pixels, /) -> Iterable[Any]:
        """Return a `DetectedFace` or landmarks [68, 2] or [5, 2] in pixels for every face."""


@dataclasses.dataclass(frozen=True)
class Finder:
    """Finder of the faces for an engine.

    name: name for people; "none" if nothing does. detect: detector, or None. chosen: whether the caller
    chose it; such a finder crops every photo by the face it finds, while the best one at hand lets a square
    photo that its face fills count as aligned. refused: whether the caller wanted none.
    """

    name: str
    detect: Detector | None
    chosen: bool
    refused: bool = False


def resolve(
    model: LandmarkModel | str | None, folder: Path | None = None, retinaface: Detector | None = None
) -> Finder:
    """Return the finder that an argument `landmarks` asks for.

    model: "auto", a callable, its name as "package.module:attribute", or None.
    folder, retinaface: see `auto.best`.
    """
    if model is None:
        return Finder("none", None, False, refused=True)
    if isinstance(model, str) and model == "auto":
        best = auto.at_hand(retinaface, folder)
        return Finder(best.name if best else "none", best, False)
    function = model if callable(model) else _imported(model)
    name = model if isinstance(model, str) else getattr(function, "name", "a landmark model")
    return Finder(str(name), _Called(str(name), function), True)


def _imported(model: Any) -> LandmarkModel:
    if not isinstance(model, str) or ":" not in model:
        raise ArgumentError(f"landmarks: expected 'auto', a callable or 'module:attribute', got {model!r}")
    module, _, attribute = model.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the module may raise anything
        raise ArgumentError(f"landmarks: cannot import {model!r} ('module:attribute'): {error}") from error
    if not callable(function):
        raise ArgumentError(f"landmarks: {model!r} is not callable")
    return function


@dataclasses.dataclass(frozen=True)
class _Called:
    """A caller's landmark model as a detector."""

    name: str
    model: LandmarkModel

    def __call__(self, image: Pixels) -> list[DetectedFace]:
        """Return the faces, largest first. Raises AlignmentError for any other answer of the model."""
        with noted("raised by the landmark model that the engine was made with"):
            result = self.model(image.copy())  # the model may change its picture
        try:
            found = iter(result)
        except TypeError as error:
            raise AlignmentError(
                "the landmark model must return a list of [68, 2] or [5, 2] arrays, got "
                f"{type(result).__name__}"
            ) from error
        with noted("raised by what the landmark model returned"):
            answers = list(found)
        return ordered(map(_face, answers))


def _face(answer: Any) -> DetectedFace:
    if isinstance(answer, DetectedFace):
        return answer
    points = align.check_landmarks(answer, "landmark model")
    handedness.check(points, "landmark model")
    align.quad_of(points, "landmark model")
    return DetectedFace.around(points)
