"""Instance normalisation without affine parameters, with the activation that follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.ops import activation

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol, Weight

EPSILON = 1e-5


def reference(x: Tensor, *, prelu: Tensor | None = None) -> Tensor:  # [N,C,H,W] -> [N,C,H,W]
    """Return (x - mean) / sqrt(var + 1e-5) per sample and channel, then PReLU with slopes [C], if any.

    A single pixel has no variance and becomes 0.
    """
    import torch.nn.functional as F

    y = F.instance_norm(x, eps=EPSILON) if x.shape[2] * x.shape[3] > 1 else x * 0
    return y if prelu is None else F.prelu(y, prelu)


def record(x: Symbol, *, prelu: Weight | None = None) -> Symbol:
    """Append the norm, then the activation."""
    y = x.plan.emit("instance_norm", x.shape, {"x": x}, epsilon=EPSILON)
    return y if prelu is None else activation.record(y, prelu=prelu)
