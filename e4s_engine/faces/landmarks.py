"""Landmark models: anything that finds faces in a photo.

A model is a callable: image uint8 [H, W, 3] -> list of landmarks, one float array [68, 2] (iBUG order) or
[5, 2] (eyes, nose tip, mouth corners) per face, in pixels.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from e4s_engine.errors import AlignmentError, ArgumentError
from e4s_engine.photo import align
from e4s_engine.photo.images import Pixels

LandmarkModel = Callable[[Pixels], Sequence[Any]]


def resolve(model: LandmarkModel | str | None) -> LandmarkModel | None:
    """A landmark model given as a callable or by name, "package.module:attribute"; None stays None."""
    if model is None or callable(model):
        return model
    if not isinstance(model, str):
        raise ArgumentError(f"landmarks: expected a callable or 'module:attribute', got {model!r}")
    module, _, attribute = model.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # the module may raise anything
        raise ArgumentError(f"landmarks: cannot import {model!r} ('module:attribute'): {error}") from error
    if not callable(found):
        raise ArgumentError(f"landmarks: {model!r} is not callable")
    return found


def largest_face(model: LandmarkModel, photo: Pixels, argument: str) -> align.Points:
    """The landmarks of the photo's largest face. Raises AlignmentError where the model finds none."""
    found = model(photo.copy())  # whatever it does to its picture
    try:
        faces = list(found)
    except TypeError as error:
        raise AlignmentError(
            f"{argument}: the landmark model must return a list of [68, 2] or [5, 2] arrays, got "
            f"{type(found).__name__}"
        ) from error
    if not faces:
        raise AlignmentError(
            f"{argument}: the landmark model finds no face; pass landmarks yourself, or align=False for a "
            "square portrait that is aligned already"
        )
    name = f"{argument}: landmark model"
    checked = [align.check_landmarks(face, name) for face in faces]
    return max(checked, key=lambda points: float(np.ptp(align.quad_of(points, name), axis=0).max()))
