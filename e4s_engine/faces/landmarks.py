"""Landmark models: callables that find faces in a photo.

A model maps an image uint8 [H, W, 3] to a list of landmarks, one float array [68, 2] (iBUG order) or
[5, 2] (eyes, nose tip, mouth corners) per face, in pixels.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from e4s_engine.errors import AlignmentError, ArgumentError, noted
from e4s_engine.photo import align
from e4s_engine.photo.images import Pixels

LandmarkModel = Callable[[Pixels], Sequence[Any]]


def resolve(model: LandmarkModel | str | None) -> LandmarkModel | None:
    """Return a callable as it is, a "package.module:attribute" name as what it names, None as None."""
    if model is None or callable(model):
        return model
    if not isinstance(model, str):
        raise ArgumentError(f"landmarks: expected a callable or 'module:attribute', got {model!r}")
    module, _, attribute = model.partition(":")
    try:
        function = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the module may raise anything
        raise ArgumentError(f"landmarks: cannot import {model!r} ('module:attribute'): {error}") from error
    if not callable(function):
        raise ArgumentError(f"landmarks: {model!r} is not callable")
    return function


def largest_face(model: LandmarkModel, photo: Pixels, argument: str) -> align.Points:
    """Return the landmarks of the largest face in the photo. Raises AlignmentError if there is none."""
    with noted(f"{argument}: raised by the landmark model that the engine was made with"):
        result = model(photo.copy())  # the model may change its picture
    try:
        found = iter(result)
    except TypeError as error:
        raise AlignmentError(
            f"{argument}: the landmark model must return a list of [68, 2] or [5, 2] arrays, got "
            f"{type(result).__name__}"
        ) from error
    with noted(f"{argument}: raised by what the landmark model returned"):
        faces = list(found)
    if not faces:
        raise AlignmentError(
            f"{argument}: the landmark model finds no face; pass landmarks yourself, or align=False for a "
            "square portrait that is aligned already"
        )
    name = f"{argument}: landmark model"
    candidates = [align.check_landmarks(face, name) for face in faces]
    return max(candidates, key=lambda points: float(np.ptp(align.quad_of(points, name), axis=0).max()))
