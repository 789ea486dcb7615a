"""Volumes [N,C,D,H,W] as maps of their slices [N*D,C,H,W], so that steps over maps run on them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def volume(x: Tensor, depth: int) -> Tensor:
    """Return slices [N*D,C,H,W] as a volume [N,C,D,H,W]."""
    return x.reshape(-1, depth, *x.shape[1:]).transpose(1, 2)


def slices(x: Tensor) -> Tensor:
    """Return a volume [N,C,D,H,W] as slices [N*D,C,H,W]."""
    return x.transpose(1, 2).flatten(0, 1)


@functools.cache
def grid(depth: int, height: int, width: int, device: torch.device) -> Tensor:
    """Return the coordinates [D,H,W,3] of cells: (x, y, z), each from -1 at the first cell to 1 at the last.

    It is shared: do not write to it.
    """
    import torch

    with torch.inference_mode(False):
        axes = [2 * torch.arange(n, device=device) / max(n - 1, 1) - 1 for n in (depth, height, width)]
        z, y, x = torch.meshgrid(*axes, indexing="ij")
        return torch.stack([x, y, z], -1)


def moved(source: Tensor, driving: Tensor, depth: int, height: int, width: int) -> Tensor:
    """Return the place [N,K+1,D,H,W,3] that each motion takes a cell from; the first one moves nothing."""
    import torch

    moves = source - driving
    moves = torch.cat([torch.zeros_like(moves[:, :1]), moves], 1)
    return grid(depth, height, width, source.device) + moves[:, :, None, None, None]


def sampled(x: Tensor, places: Tensor) -> Tensor:
    """Sample volumes [N,C,D,H,W] at places [N,d,h,w,3] trilinearly, with zeros outside.

    A place v on an axis of n cells reads position ((v + 1) n - 1) / 2.
    """
    import torch.nn.functional as F

    return F.grid_sample(x.float(), places.float(), padding_mode="zeros", align_corners=False)
