"""Dense convolution, with the activation that follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.plan import Conv, vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight


def reference(
    x: Tensor, weight: Tensor, *, stride: int = 1, prelu: Tensor | None = None, relu: bool = False
) -> Tensor:
    """Convolution with padding k // 2 and no bias, then PReLU where slopes are given, or ReLU if asked.

    x [N,I,H,W], weight [O,I,k,k], prelu [O] -> [N,O,ceil(H/stride),ceil(W/stride)].
    """
    import torch.nn.functional as F

    y = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
    if prelu is not None:
        return F.prelu(y, prelu)
    return y.relu() if relu else y


def record(
    x: Symbol, weight: Weight, *, stride: int = 1, prelu: Weight | None = None, relu: bool = False
) -> Symbol:
    """A convolution step."""
    plan = x.plan
    n, inputs, height, width = x.shape
    outputs, kernel = weight.shape[0], weight.shape[-1]

    def whole(arrays: Arrays) -> tuple[Array, None, None]:
        return weight.read(arrays), None, None

    plan.need_halo(x, kernel // 2)
    shape = (n, outputs, -(-height // stride), -(-width // stride))
    return plan.emit(
        "conv",
        shape,
        {"x": x},
        weights={"kernel": Conv((weight.key,), weight.shape, plan.type, whole), "prelu": vector(prelu)},
        flop=2.0 * n * shape[2] * shape[3] * outputs * inputs * kernel**2,
        stride=stride,
        first=0,
        relu=relu,
    )
