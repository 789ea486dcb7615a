"""Features moved by each key point (first-order motion models): what a dense motion is predicted from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.ops._volumes import grid, moved, sampled, slices, volume

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol

VARIANCE = 0.01  # of the heat maps


def reference(x: Tensor, source: Tensor, driving: Tensor, *, depth: int) -> Tensor:
    """Return, for no motion and for that of each key point, a heat map and the features moved by it.

    x [N*D,C,H,W], points [N,K,3] in -1..1 -> [N*D,(K+1)(1+C),H,W]. Motion k takes a cell's features from the
    cell's place - driving_k + source_k (`_volumes.sampled`). The heat map is the Gaussian around driving_k
    minus that around source_k; zero for no motion.
    """
    import torch

    features, (height, width) = volume(x, depth), x.shape[2:]
    places = moved(source, driving, depth, height, width)
    every = features.repeat_interleave(places.shape[1], 0)
    taken = sampled(every, places.flatten(0, 1)).reshape(*places.shape[:2], *features.shape[1:])
    cells = grid(depth, height, width, x.device)

    def around(points: Tensor) -> Tensor:
        away = (cells - points[:, :, None, None, None]).square().sum(-1)
        return torch.exp(-0.5 * away / VARIANCE)

    heat = around(driving) - around(source)
    heat = torch.cat([torch.zeros_like(heat[:, :1]), heat], 1)
    return slices(torch.cat([heat[:, :, None], taken], 2).flatten(1, 2))


def record(x: Symbol, source: Symbol, driving: Symbol, *, depth: int) -> Symbol:
    """Append the motions as a step of its own."""
    n, channels, height, width = x.shape
    shape = (n, (source.shape[1] + 1) * (1 + channels), height, width)
    inputs = {"x": x, "source": source, "driving": driving}
    return x.plan.emit("sparse_motion", shape, inputs, variance=VARIANCE)
