"""Masks and edges of the longer paper: soft erosion, OpenCV's 8-bit blurs, resizes at aligned corners."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.photo import blend
from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Mask

Floats = npt.NDArray[np.float32]

RADIUS = blend.SOFT_REACH  # of the soft erosion's window, 15 x 15
FULL = 0.6  # share of the window from which a pixel counts as inside


def erode(mask: Floats) -> Floats:
    """Fade a mask [H, W] in 0..1 towards its edge (MegaFS's soft erosion, one pass).

    The window's weights fall with the distance to its centre; outside the picture is 0. Means from 0.6 on
    become 1, and the others are divided by the largest of them.
    """
    result = _means(mask)
    full = result >= FULL
    largest = result[~full].max(initial=0)
    if largest > 0:
        result[~full] /= largest
    result[full] = 1
    return result


def _means(mask: Floats) -> Floats:
    """Return the weighted mean of each pixel's window; windows of 0 or of 1 alone are not summed."""
    away = np.arange(-RADIUS, RADIUS + 1)
    distance = np.sqrt(away[:, None] ** 2 + away**2, dtype=np.float32)
    kernel = distance.max() - distance
    kernel /= kernel.sum()
    padded = np.pad(mask, RADIUS)
    inner = np.s_[RADIUS : RADIUS + mask.shape[0], RADIUS : RADIUS + mask.shape[1]]
    everywhere = blend.shrunk(padded >= 1, RADIUS)[inner]
    result = everywhere.astype(np.float32)
    places = np.flatnonzero(np.pad(blend.grown(mask > 0, RADIUS) & ~everywhere, RADIUS))
    # One tap after another, each rounded once, as the published convolution adds them: BLAS sums in an order
    # of its own, and bytes that are truncated later differ.
    flat, total = padded.ravel(), np.zeros(len(places), np.float32)
    for (i, j), share in np.ndenumerate(kernel.astype(np.float64)):
        tap = flat[places + ((i - RADIUS) * padded.shape[1] + j - RADIUS)]
        total = (total + share * tap).astype(np.float32)
    result[np.unravel_index(places, padded.shape)[0] - RADIUS, places % padded.shape[1] - RADIUS] = total
    return result


def blur(image: Pixels, taps: tuple[int, ...]) -> Pixels:
    """Blur [H, W] by integer taps of sum 256, mirrored, rounded once at the end: OpenCV's 8-bit Gaussian."""
    radius, total = len(taps) // 2, image.astype(np.int32)
    for axis in (0, 1):
        padding = [(radius, radius) if i == axis else (0, 0) for i in range(2)]
        wide = np.moveaxis(np.pad(total, padding, mode="reflect"), axis, 0)
        n = image.shape[axis]
        mixed = np.asarray(sum(tap * wide[i : i + n] for i, tap in enumerate(taps)))
        total = np.moveaxis(mixed, 0, axis)
    return ((total + 32768) >> 16).astype(np.uint8)


THREE, FIVE, SEVEN = (85, 86, 85), (51, 51, 52, 51, 51), (36, 36, 37, 38, 37, 36, 36)


def edges(picture: Pixels) -> Pixels:
    """Return the strength of a picture's edges, uint8 [H, W]: Sobel, strong ones widened and lifted."""
    wide = np.pad(picture.astype(np.int16), ((1, 1), (1, 1), (0, 0)), mode="reflect")

    def sobel(x: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
        first, last = [slice(None)] * 3, [slice(None)] * 3
        first[axis], last[axis] = slice(None, -2), slice(2, None)
        change = np.moveaxis(x[tuple(last)] - x[tuple(first)], 1 - axis, 0)
        smooth = change[:-2] + 2 * change[1:-1] + change[2:]
        return np.moveaxis(np.minimum(np.abs(smooth), 255), 0, 1 - axis)

    both = np.minimum(sobel(wide, 1) + sobel(wide, 0), 255).astype(np.int32)
    grey = ((9798 * both[..., 0] + 19235 * both[..., 1] + 3735 * both[..., 2] + 16384) >> 15).astype(np.uint8)
    strong, soft = grey >= 128, blur(grey, THREE)
    soft[strong] = np.minimum(soft[strong] * 1.05, 255).astype(np.uint8)
    return blur(soft, FIVE)


def resize_corners(image: Floats, size: int) -> Floats:
    """Resize [h, w] or [h, w, C] to a square bilinearly, the corners aligned."""
    for axis in (0, 1):
        length = image.shape[axis]
        place = np.arange(size, dtype=np.float32) * np.float32((length - 1) / (size - 1))
        low = np.minimum(place.astype(np.int64), length - 1)
        share = (place - low).astype(np.float32)
        rows = np.moveaxis(image, axis, 0)
        share = share.reshape(-1, *[1] * (rows.ndim - 1))
        mixed = rows[low] * (1 - share) + rows[np.minimum(low + 1, length - 1)] * share
        image = np.moveaxis(np.asarray(mixed, np.float32), 0, axis)
    return image


def face_opacity(foreground: Mask) -> tuple[Floats, Floats]:
    """Return the opacity of a face and the share of blended bands over it, [512, 512] each, of its mask."""
    grown, shrunk = (f(foreground, 2).astype(np.float32) for f in (blend.grown, blend.shrunk))
    return erode(foreground.astype(np.float32)), (erode(grown) - erode(shrunk)).clip(0, 1)
