"""Boxes of pixels, (top, left, bottom, right), the last two exclusive: around masks and around points."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.regions import Mask

Box = tuple[int, int, int, int]


def bounds(mask: Mask) -> Box | None:
    """Return the smallest box of a mask's pixels; None if it has none."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def around(points: npt.NDArray[Any], shape: tuple[int, ...], margin: int = 0) -> Box:
    """Return the pixels of a picture [H, W, ...] around points (x, y) [N, 2], and `margin` more on each side.

    A box of points outside the picture is empty.
    """
    low, high = np.floor(points.min(0)).astype(int) - margin, np.ceil(points.max(0)).astype(int) + 1 + margin
    (left, top), (right, bottom) = (np.clip(edge, 0, shape[1::-1]).tolist() for edge in (low, high))
    return top, left, bottom, right
