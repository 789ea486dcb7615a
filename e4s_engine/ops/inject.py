"""GPEN's injection: features beside an encoder's features, in place of StyleGAN2's noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.ops import concat
from e4s_engine.ops.equal_conv import GAIN, SLOPE
from e4s_engine.plan import Vector, filled

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight


def reference(
    x: Tensor, skip: Tensor, gain: Tensor, bias: Tensor
) -> Tensor:  # [N,C,H,W], [N,D,H,W], [1], [C+D] -> [N,C+D,H,W]
    """Return sqrt(2) * leaky([x, gain * skip] + bias), with slope 0.2."""
    import torch
    import torch.nn.functional as F

    y = torch.cat([x, (skip * gain).to(x.dtype)], 1) + bias.view(1, -1, 1, 1).to(x.dtype)
    return F.leaky_relu(y, SLOPE) * GAIN


def record(x: Symbol, skip: Symbol, gain: Weight, bias: Weight) -> Symbol:
    """Append both halves, each scaled, shifted and activated, and their concatenation.

    The first becomes part of the convolution that writes x, and both are written in place (plan/fuse.py).
    """
    channels = x.shape[1]
    weights = _weights(bias, None, 0, channels)
    first = x.plan.emit("biased", x.shape, {"x": x}, type=x.type, weights=weights, slope=SLOPE, gain=GAIN)
    weights = _weights(bias, gain, channels, skip.shape[1])
    del weights["bias"]
    second = x.plan.emit("affine", skip.shape, {"x": skip}, type=skip.type, weights=weights, to=0)
    return concat.record([first, second])


def _weights(bias: Weight, gain: Weight | None, start: int, count: int) -> dict[str, Vector]:
    """Return scale, shift and slopes of an affine map, and the bias alone, of some channels."""

    def part(arrays: Arrays) -> Array:
        return bias.read(arrays)[start : start + count]

    def scale(arrays: Arrays) -> Array:
        factor = np.float32(1) if gain is None else gain.read(arrays)[0]
        return np.full(count, np.float32(GAIN) * factor, np.float32)

    key = (bias.key, str(start), str(count))
    return {
        "bias": Vector((*key, "part"), part),
        "scale": Vector((*key, "scale", gain.key if gain else ""), scale),
        "shift": Vector((*key, "shift"), lambda arrays: part(arrays) * np.float32(GAIN)),
        "prelu": filled(SLOPE, count),
    }
