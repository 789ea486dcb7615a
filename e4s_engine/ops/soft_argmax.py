"""Points of heat maps: the mean place under a softmax over all cells of a volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.ops._volumes import grid, volume

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor, *, depth: int, temperature: float) -> Tensor:  # [N*D,K,H,W] -> [N,K,3]
    """Return the points (x, y, z), each from -1 at an axis's first cell to 1 at its last."""
    heat = volume(x, depth).float() / temperature
    shares = heat.flatten(2).softmax(2)
    return shares @ grid(depth, *x.shape[2:], x.device).flatten(0, 2)


def record(x: Symbol, *, depth: int, temperature: float) -> Symbol:
    """Append the points as a step of its own, in fp32."""
    n, points = x.shape[0] // depth, x.shape[1]
    return x.plan.emit("soft_argmax", (n, points, 3), {"x": x}, type="f32", temperature=temperature)
