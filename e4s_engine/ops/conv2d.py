"""Dense convolution, with the activation that follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.ops import activation
from e4s_engine.plan import Conv, vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight


def reference(
    x: Tensor,
    weight: Tensor,
    *,
    bias: Tensor | None = None,
    stride: int = 1,
    prelu: Tensor | None = None,
    relu: bool = False,
) -> Tensor:
    """Convolve with padding k // 2, add the optional bias, then apply PReLU, ReLU or neither.

    x [N,I,H,W], weight [O,I,k,k], bias [O], prelu [O] -> [N,O,ceil(H/stride),ceil(W/stride)].
    """
    import torch.nn.functional as F

    y = F.conv2d(x, weight, bias, stride=stride, padding=weight.shape[-1] // 2)
    if prelu is not None:
        return F.prelu(y, prelu)
    return y.relu() if relu else y


def record(
    x: Symbol,
    weight: Weight,
    *,
    bias: Weight | None = None,
    stride: int = 1,
    prelu: Weight | None = None,
    relu: bool = False,
) -> Symbol:
    """Append a convolution, then the activation."""
    plan = x.plan
    n, inputs, height, width = x.shape
    outputs, kernel = weight.shape[0], weight.shape[-1]
    shape = (n, outputs, -(-height // stride), -(-width // stride))
    y = plan.emit(
        "conv2d",
        shape,
        {"x": x},
        weights={"kernel": whole_kernel(weight, plan.type), "bias": vector(bias)},
        flop=2.0 * n * shape[2] * shape[3] * outputs * inputs * kernel**2,
        stride=stride,
        first=0,
        relu=0,
    )
    return activation.record(y, prelu=prelu) if relu or prelu is not None else y


def whole_kernel(weight: Weight, type_name: str) -> Conv:
    """Return the kernel without any scale."""

    def whole(arrays: Arrays) -> tuple[Array, None, None]:
        return weight.read(arrays), None, None

    return Conv((weight.key,), weight.shape, type_name, whole)
