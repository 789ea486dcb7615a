"""Faces that callers keep: what an encoded photo leaves in them."""

from __future__ import annotations

import dataclasses

from e4s_engine.photo import sharpness, thumbnail
from e4s_engine.pipeline.located import Portrait
from e4s_engine.result import Face


def kept(face: Face, portrait: Portrait, keep_photo: bool) -> Face:
    """Return a portrait's Face with what callers keep of its photo: sharpness and thumbnail.

    keep_photo: whether the photo and its crop stay in memory too. Swaps, which drop their Faces, do without.
    """
    crop = portrait.crop
    return dataclasses.replace(
        face,
        crop=crop if keep_photo else None,
        sharpness=sharpness.of_regions(crop.image, face.labels),
        thumbnail=thumbnail.of(crop.image),
    )
