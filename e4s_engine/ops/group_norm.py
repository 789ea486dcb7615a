"""Group normalisation: the pixels of neighbouring channels, normalised together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.ops import activation
from e4s_engine.plan import vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol, Weight

EPSILON = 1e-5


def reference(x: Tensor, weight: Tensor, bias: Tensor, groups: int, *, relu: bool = False) -> Tensor:
    """Return (x - mean) / sqrt(var + 1e-5) * weight + bias, then ReLU if wanted.

    x [N,C,H,W], weight and bias [C]; mean and variance are over all pixels of C / groups channels.
    """
    import torch.nn.functional as F

    y = F.group_norm(x, groups, weight, bias, EPSILON)
    return y.relu() if relu else y


def record(x: Symbol, weight: Weight, bias: Weight, groups: int, *, relu: bool = False) -> Symbol:
    """Append the norm, then the activation, which is fused into it."""
    weights = {"scale": vector(weight), "shift": vector(bias)}
    y = x.plan.emit("group_norm", x.shape, {"x": x}, weights=weights, groups=groups, epsilon=EPSILON)
    return activation.relu(y) if relu else y
