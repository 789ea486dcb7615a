"""Fading of a paste towards edges of the crop beyond which the photo goes on."""

from __future__ import annotations

import numpy as np

from e4s_engine.photo.align import CROP, Crop
from e4s_engine.photo.boxes import bounds
from e4s_engine.photo.images import Pixels

BAND = 80  # width in crop pixels of the band in which a paste fades; a chin is some 100 from the edge

_SHARE = ((np.arange(CROP) + 0.5) / BAND).clip(0, 1)
_RAMP = _SHARE * _SHARE * (3 - 2 * _SHARE)  # opacity from an edge inwards, without a kink at either end


def towards_edges(alpha: Pixels, crop: Crop) -> Pixels:
    """Return the opacity of a paste, faded to 0 at every edge of the crop that lies inside the photo.

    A neck or hair that goes on beyond the crop would end in a seam there. An edge outside the photo, and a
    photo that is the crop, need no band. alpha: uint8 [1024, 1024].
    """
    edges = inside(crop)
    if not any(edges):
        return alpha
    box = bounds(alpha > 0)
    if box is None:
        return alpha
    left, right, top, bottom = (_RAMP if fades else np.ones(CROP) for fades in edges)
    rows, columns = slice(box[0], box[2]), slice(box[1], box[3])
    down, across = (top * bottom[::-1])[rows], (left * right[::-1])[columns]
    out = np.zeros_like(alpha)
    out[rows, columns] = alpha[rows, columns] * (down[:, None] * across)
    return out


def inside(crop: Crop) -> tuple[bool, bool, bool, bool]:
    """Return which edges of a crop (left, right, top, bottom) lie inside its photo, at least in part."""
    if crop.quad is None:
        return False, False, False, False
    height, width = crop.photo.shape[:2]
    corners = dict(zip(("top left", "bottom left", "bottom right", "top right"), crop.quad, strict=True))
    share = np.linspace(0, 1, 65)[:, None]

    def seen(first: str, last: str) -> bool:
        points = corners[first] * (1 - share) + corners[last] * share
        x, y = points.T
        return bool(((x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)).any())

    return (
        seen("top left", "bottom left"),
        seen("top right", "bottom right"),
        seen("top left", "top right"),
        seen("bottom left", "bottom right"),
    )
