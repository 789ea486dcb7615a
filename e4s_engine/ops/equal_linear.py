"""Equalised linear layer over vectors, the same for all: StyleGAN2's mapping network and modulations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.ops import equal_conv
from e4s_engine.plan import Conv, Vector, conv_numbers, filled

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight


def reference(
    x: Tensor, weight: Tensor, bias: Tensor, *, rate: float = 1.0, activated: bool = False
) -> Tensor:  # [N,R,I], [O,I], [O] -> [N,R,O]
    """Return y = x @ (weight * rate / sqrt(I))^T + bias * rate; activated: sqrt(2) * leaky(y), slope 0.2.

    rate: learning-rate multiplier of the layer.
    """
    from torch.nn import functional as F

    y = F.linear(x, weight * (rate * weight.shape[1] ** -0.5), bias * rate)
    return F.leaky_relu(y, equal_conv.SLOPE) * equal_conv.GAIN if activated else y


def record(x: Symbol, weight: Weight, bias: Weight, *, rate: float = 1.0, activated: bool = False) -> Symbol:
    """Append a 1 x 1 convolution over [N,1,R,I], in fp32."""
    n, vectors, inputs = x.shape
    outputs = weight.shape[0]
    gain = rate * equal_conv.GAIN if activated else rate
    scale = np.float32(gain * inputs**-0.5)

    def matrix(arrays: Arrays) -> tuple[Array, Array, None]:
        return weight.read(arrays)[:, :, None, None], np.full(outputs, scale, np.float32), None

    return x.plan.emit(
        "conv2d",
        (n, vectors, outputs),
        {"x": x},
        type="f32",
        weights={
            "kernel": Conv((weight.key, "linear", str(gain)), (outputs, inputs, 1, 1), "f32", matrix),
            "bias": Vector((bias.key, str(gain)), lambda arrays: bias.read(arrays) * np.float32(gain)),
            "prelu": filled(equal_conv.SLOPE, outputs) if activated else None,
        },
        flop=2.0 * n * vectors * math.prod(weight.shape),
        **conv_numbers(),
    )
