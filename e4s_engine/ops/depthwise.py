"""Depthwise convolution: a kernel of its own for every channel, square or a strip of one row or column."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.plan import VECTOR, Vector, vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight


def reference(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Convolve every channel with its own kernel and a border of zeros, and add the bias.

    x [N,C,H,W], weight [C,1,h,w] with odd h and w, bias [C] -> [N,C,H,W].
    """
    import torch.nn.functional as F

    height, width = weight.shape[2:]
    return F.conv2d(x, weight, bias, padding=(height // 2, width // 2), groups=len(weight))


def record(x: Symbol, weight: Weight, bias: Weight) -> Symbol:
    """Append the convolution as a step of its own. Its taps are [h*w, C], channels padded to vectors."""
    channels, _, height, width = weight.shape
    padded = -(-channels // VECTOR) * VECTOR

    def taps(arrays: Arrays) -> Array:
        laid_out = np.zeros((height * width, padded), np.float32)
        laid_out[:, :channels] = weight.read(arrays).reshape(channels, -1).T
        return laid_out

    return x.plan.emit(
        "depthwise",
        x.shape,
        {"x": x},
        weights={"taps": Vector((weight.key, "taps"), taps), "bias": vector(bias)},
        flop=2.0 * x.shape[0] * x.shape[2] * x.shape[3] * channels * height * width,
        height=height,
        width=width,
        gelu=0,
    )
