"""Similarity of pictures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.regions import Mask


def psnr(a: npt.NDArray[Any], b: npt.NDArray[Any], mask: Mask | None = None, cap: float = math.inf) -> float:
    """Compute the peak signal-to-noise ratio of two pictures in dB, optionally inside a mask.

    Pictures are uint8, or floats in [-1, 1], which are clamped. cap: result for equal pictures, and its upper
    bound.
    """
    peak = 255.0
    x, y = a.astype(np.float64), b.astype(np.float64)
    if a.dtype.kind == "f":
        peak, x, y = 2.0, x.clip(-1, 1), y.clip(-1, 1)
    error = (x - y) ** 2
    mean = float((error if mask is None else error[mask]).mean())
    return cap if mean == 0 else min(cap, 10 * math.log10(peak**2 / mean))
