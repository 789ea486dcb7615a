"""MLP outputs + latent_avg -> style codes in W^r+ (paper, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def reference(offsets: Tensor, latent_avg: Tensor) -> Tensor:  # [N,R,K*D], [L,D] -> [N,R,L,D]
    """The first K layers are latent_avg + offsets, the later ones latent_avg for every region."""
    import torch

    layers, dim = latent_avg.shape
    batch, regions, _ = offsets.shape
    offsets = offsets.reshape(batch, regions, -1, dim)
    injected = offsets.shape[2]
    rest = latent_avg[injected:].expand(batch, regions, layers - injected, dim)
    return torch.cat([offsets + latent_avg[:injected], rest.to(offsets.dtype)], 2)
