"""Vectors divided by their root mean square: the first layer of StyleGAN2's mapping network."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol

EPSILON = 1e-8


def reference(x: Tensor) -> Tensor:  # [N,R,C] -> [N,R,C]
    """Return x / sqrt(mean of x^2 over C + 1e-8)."""
    return x * (x.square().mean(2, keepdim=True) + EPSILON).rsqrt()


def record(x: Symbol) -> Symbol:
    """Append the norm as a step of its own."""
    return x.plan.emit("rms_norm", x.shape, {"x": x}, type="f32", epsilon=EPSILON)
