"""Metrics of pictures: SSIM, optionally inside a mask, and the IoU of label maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Mask

Floats = npt.NDArray[np.float64]

_RADIUS, _SIGMA = 5, 1.5  # the 11 x 11 window of Wang et al., "Image Quality Assessment", 2004
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ssim(a: Pixels, b: Pixels, mask: Mask | None = None) -> float:
    """Compute the structural similarity of 8-bit pictures [H,W,3], mean over channels and a mask's pixels.

    Uses a Gaussian window of 11 x 11 with sigma 1.5, mirrored borders, K of 0.01 and 0.03.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    both = _blur(x * y) - mean_x * mean_y
    map_ = ((2 * mean_x * mean_y + _C1) * (2 * both + _C2)) / (
        (mean_x**2 + mean_y**2 + _C1) * (var_x + var_y + _C2)
    )
    return float(map_[mask].mean() if mask is not None else map_.mean())


def _blur(image: Floats) -> Floats:
    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    kernel = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        padding = [(_RADIUS, _RADIUS) if i == axis else (0, 0) for i in range(image.ndim)]
        padded = np.moveaxis(np.pad(image, padding, mode="reflect"), axis, 0)
        n = image.shape[axis]
        total: Any = sum(w * padded[i : i + n] for i, w in enumerate(kernel))
        image = np.moveaxis(total, 0, axis)
    return image


class Confusion:
    """Confusion matrix of label maps against the truth; IoU over all pixels of all pictures."""

    def __init__(self, classes: int) -> None:
        self._counts = np.zeros((classes, classes), np.int64)

    def add(self, truth: Pixels, found: Pixels) -> None:
        """Count a picture's labels [H,W]."""
        n = len(self._counts)
        index = truth.astype(np.int64).ravel() * n + found.ravel()
        self._counts += np.bincount(index, minlength=n * n).reshape(n, n)

    def iou(self) -> Floats:
        """Return the IoU by class; NaN for classes in neither map."""
        same = self._counts.diagonal()
        either = self._counts.sum(0) + self._counts.sum(1) - same
        with np.errstate(invalid="ignore"):
            return np.asarray(same / either, np.float64)
