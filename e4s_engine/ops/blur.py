"""A 4 x 4 filter of every channel: StyleGAN2 blurs before a convolution of stride 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.plan import Vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight


def reference(x: Tensor, kernel: Tensor) -> Tensor:  # [N,C,H,W], [4,4] -> [N,C,H+1,W+1]
    """Convolve every channel with the kernel (not its mirror image), with two zero pixels around."""
    import torch.nn.functional as F

    channels = x.shape[1]
    taps = kernel.flip(0, 1).to(x.dtype).expand(channels, 1, 4, 4)
    return F.conv2d(x, taps, padding=2, groups=channels)


def record(x: Symbol, kernel: Weight) -> Symbol:
    """Append the filter as a step of its own."""
    n, channels, height, width = x.shape

    def taps(arrays: Arrays) -> Array:
        return np.ascontiguousarray(kernel.read(arrays)[::-1, ::-1])

    shape = (n, channels, height + 1, width + 1)
    weights = {"taps": Vector((kernel.key, "flipped"), taps)}
    return x.plan.emit("blur", shape, {"x": x}, type=x.type, weights=weights)
