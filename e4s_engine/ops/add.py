"""Elementwise sum, the second operand broadcast over space if it is [N, C, 1, 1], with optional ReLU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.ops import activation

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor, y: Tensor, *, relu: bool = False) -> Tensor:
    """Return x + y. x [N,C,H,W], y [N,C,H|1,W|1] -> [N,C,H,W]."""
    z = x + y
    return z.relu() if relu else z


def record(x: Symbol, y: Symbol, *, relu: bool = False) -> Symbol:
    """Append a sum, then the activation."""
    z = x.plan.emit("add", x.shape, {"x": x, "other": y}, type=x.type, relu=0)
    return activation.relu(z) if relu else z
