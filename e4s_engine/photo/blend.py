"""Blending of the generated face over the target's crop: the official code's two modes, one milder, and none.

Foreground masks are bool [512, 512]; crops are uint8 [1024, 1024, 3].
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.errors import ArgumentError
from e4s_engine.photo import warp
from e4s_engine.photo.align import CROP
from e4s_engine.photo.boxes import bounds
from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Mask

Floats = npt.NDArray[np.float32]

MODES = ("feather", "multiband", "multiband10", "soft", "none")
RADIUS = 5  # radius of the 11 x 11 windows
SIGMA = 2.0  # sigma of the Gaussian window: OpenCV's for its size
LEVELS = 10  # levels of the Laplacian pyramids, as published
# The mask is a band around the face, where the target shows. At the coarse levels the band is thinner than a
# pixel, and the face's light reaches as far as their pixels do: a halo of up to 41 of 255 on rendered faces
# with ten levels, 16 with six, 6 with five, which come as near to the exact answers as the feather.
MILD_LEVELS = 5
PYRAMIDS = {"multiband": MILD_LEVELS, "multiband10": LEVELS, "soft": LEVELS}  # number of levels by mode
SOFT_REACH = 7  # pixels at 512 that a soft edge reaches around its foreground
_AROUND = 16  # pixels at 512 that a feathered mask reaches at most around its foreground
_REACH = 32  # reach, at 512, of a multi-band blend in a photo that continues beyond the crop


def alpha(foreground: Mask, mode: str) -> Pixels:
    """Return the opacity of the face over the crop, uint8 [1024, 1024].

    feather: the foreground, widened by 5 at 512, eroded 11 x 11 and blurred at 1024, as published. none: the
    foreground itself. multiband, multiband10, soft: opacity of the blended crop in a photo that continues
    beyond the crop.
    """
    if mode == "feather":
        return _feathered(foreground)
    if mode in PYRAMIDS:
        return _feathered(_window(foreground, _REACH, np.maximum))
    if mode == "none":
        return (_double(foreground.astype(np.float32)) >= 0.5).astype(np.uint8) * 255
    raise ArgumentError(f"blend: expected one of {', '.join(MODES)}, got {mode!r}")


def read_by(foreground: Mask, alpha: Pixels, mode: str) -> Mask:
    """Return the pixels of the crop whose face a blend with this opacity reads, bool [1024, 1024]."""
    if mode not in PYRAMIDS:
        return np.asarray(alpha > 0)
    read = grown(foreground, SOFT_REACH) if mode == "soft" else foreground
    return np.asarray(_double(read.astype(np.float32)) > 0)


def _feathered(foreground: Mask) -> Pixels:
    """Feather the part around the foreground alone: everything is 0 beyond the windows' reach."""
    out = np.zeros((CROP, CROP), np.uint8)
    box = bounds(foreground)
    if box is not None:
        top, left = (max(side - _AROUND, 0) for side in box[:2])
        bottom, right = box[2] + _AROUND, box[3] + _AROUND
        wide = _double_whole(_window(foreground[top:bottom, left:right], RADIUS, np.maximum))
        eroded = _window(wide, RADIUS, np.minimum)
        part = _gaussian(eroded.astype(np.float32) * 255)
        out[2 * top : 2 * top + part.shape[0], 2 * left : 2 * left + part.shape[1]] = part
    return out


def multiband(face: Pixels, target: Pixels, foreground: Mask, levels: int = LEVELS) -> Pixels:
    """Paste the face over the target with a hard edge, then blend the border through Laplacian pyramids.

    face, target: uint8 [1024, 1024, 3] -> uint8 [1024, 1024, 3]. levels: number of pyramid levels, 1 to 10.
    """
    border = _window(foreground, RADIUS, np.maximum) & ~_window(foreground, RADIUS, np.minimum)
    return blend_bands(face, target, foreground.astype(np.float32), border.astype(np.float32), levels)


def blend_bands(face: Pixels, target: Pixels, content: Floats, border: Floats, levels: int) -> Pixels:
    """Paste the face over the target, then mix the target back in where the border is, band by band.

    content, border: float32 [512, 512] in 0..1. levels: number of pyramid levels.
    """
    opacity = _double(content)[:, :, None]
    pasted = (face * opacity + target * (1 - opacity)).astype(np.uint8)
    weight = np.repeat(_double(border)[:, :, None], 3, axis=2)
    return _blend_pyramids(target, pasted, weight, levels)


def _blend_pyramids(a: Pixels, b: Pixels, weight: Floats, count: int) -> Pixels:
    """Mix `a` (where weight is 1) and `b` (where it is 0) band by band. count: number of levels."""
    levels_a, levels_b, weights = (_gaussian_pyramid(picture, count) for picture in (a, b, weight))
    mixed: Any = None
    for x, y, w in zip(reversed(levels_a), reversed(levels_b), reversed(weights), strict=True):
        if mixed is None:
            coarse_x, coarse_y, mixed = x, y, x * w + y * (1 - w)
            continue
        band_x, band_y = x - _pyramid_up(coarse_x), y - _pyramid_up(coarse_y)
        mixed = _pyramid_up(mixed) + band_x * w + band_y * (1 - w)
        coarse_x, coarse_y = x, y
    return np.asarray(mixed.clip(0, 255).astype(np.uint8))


def _gaussian_pyramid(image: npt.NDArray[Any], count: int) -> list[Floats]:
    """Return `count` levels; those of 8-bit pictures are rounded to 8 bits, as OpenCV's are."""
    levels = [image.astype(np.float32)]
    for _ in range(count - 1):
        smaller = _pyramid_down(levels[-1])
        levels.append(np.floor(smaller + 0.5) if image.dtype == np.uint8 else smaller)
    return levels


def _pyramid_down(image: Floats) -> Floats:
    """Apply a 5 x 5 binomial filter with mirrored borders, keep every second pixel (OpenCV's pyrDown)."""
    for axis in (0, 1):
        padding = [(2, 2) if i == axis else (0, 0) for i in range(3)]
        padded = np.moveaxis(np.pad(image, padding, mode="reflect"), axis, 0)
        even, odd = padded[0:-1:2], padded[1::2]
        n = image.shape[axis] // 2
        total = even[:n] + even[2 : n + 2] + 4 * (odd[:n] + odd[1 : n + 1]) + 6 * even[1 : n + 1]
        image = np.moveaxis(np.asarray(total / 16, np.float32), 0, axis)
    return image


def _pyramid_up(image: Floats) -> Floats:
    """Double the size with the same filter (OpenCV's pyrUp): mirror at the start, repeat at the end."""
    for axis in (0, 1):
        rows = np.moveaxis(image, axis, 0)
        before = np.concatenate([rows[1:2], rows[:-1]])
        after = np.concatenate([rows[1:], rows[-1:]])
        doubled = np.stack([(before + 6 * rows + after) / 8, (rows + after) / 2], axis=1)
        image = np.moveaxis(doubled.reshape(-1, *rows.shape[1:]), 0, axis)
    return image


def _window(mask: Mask, radius: int, pick: np.ufunc) -> Mask:
    """Take the maximum or minimum over a square window; pixels outside the image do not count."""
    width = 2 * radius + 1
    values = np.pad(mask, radius, constant_values=pick is np.minimum).view(np.uint8)
    for axis in (0, 1):
        rows = np.moveaxis(values, axis, 0)
        covered = 1  # each entry is the extreme over this many rows, starting at its own
        while covered < width:
            shift = min(covered, width - covered)
            rows = pick(rows[:-shift], rows[shift:])
            covered += shift
        values = np.moveaxis(rows, 0, axis)
    return values.view(np.bool_)


def grown(mask: Mask, radius: int) -> Mask:
    """Return a mask grown by a square of side 2 radius + 1."""
    return _window(mask, radius, np.maximum)


def shrunk(mask: Mask, radius: int) -> Mask:
    """Return a mask shrunk by a square of side 2 radius + 1; outside the picture does not count."""
    return _window(mask, radius, np.minimum)


def _double(mask: Floats) -> Floats:
    """Resize [512, 512] -> [1024, 1024] bilinearly with half-pixel centres."""
    for axis in (0, 1):
        rows = np.moveaxis(mask, axis, 0)
        before = np.concatenate([rows[:1], rows[:-1]])
        after = np.concatenate([rows[1:], rows[-1:]])
        doubled = np.stack([0.25 * before + 0.75 * rows, 0.75 * rows + 0.25 * after], axis=1)
        mask = np.moveaxis(doubled.reshape(-1, rows.shape[1]), 0, axis)
    assert mask.shape == (CROP, CROP)
    return mask


def _double_whole(mask: Mask) -> Mask:
    """Return where `_double` of a mask is 1: the published code truncates to 8 bits before scaling."""
    for axis in (0, 1):
        rows = np.moveaxis(mask, axis, 0)
        before = np.concatenate([rows[:1], rows[:-1]])
        after = np.concatenate([rows[1:], rows[-1:]])
        doubled = np.stack([before & rows, rows & after], axis=1)
        mask = np.moveaxis(doubled.reshape(-1, rows.shape[1]), 0, axis)
    return mask


def _gaussian(image: Floats) -> Pixels:
    """Blur with an 11 x 11 Gaussian, mirrored borders, and round."""
    return (warp.gaussian(image, 2 * RADIUS + 1, SIGMA) + 0.5).astype(np.uint8)
