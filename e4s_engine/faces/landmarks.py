"""Face finders of an engine: the best detector at hand or one by name, a caller's own model, or none.

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

_DETECTORS = ", ".join(map(repr, auto.NAMES))


class LandmarkModel(Protocol):
    """A caller's model: finds the faces of an image."""

    def __call__(self, image: Pixels, /) -> Iterable[Any]:
        """Return a `DetectedFace` or landmarks [68, 2] or [5, 2] in pixels for every face."""


@dataclasses.dataclass(frozen=True)
class Finder:
    """Finder of the faces for an engine.

    name: name for people; "none" if nothing does. detect: detector, or None. chosen: whether it is a model
    of the caller's; such a finder crops every photo by the face it finds, while a detector of ours lets a
    square photo that its face fills count as aligned. refused: whether the caller wanted none.
    """

    name: str
    detect: Detector | None
    chosen: bool
    refused: bool = False


def is_detector(model: object) -> bool:
    """Return whether an argument `landmarks` names a detector of ours, which the weights may hold."""
    return isinstance(model, str) and model in auto.NAMES


def resolve(
    model: LandmarkModel | str | None, folder: Path | None = None, retinaface: Detector | None = None
) -> Finder:
    """Return the finder that an argument `landmarks` asks for.

    model: one of `auto.NAMES`, a callable, its name as "package.module:attribute", or None.
    folder, retinaface: see `auto.best`.

    Raises ArgumentError, and BackendError for a detector by name that is not at hand.
    """
    if model is None:
        return Finder("none", None, False, refused=True)
    if is_detector(model):
        best = model == auto.BEST
        found = auto.at_hand(retinaface, folder) if best else auto.named(str(model), retinaface, folder)
        return Finder(found.name if found else "none", found, False)
    function = model if callable(model) else imported(model, "landmarks", f"one of {_DETECTORS}, a callable")
    name = model if isinstance(model, str) else getattr(function, "name", "a landmark model")
    return Finder(str(name), _Called(str(name), function), True)


def imported(name: Any, argument: str, expected: str) -> Any:
    """Import the callable that "module:attribute" names. Raises ArgumentError about the argument.

    expected: what the argument may be, for messages.
    """
    if not isinstance(name, str) or ":" not in name:
        raise ArgumentError(f"{argument}: expected {expected} or 'module:attribute', got {name!r}")
    module, _, attribute = name.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the module may raise anything
        raise ArgumentError(f"{argument}: cannot import {name!r} ('module:attribute'): {error}") from error
    if not callable(function):
        raise ArgumentError(f"{argument}: {name!r} is not callable")
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
