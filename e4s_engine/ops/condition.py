"""GCFSR's conditioning: features mixed with an encoder's, by how much depends on one number per picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.ops.equal_conv import GAIN, SLOPE
from e4s_engine.plan import vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol, Weight

EPSILON = 1e-8


def reference(
    x: Tensor,
    shift: Tensor,
    share: Tensor,
    scale1: Tensor,
    bias1: Tensor,
    scale2: Tensor,
    bias2: Tensor,
    bias: Tensor,
) -> Tensor:
    """Return sqrt(2) * leaky(g1 * x + g2 * shift + bias), with slope 0.2.

    g1, g2 per channel: (a, b) / sqrt(a^2 + b^2 + 1e-8), a = scale1 * share + bias1, b = scale2 * share +
    bias2. x, shift [N,C,H,W], share [N,1,1], scales [C,1], biases [C] -> [N,C,H,W].
    """
    import torch.nn.functional as F

    a, b = (F.linear(share[:, 0], w, v)[:, :, None, None] for w, v in ((scale1, bias1), (scale2, bias2)))
    norm = (a.square() + b.square() + EPSILON).sqrt()
    y = x * (a / norm).to(x.dtype) + shift * (b / norm).to(x.dtype) + bias.view(1, -1, 1, 1).to(x.dtype)
    return F.leaky_relu(y, SLOPE) * GAIN


def record(
    x: Symbol,
    shift: Symbol,
    share: Symbol,
    scale1: Weight,
    bias1: Weight,
    scale2: Weight,
    bias2: Weight,
    bias: Weight,
) -> Symbol:
    """Append a step of its own."""
    weights = {"scale1": scale1, "bias1": bias1, "scale2": scale2, "bias2": bias2, "bias": bias}
    return x.plan.emit(
        "condition",
        x.shape,
        {"x": x, "shift": shift, "share": share},
        weights={name: vector(weight) for name, weight in weights.items()},
        epsilon=EPSILON,
        slope=SLOPE,
        gain=GAIN,
    )
