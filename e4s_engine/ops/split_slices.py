"""Channels of a map as the slices of a volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.ops._volumes import slices

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor, depth: int) -> Tensor:  # [N,C*D,H,W] -> [N*D,C,H,W]
    """Make channel c * D + d channel c of slice d."""
    return slices(x.reshape(len(x), -1, depth, *x.shape[2:]))


def record(x: Symbol, depth: int) -> Symbol:
    """Append a step that copies every channel to its slice."""
    n, channels, height, width = x.shape
    shape = (n * depth, channels // depth, height, width)
    return x.plan.emit("split_slices", shape, {"x": x}, type=x.type)
