"""Reduction of a picture to a quarter of its size, antialiased, as scikit-image's `resize` does it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.photo.images import Pixels

SCALE = 4
_SIGMA = (SCALE - 1) / 2
_RADIUS = int(4 * _SIGMA + 0.5)
_SHARES = np.exp(-(np.arange(-_RADIUS, _RADIUS + 1) ** 2) / (2 * _SIGMA**2))
_TAPS = _SHARES / _SHARES.sum()


def quarter(picture: Pixels) -> npt.NDArray[np.float32]:
    """Return a picture uint8 [H, W, 3], sides multiples of 4, as floats [H/4, W/4, 3] in 0..1.

    Each axis is filtered with a Gaussian, the borders mirrored without the edge; linear interpolation at the
    centres of the new pixels is then the mean of the two in the middle of every four.
    """
    small = _quarter_rows(_quarter_rows(picture / 255.0).transpose(1, 0, 2)).transpose(1, 0, 2)
    return np.ascontiguousarray(small.clip(picture.min() / 255, picture.max() / 255), np.float32)


def _quarter_rows(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Filter rows and keep a quarter of them: the mean of two rows is one filter of one more tap."""
    taps = (np.append(_TAPS, 0) + np.insert(_TAPS, 0, 0)) / 2
    wide = np.pad(x, ((_RADIUS, _RADIUS), (0, 0), (0, 0)), mode="reflect")
    first, last = SCALE // 2 - 1, len(wide) - len(taps) + 1
    return np.asarray(sum(tap * wide[first + i : last + i : SCALE] for i, tap in enumerate(taps)))
