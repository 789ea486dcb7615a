"""Layer normalisation: the channels of every pixel, normalised together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.plan import vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol, Weight

EPSILON = 1e-5


def reference(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # [N,C,H,W], [C], [C] -> [N,C,H,W]
    """Return (x - mean) / sqrt(var + 1e-5) * weight + bias; mean and variance are over a pixel's channels."""
    import torch.nn.functional as F

    return F.layer_norm(x.movedim(1, 3), weight.shape, weight, bias, EPSILON).movedim(3, 1)


def record(x: Symbol, weight: Weight, bias: Weight) -> Symbol:
    """Append the norm as a step of its own."""
    weights = {"scale": vector(weight), "shift": vector(bias)}
    return x.plan.emit("layer_norm", x.shape, {"x": x}, weights=weights, epsilon=EPSILON)
