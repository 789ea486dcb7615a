"""Reduction of a picture to a quarter of its size, antialiased (face-vid2vid's key points)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.ops._constants import row
from e4s_engine.plan import Vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol

SCALE = 4
_RADIUS, _SIGMA = 6, (SCALE - 1) / 2
_SHARES = [math.exp(-(i**2) / (2 * _SIGMA**2)) for i in range(-_RADIUS, _RADIUS + 1)]
TAPS = tuple(share / sum(_SHARES) for share in _SHARES)  # per axis


def reference(x: Tensor) -> Tensor:  # [N,3,H,W] -> [N,3,ceil(H/4),ceil(W/4)]
    """Filter every channel with a Gaussian, with zeros around, and take every fourth row and column."""
    import torch.nn.functional as F

    channels, size = x.shape[1], len(TAPS)
    taps = row(TAPS, x.dtype, x.device)
    kernel = (taps[:, None] * taps).expand(channels, 1, size, size)
    return F.conv2d(x, kernel, stride=SCALE, padding=_RADIUS, groups=channels)


def record(x: Symbol) -> Symbol:
    """Append the reduction as a step of its own."""
    n, channels, height, width = x.shape

    def taps(_: Arrays) -> Array:
        return np.array(TAPS, np.float32)

    shape = (n, channels, -(-height // SCALE), -(-width // SCALE))
    weights = {"taps": Vector(("gaussian_quarter",), taps)}
    return x.plan.emit("gaussian_quarter", shape, {"x": x}, type=x.type, weights=weights)
