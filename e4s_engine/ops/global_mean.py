"""The mean over all pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def reference(x: Tensor) -> Tensor:  # [N,C,H,W] -> [N,C,1,1]
    """Mean over H and W."""
    return x.mean((2, 3), keepdim=True)
