"""Equalised convolution of StyleGAN2: scaled weights, bias, leaky ReLU times sqrt(2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.plan import Conv, Vector, conv_numbers, filled

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight

SLOPE = 0.2
GAIN = 2**0.5


def reference(
    x: Tensor, weight: Tensor, bias: Tensor, *, stride: int = 1, pad: int = 0, activated: bool = True
) -> Tensor:  # [N,I,H,W], [O,I,k,k], [O] -> [N,O,(H+2pad-k)//stride+1,(W+2pad-k)//stride+1]
    """Return y = x * weight / sqrt(I k k) + bias; activated: sqrt(2) * leaky(y), with slope 0.2.

    * is a convolution with a border of `pad` zero pixels.
    """
    import torch.nn.functional as F

    y = F.conv2d(x, weight * weight[0].numel() ** -0.5, bias.to(weight.dtype), stride=stride, padding=pad)
    return F.leaky_relu(y, SLOPE) * GAIN if activated else y


def record(
    x: Symbol, weight: Weight, bias: Weight, *, stride: int = 1, pad: int = 0, activated: bool = True
) -> Symbol:
    """Append a convolution; the gain becomes part of its weights, as leaky ReLU is homogeneous."""
    n, _, height, width = x.shape
    outputs, side = weight.shape[0], weight.shape[-1]
    high, wide = ((length + 2 * pad - side) // stride + 1 for length in (height, width))
    shape = (n, outputs, high, wide)
    rate = 1.0 if activated else 1 / GAIN
    return x.plan.emit(
        "conv2d",
        shape,
        {"x": x},
        weights={
            "kernel": activated_kernel(weight, weight.shape, x.plan.type, rate),
            "bias": activated_bias(bias, rate),
            "prelu": filled(SLOPE, outputs) if activated else None,
        },
        flop=2.0 * n * shape[2] * shape[3] * math.prod(weight.shape),
        **conv_numbers(stride, pad),
    )


def activated_kernel(weight: Weight, shape: tuple[int, ...], type_name: str, rate: float = 1.0) -> Conv:
    """Return the equalised kernel of this shape [O,I,k,k], times the gain of the activation."""
    scale = np.float32(GAIN * rate * math.prod(shape[1:]) ** -0.5)

    def scaled(arrays: Arrays) -> tuple[Array, Array, None]:
        return weight.read(arrays).reshape(shape), np.full(shape[0], scale, np.float32), None

    return Conv((weight.key, "equalised", str(GAIN * rate)), shape, type_name, scaled)


def activated_bias(bias: Weight, rate: float = 1.0) -> Vector:
    """Return the bias, times the gain of the activation."""
    gain = np.float32(GAIN * rate)
    return Vector((bias.key, str(GAIN * rate)), lambda arrays: bias.read(arrays) * gain)
