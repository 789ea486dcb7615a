"""GELU, the activation of SegNeXt: a value times the share of a normal distribution below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor) -> Tensor:  # [N,C,H,W] -> [N,C,H,W]
    """Return x * (1 + erf(x / sqrt(2))) / 2."""
    import torch.nn.functional as F

    return F.gelu(x)


def record(x: Symbol) -> Symbol:
    """Append the activation; after a depthwise convolution it is fused into it."""
    return x.plan.emit("gelu", x.shape, {"x": x}, type=x.type)
