"""Modulation of one layer from style codes: an equalised linear map (StyleGAN2, section 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.plan import Constant, Conv, conv_numbers, unfoldable, vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Codes, Symbol, Weight


def reference(
    codes: Tensor, layer: int, weight: Tensor, bias: Tensor, *, regional: bool = True
) -> Tensor:  # [N,R,L,D], [I,D], [I] -> [N,R|1,I]
    """Return scales of the input channels per region; for region 0 alone if the layer is not regional."""
    import torch.nn.functional as F

    chosen = codes[:, :, layer] if regional else codes[:, :1, layer]
    return F.linear(chosen, weight * weight.shape[1] ** -0.5, bias)


def record(
    codes: Codes, layer: int, weight: Weight, bias: Weight, *, regional: bool = True
) -> Symbol | Constant:
    """Append a linear step if regions differ; otherwise return the style, the same in every picture."""
    plan, injected, latent_avg = codes.plan, codes.injected, codes.latent_avg
    batch, regions, _, dim = codes.shape
    inputs, gain = weight.shape[0], np.float32(dim**-0.5)
    if not regional and layer >= injected and latent_avg is not None:

        def style(arrays: Arrays) -> Array:
            return (weight.read(arrays) * gain) @ latent_avg.read(arrays)[layer] + bias.read(arrays)

        return Constant((weight.key, bias.key, latent_avg.key, str(layer)), (batch, 1, inputs), style)
    if not regional or layer >= injected:
        raise unfoldable("a modulation of some regions")

    def matrix(arrays: Arrays) -> tuple[Array, Array, None]:
        return weight.read(arrays)[:, :, None, None], np.full(inputs, gain, np.float32), None

    return plan.emit(
        "conv2d",
        (batch, regions, inputs),
        {"x": codes},
        type="f32",
        weights={
            "kernel": Conv((weight.key, "equalised"), (inputs, dim, 1, 1), "f32", matrix),
            "bias": vector(bias),
        },
        flop=2.0 * batch * regions * inputs * dim,
        **conv_numbers(first=layer * dim),
    )
