"""Crops that reach beyond their photo: reflected borders in place of black ones."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine.photo import images
from e4s_engine.photo.align import CROP, Crop, Points
from e4s_engine.photo.images import Pixels


def outside(crop: Crop) -> npt.NDArray[np.bool_]:
    """Return where a crop lies outside its photo, bool [1024, 1024]."""
    if crop.quad is None:
        return np.zeros(crop.image.shape[:2], np.bool_)
    height, width = crop.photo.shape[:2]
    across, down = crop.quad[3] - crop.quad[0], crop.quad[1] - crop.quad[0]
    place = (np.arange(CROP) + 0.5) / CROP
    x, y = (
        crop.quad[0][axis] + place[None, :] * across[axis] + place[:, None] * down[axis] for axis in (0, 1)
    )
    return (x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)


def reflected(crop: Crop) -> Crop:
    """Return a crop whose pixels outside the photo mirror those inside; one within its photo as it is.

    The networks see skin and background go on where the published crop turns black. A pixel inside the photo
    keeps its value, except in its last row and column, where the published crop fades to black.
    """
    beyond = outside(crop)
    if crop.quad is None or not beyond.any():
        return crop
    region, corners = _around(crop.photo, crop.quad)
    data = tuple((corners + 0.5).ravel())
    mirrored = np.array(
        Image.fromarray(region).transform((CROP, CROP), Image.Transform.QUAD, data, Image.Resampling.BILINEAR)
    )
    return dataclasses.replace(crop, image=np.where(beyond[..., None], mirrored, crop.image))


def _around(photo: Pixels, quad: Points) -> tuple[Pixels, Points]:
    """Return the photo's part around a quad, mirrored beyond its edges, and the quad's corners in it."""
    shrink = int(np.hypot(*(quad[3] - quad[1])) / CROP * 0.5)  # as the crop itself was reduced
    corners = quad.copy()
    if shrink > 1:
        height, width = photo.shape[:2]
        size = max(1, round(width / shrink)), max(1, round(height / shrink))
        photo = images.resize(photo, *size, Image.Resampling.LANCZOS)
        corners /= shrink
    low = np.floor(corners.min(0)).astype(int) - 1
    high = np.ceil(corners.max(0)).astype(int) + 2
    rows, columns = (_mirror(np.arange(low[axis], high[axis]), photo.shape[1 - axis]) for axis in (1, 0))
    return photo[rows[:, None], columns], corners - low


def _mirror(index: npt.NDArray[np.int_], count: int) -> npt.NDArray[np.int_]:
    """Mirror indices beyond an axis of `count` pixels back into it, as often as needed."""
    around = index % (2 * count)
    return np.where(around < count, around, 2 * count - 1 - around)
