"""Similarities, and OpenCV's bilinear sampling as published code uses it: for faces cut out and put back."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from e4s_engine.photo.align import Points
from e4s_engine.photo.boxes import around
from e4s_engine.photo.images import Pixels

Floats = npt.NDArray[np.float32]
Real = TypeVar("Real", npt.NDArray[np.float32], npt.NDArray[np.float64])
Matrix = npt.NDArray[np.float64]  # [2, 3]: (x, y, 1) of one picture -> (x, y) of another

_STEPS = 32  # places per pixel that a sample is rounded to
_BITS = 10  # of the fixed-point coordinates that are rounded to them
_UNIT = 1 << 15  # weights of 8-bit samples are integers of this sum
_RESIZE_UNIT = 1 << 11  # those of 8-bit resizing, per axis
_STRIP = 64  # rows warped at a time: the arrays of a row's samples take some hundred bytes a pixel


def similarity(points: Points, template: Points) -> Matrix:
    """Return the rotation, scale and translation that takes points [K, 2] to a template, by least squares.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns" (1991).
    """
    mean, target = points.mean(0), template.mean(0)
    centred = points - mean
    left, sizes, right = np.linalg.svd((template - target).T @ centred / len(points))
    signs = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right)) or 1.0])
    rotation = (left * signs) @ right
    scale = (sizes * signs).sum() / centred.var(0).sum()
    return np.column_stack([scale * rotation, target - scale * rotation @ mean])


def inverse(matrix: Matrix) -> Matrix:
    """Return the map back."""
    turned = np.linalg.inv(matrix[:, :2])
    return np.column_stack([turned, -turned @ matrix[:, 2]])


def extent(matrix: Matrix, size: tuple[int, int], within: tuple[int, int]) -> tuple[slice, slice]:
    """Return rows and columns that a picture of a size (height, width) can reach once warped."""
    height, width = size
    corners = np.array([[x, y, 1] for x in (-1, width) for y in (-1, height)], np.float64) @ matrix.T
    top, left, bottom, right = around(corners, within, 1)
    return slice(top, bottom), slice(left, right)


def warp(image: npt.NDArray[Any], matrix: Matrix, rows: slice, columns: slice) -> npt.NDArray[Any]:
    """Warp a picture and return a window of the result, like OpenCV's warpAffine (INTER_LINEAR).

    image: uint8 or float32 [H, W] or [H, W, C]; outside it is 0. matrix: from places in it to places in the
    result. Samples are rounded to 1/32 pixel, and for uint8 to weights of 1/32768 and whole values.
    """
    shape = rows.stop - rows.start, columns.stop - columns.start
    result = np.empty((*shape, *image.shape[2:]), image.dtype)
    for top in range(rows.start, rows.stop, _STRIP):
        bottom = min(top + _STRIP, rows.stop)
        result[top - rows.start : bottom - rows.start] = _strip(image, matrix, slice(top, bottom), columns)
    return result


def _strip(image: npt.NDArray[Any], matrix: Matrix, rows: slice, columns: slice) -> npt.NDArray[Any]:
    """Return some rows of a warped picture."""
    back = inverse(matrix)
    x, y = np.arange(columns.start, columns.stop), np.arange(rows.start, rows.stop)[:, None]
    unit = 1 << _BITS
    along = np.rint(back[:, :1] * x * unit).astype(np.int64)
    across = np.rint((back[:, 1, None, None] * y + back[:, 2, None, None]) * unit).astype(np.int64)
    places = (across + along[:, None] + unit // _STEPS // 2) >> (_BITS - 5)
    whole, part = places >> 5, places & (_STEPS - 1)
    weights = _weights(part)
    if image.dtype == np.uint8:
        weights = np.rint(weights * _UNIT)
    height, width = image.shape[:2]
    flat = image.reshape(height * width, -1)
    total = np.zeros((*part.shape[1:], flat.shape[1]), np.float32 if image.dtype != np.uint8 else np.int64)
    for weight, (down, right) in zip(weights, ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True):
        column, row = whole[0] + right, whole[1] + down
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        value = flat[np.where(inside, row * width + column, 0)]
        factor = np.where(inside, weight, 0)[..., None].astype(total.dtype)
        total += value.astype(total.dtype) * factor
    if image.dtype == np.uint8:
        total = (total + _UNIT // 2) >> 15
    return total.astype(image.dtype).reshape(*part.shape[1:], *image.shape[2:])


def _weights(part: npt.NDArray[np.int64]) -> Floats:
    """Return the weights [4, H, W] of the pixels around samples: two upper ones, two lower ones."""
    x, y = part.astype(np.float32) / np.float32(_STEPS)
    return np.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y])


def enlarge(image: Pixels, factor: int) -> Pixels:
    """Enlarge an 8-bit picture by a whole factor, like OpenCV's resize (INTER_LINEAR), with its roundings."""
    near, far, weight = _taps(image.shape[1], factor)
    at_border = near == far  # along rows one pixel counts there; along columns its products are rounded apart
    weight = np.where(at_border, 0, weight)[:, None]
    values = image.astype(np.int32)  # of which products stay below 2^27
    lines = values[:, near] * (_RESIZE_UNIT - weight) + values[:, far] * weight
    near, far, weight = _taps(len(image), factor)
    upper, lower = lines[near] >> 4, lines[far] >> 4
    first, second = (_RESIZE_UNIT - weight)[:, None, None], weight[:, None, None]
    mixed = (((upper * first) >> 16) + ((lower * second) >> 16) + 2) >> 2
    return mixed.clip(0, 255).astype(np.uint8)


def _taps(length: int, factor: int) -> tuple[npt.NDArray[np.int32], ...]:
    """Return the two pixels that each result pixel of an axis mixes, and the second one's weight."""
    places = (np.arange(length * factor) + 0.5) / factor - 0.5
    near = np.floor(places).astype(np.int32)
    weight = np.rint((places - near) * _RESIZE_UNIT).astype(np.int32)
    return near.clip(0, length - 1), (near + 1).clip(0, length - 1), weight


def gaussian(image: Real, size: int, sigma: float) -> Real:
    """Blur [H, W] by a Gaussian of `size` x `size` taps, mirrored at the borders without their edge."""
    taps = np.exp(-((np.arange(size) - (size - 1) / 2) ** 2) / (2 * sigma**2))
    taps = (taps / taps.sum()).astype(image.dtype)
    return separable(separable(image, taps, 0), taps, 1)


def separable(image: Real, taps: npt.NDArray[Any], axis: int) -> Real:
    """Filter along an axis by symmetric taps, mirrored at the borders without their edge.

    The result has the image's dtype, float32 or float64, which the taps have too.
    """
    radius = len(taps) // 2
    padding = [(radius, radius) if i == axis else (0, 0) for i in range(image.ndim)]
    padded: npt.NDArray[Any] = np.moveaxis(np.pad(image, padding, mode="reflect"), axis, 0)
    length = image.shape[axis]
    total = np.zeros_like(padded[:length])  # in its order of axes, which is the faster one
    for i, tap in enumerate(taps):
        total += padded[i : i + length] * tap
    return np.moveaxis(total, 0, axis)
