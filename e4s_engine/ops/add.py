"""Elementwise sum, the second operand broadcast over space if it is [N, C, 1, 1], with optional ReLU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.ops import activation

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor, y: Tensor, *, relu: bool = False, gain: float = 1.0) -> Tensor:
    """Return x + gain * y. x [N,C,H,W], y [N,C,H|1,W|1] -> [N,C,H,W]."""
    z = x + y if gain == 1 else x.add(y, alpha=gain)
    return z.relu() if relu else z


def record(x: Symbol, y: Symbol, *, relu: bool = False, gain: float = 1.0) -> Symbol:
    """Append a sum, then the activation."""
    z = x.plan.emit("add", x.shape, {"x": x, "other": y}, type=x.type, relu=0, gain=gain)
    return activation.relu(z) if relu else z
