"""Product of two feature maps: attention by a map as large as what it attends to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor, other: Tensor) -> Tensor:  # [N,C,H,W] twice -> [N,C,H,W]
    """Return x * other."""
    return x * other


def record(x: Symbol, other: Symbol) -> Symbol:
    """Append the product as a step of its own."""
    return x.plan.emit("multiply", x.shape, {"x": x, "other": other})
