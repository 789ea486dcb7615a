"""RRDBNet on large pictures: features as a whole, colours in tiles; the picture is the same, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.networks.rrdbnet.enlarge import SCALE

SIDE = 128  # largest side of a tile, in pixels of the small picture
REACH = 2  # pixels that a tile's colours depend on beyond its border

Run = Callable[..., npt.NDArray[Any]]  # (function of the network, array) -> array


def enlarged(run: Run, pixels: npt.NDArray[np.uint8], side: int = SIDE) -> npt.NDArray[np.float32]:
    """Enlarge pictures [N,H,W,3] to [N,4H,4W,3], 0 to 1 but not clamped.

    side: largest side of a tile, at least 128: smaller ones could be computed in another form than the whole,
    with other roundings.
    """
    features = run("enlarge_features", pixels)
    n, height, width = pixels.shape[:3]
    if height * width <= side * side:
        return run("enlarge_colours", features)
    result = np.empty((n, SCALE * height, SCALE * width, 3), np.float32)
    for top, bottom, above, below in _parts(height, side):
        for left, right, before, behind in _parts(width, side):
            tile = run("enlarge_colours", np.ascontiguousarray(features[:, above:below, before:behind]))
            rows = slice(SCALE * (top - above), SCALE * (bottom - above))
            columns = slice(SCALE * (left - before), SCALE * (right - before))
            place = slice(SCALE * top, SCALE * bottom), slice(SCALE * left, SCALE * right)
            result[:, place[0], place[1]] = tile[:, rows, columns]
    return result


def _parts(length: int, side: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield the parts of an axis, each with the window that it reads. Windows have one length."""
    count = -(-length // side)
    step = -(-length // count)
    window = min(length, step + 2 * REACH)
    for start in range(0, length, step):
        first = min(max(start - REACH, 0), length - window)
        yield start, min(start + step, length), first, first + window
