"""Mean over all pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor) -> Tensor:  # [N,C,H,W] -> [N,C,1,1]
    """Return the mean over H and W."""
    return x.mean((2, 3), keepdim=True)


def record(x: Symbol) -> Symbol:
    """Append a pooling step without labels."""
    return x.plan.emit("region_pool", (*x.shape[:2], 1, 1), {"x": x})
