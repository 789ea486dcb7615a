"""Sigmoid of a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor) -> Tensor:  # [N,3,H,W]
    """Return 1 / (1 + exp(-x))."""
    return x.sigmoid()


def record(x: Symbol) -> Symbol:
    """Append the sigmoid; it is fused into the step that writes the picture."""
    return x.plan.emit("sigmoid", x.shape, {"x": x}, type=x.type)
