"""Max pooling 3 x 3, stride 2, padding 1 (ResNet's stem)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor) -> Tensor:  # [N,C,H,W] -> [N,C,ceil(H/2),ceil(W/2)]
    """Return the maximum of each 3 x 3 window, at every second pixel."""
    import torch.nn.functional as F

    return F.max_pool2d(x, 3, stride=2, padding=1)


def record(x: Symbol) -> Symbol:
    """Append the pooling as a step of its own."""
    n, channels, height, width = x.shape
    return x.plan.emit("max_pool", (n, channels, -(-height // 2), -(-width // 2)), {"x": x})
