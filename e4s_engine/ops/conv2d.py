"""Dense convolution, with the activation that follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.ops import activation
from e4s_engine.plan import Conv, Vector, conv_numbers, unfoldable, vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight

COLOURS = 3


def reference(
    x: Tensor,
    weight: Tensor,
    *,
    bias: Tensor | None = None,
    stride: int = 1,
    reflect: bool = False,
    prelu: Tensor | None = None,
    relu: bool = False,
    slope: float = 0.0,
) -> Tensor:
    """Convolve with a border of k // 2 pixels, add the optional bias, then apply one activation or none.

    x [N,I,H,W], weight [O,I,k,k], bias [O] -> [N,O,ceil(H/stride),ceil(W/stride)]. reflect: the border
    mirrors x, whose sides are above k // 2, without its edge; else it is zero. Activations: PReLU (prelu
    [O]), leaky ReLU (slope > 0) or ReLU.
    """
    import torch.nn.functional as F

    pad = weight.shape[-1] // 2
    if reflect:
        x = F.pad(x, (pad, pad, pad, pad), mode="reflect")
    y = F.conv2d(x, weight, bias, stride=stride, padding=0 if reflect else pad)
    if prelu is None and not relu and not slope:
        return y
    return activation.reference(y, prelu=prelu, slope=slope)


def record(
    x: Symbol,
    weight: Weight,
    *,
    bias: Weight | None = None,
    stride: int = 1,
    reflect: bool = False,
    prelu: Weight | None = None,
    relu: bool = False,
    slope: float = 0.0,
) -> Symbol:
    """Append a convolution, then the activation. Three outputs become a picture."""
    plan = x.plan
    n, inputs, height, width = x.shape
    outputs, kernel = weight.shape[0], weight.shape[-1]
    shape = (n, outputs, -(-height // stride), -(-width // stride))
    coloured = outputs == COLOURS
    if coloured and prelu is not None:
        raise unfoldable("a PReLU of three channels")
    y = plan.emit(
        "conv2d",
        (n, COLOURS + 1, *shape[2:]) if coloured else shape,
        {"x": x},
        type="f32" if coloured else "",
        weights={
            "kernel": _four_kernels(weight, plan.type) if coloured else whole_kernel(weight, plan.type),
            "bias": _four_values(bias) if coloured and bias is not None else vector(bias),
        },
        flop=2.0 * n * shape[2] * shape[3] * outputs * inputs * kernel**2,
        **conv_numbers(stride, kernel // 2, reflect=reflect),
    )
    if relu or slope or prelu is not None:
        y = activation.record(y, prelu=prelu, slope=slope)
    return plan.emit("picture", shape, {"x": y}, type="f32", sigmoid=0) if coloured else y


def whole_kernel(weight: Weight, type_name: str) -> Conv:
    """Return the kernel without any scale."""

    def whole(arrays: Arrays) -> tuple[Array, None, None]:
        return weight.read(arrays), None, None

    return Conv((weight.key,), weight.shape, type_name, whole)


def _four_kernels(weight: Weight, type_name: str) -> Conv:
    """Return a kernel of three outputs with a fourth one, zero: buffers of three channels are pictures."""
    shape = (COLOURS + 1, *weight.shape[1:])

    def four(arrays: Arrays) -> tuple[Array, None, None]:
        return np.concatenate([weight.read(arrays), np.zeros((1, *shape[1:]), np.float32)]), None, None

    return Conv((weight.key, "four"), shape, type_name, four)


def _four_values(bias: Weight) -> Vector:
    return Vector((bias.key, "four"), lambda arrays: np.append(bias.read(arrays), np.float32(0)))
