"""MLP outputs + latent_avg -> style codes in W^r+ (paper, section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.plan import Codes, Vector, unfoldable

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Conv, Symbol, Weight


def reference(offsets: Tensor, latent_avg: Tensor) -> Tensor:  # [N,R,K*D], [L,D] -> [N,R,L,D]
    """The first K layers are latent_avg + offsets, the later ones latent_avg for every region."""
    import torch

    layers, dim = latent_avg.shape
    batch, regions, _ = offsets.shape
    offsets = offsets.reshape(batch, regions, -1, dim)
    injected = offsets.shape[2]
    rest = latent_avg[injected:].expand(batch, regions, layers - injected, dim)
    return torch.cat([offsets + latent_avg[:injected], rest.to(offsets.dtype)], 2)


def record(offsets: Symbol, latent_avg: Weight) -> Codes:
    """latent_avg becomes part of the biases of the linear layer that makes the offsets."""
    plan = offsets.plan
    n, regions, length = offsets.shape
    layers, dim = latent_avg.shape
    if not offsets.fresh("region_linear") or offsets.step is None or "prelu" in offsets.step.weights:
        raise unfoldable("style codes that no linear layer makes")

    def shifted(bias: Conv | Vector) -> Vector:
        assert isinstance(bias, Vector)
        plain = bias.make
        return Vector(
            (*bias.key, latent_avg.key),
            lambda arrays: plain(arrays) + latent_avg.read(arrays).reshape(-1)[:length],
        )

    offsets.step.weights["biases"] = [shifted(bias) for bias in offsets.step.weights["biases"]]
    made = plan.fold(offsets)
    shape = (n, regions, layers, dim)
    return Codes(plan, shape, made.buffer, made.step, injected=length // dim, latent_avg=latent_avg)
