"""Style codes in W^r+ from MLP outputs and latent_avg (paper, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.plan import Codes, vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol, Weight


def reference(offsets: Tensor, latent_avg: Tensor) -> Tensor:  # [N,R,K*D], [L,D] -> [N,R,L,D]
    """Return codes: latent_avg + offsets in the first K layers, latent_avg for every region in later ones."""
    import torch

    layers, dim = latent_avg.shape
    batch, regions, _ = offsets.shape
    offsets = offsets.reshape(batch, regions, -1, dim)
    injected = offsets.shape[2]
    rest = latent_avg[injected:].expand(batch, regions, layers - injected, dim)
    return torch.cat([offsets + latent_avg[:injected], rest.to(offsets.dtype)], 2)


def record(offsets: Symbol, latent_avg: Weight) -> Codes:
    """Append the sum; latent_avg is fused into the biases of the linear layer that writes the offsets."""
    n, regions, length = offsets.shape
    layers, dim = latent_avg.shape
    average = {"average": vector(latent_avg)}
    sums = offsets.plan.emit("latent_codes", offsets.shape, {"x": offsets}, type="f32", weights=average)
    shape, injected = (n, regions, layers, dim), length // dim
    return Codes(offsets.plan, shape, sums.buffer, injected=injected, latent_avg=latent_avg)
