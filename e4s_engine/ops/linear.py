"""Linear layers over the channels of one pixel (heads of a classifier), run as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.plan import Conv, Symbol, Vector, conv_numbers

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Weight


def reference(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """Return x @ weight^T + bias of every layer, one after the other.

    x [N,I,1,1], weights [O,I], biases [O] -> [N,1,sum of O].
    """
    import torch
    from torch.nn import functional as F

    return F.linear(x.flatten(1).unsqueeze(1), torch.cat(list(weights)), torch.cat(list(biases)))


def record(x: Symbol, weights: Sequence[Weight], biases: Sequence[Weight]) -> Symbol:
    """Append a 1 x 1 convolution with a result in fp32."""
    n, inputs = x.shape[:2]
    outputs = sum(weight.shape[0] for weight in weights)

    def matrix(arrays: Arrays) -> tuple[Array, None, None]:
        return np.concatenate([weight.read(arrays) for weight in weights])[:, :, None, None], None, None

    def values(arrays: Arrays) -> Array:
        return np.concatenate([bias.read(arrays) for bias in biases])

    kernel = Conv(tuple(weight.key for weight in weights), (outputs, inputs, 1, 1), x.plan.type, matrix)
    y = x.plan.emit(
        "conv2d",
        (n, outputs, 1, 1),
        {"x": x},
        type="f32",
        weights={"kernel": kernel, "bias": Vector(tuple(bias.key for bias in biases), values)},
        flop=2.0 * n * outputs * inputs,
        **conv_numbers(),
    )
    return Symbol(x.plan, (n, 1, outputs), y.buffer)
