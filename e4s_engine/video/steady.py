"""Steady the crops of a track over time, so that a swapped face does not tremble.

The published video code smooths the centre of each crop's square with a Gaussian of 1 frame and its
half-axes with one of 3 frames: the position has to follow a turn, while size and tilt change slowly.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from e4s_engine.errors import ArgumentError

CENTRE_SIGMA = 1.0
AXES_SIGMA = 3.0


def smooth_quads(
    quads: NDArray[Any],
    cuts: Sequence[int] = (),
    centre_sigma: float = CENTRE_SIGMA,
    axes_sigma: float = AXES_SIGMA,
) -> NDArray[np.float64]:
    """Return the quads of one track, smoothed over time and never across a cut.

    Args:
        quads: corners of the crop in every frame, [frames, 4, 2], in the order top left, bottom left,
            bottom right, top right, in pixels. Frames follow each other without gaps.
        cuts: first frames of new shots, increasing, each in 1 .. frames - 1.
        centre_sigma: standard deviation for the centre, in frames; 0 leaves it as it is.
        axes_sigma: standard deviation for the two half-axes, in frames; 0 leaves them as they are.

    Returns:
        Smoothed corners, [frames, 4, 2]. A quad that is not a parallelogram becomes the nearest one.

    Raises:
        ArgumentError: `quads` has another shape or values that are not finite, `cuts` are out of order or
            range, or a sigma is negative.
    """
    quads = np.asarray(quads, np.float64)
    if quads.ndim != 3 or quads.shape[1:] != (4, 2) or not np.isfinite(quads).all():
        raise ArgumentError(f"quads: expected finite corners [frames, 4, 2], got shape {quads.shape}")
    edges = [0, *cuts, len(quads)]
    if len(quads) and any(a >= b for a, b in pairwise(edges)):
        raise ArgumentError(f"cuts: expected increasing frames in 1 .. {len(quads) - 1}, got {list(cuts)}")
    top_left, bottom_left, bottom_right, top_right = np.moveaxis(quads, 1, 0)
    centre = quads.mean(axis=1)
    across = (top_right + bottom_right - top_left - bottom_left) / 4
    down = (bottom_left + bottom_right - top_left - top_right) / 4
    for start, stop in pairwise(edges):
        centre[start:stop] = smooth_series(centre[start:stop], centre_sigma)
        across[start:stop] = smooth_series(across[start:stop], axes_sigma)
        down[start:stop] = smooth_series(down[start:stop], axes_sigma)
    corners = [centre - across - down, centre - across + down, centre + across + down, centre + across - down]
    return np.stack(corners, axis=1)


def smooth_series(series: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Return a series [frames, values] under a Gaussian of `sigma` frames, cut at 4 sigma.

    The ends are mirrored with the edge sample repeated, as often as a short series needs it
    (SciPy's "reflect").
    """
    if not (np.isfinite(sigma) and sigma >= 0):
        raise ArgumentError(f"sigma: expected a number of frames, 0 or more, got {sigma}")
    if sigma == 0 or len(series) == 0:
        return series.copy()
    radius = int(4 * sigma + 0.5)
    offsets = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights /= weights.sum()
    padded = np.pad(series, ((radius, radius), (0, 0)), mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(offsets), axis=0)
    return windows @ weights
