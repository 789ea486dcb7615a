"""The blur before StyleGAN2's convolutions of stride 2: the outer product of [1, 3, 3, 1], of sum one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.ops._constants import row
from e4s_engine.plan import Vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol

TAPS = (1 / 8, 3 / 8, 3 / 8, 1 / 8)  # per axis


def reference(x: Tensor) -> Tensor:  # [N,C,H,W] -> [N,C,H+1,W+1]
    """Filter every channel over both axes, with two zero pixels around."""
    import torch.nn.functional as F

    channels = x.shape[1]
    taps = row(TAPS, x.dtype, x.device)
    return F.conv2d(x, (taps[:, None] * taps).expand(channels, 1, 4, 4), padding=2, groups=channels)


def record(x: Symbol) -> Symbol:
    """Append the filter as a step of its own."""
    n, channels, height, width = x.shape

    def taps(_: Arrays) -> Array:
        return np.outer(TAPS, TAPS).astype(np.float32)

    shape = (n, channels, height + 1, width + 1)
    return x.plan.emit("blur", shape, {"x": x}, type=x.type, weights={"taps": Vector(("blur",), taps)})
