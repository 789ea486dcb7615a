"""A learned factor per channel, by which a residual branch begins weak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.plan import filled, vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol, Weight


def reference(x: Tensor, factors: Tensor) -> Tensor:  # [N,C,H,W], [C] -> [N,C,H,W]
    """Return x times the factor of its channel."""
    return x * factors[:, None, None]


def record(x: Symbol, factors: Weight) -> Symbol:
    """Append a scale per channel, as a batch norm is one: it is fused into a convolution before it."""
    weights = {"scale": vector(factors), "shift": filled(0, x.shape[1])}
    return x.plan.emit("batch_norm", x.shape, {"x": x}, type=x.type, weights=weights)
