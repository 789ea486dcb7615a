"""Equalised linear layer over a whole feature map: the style of a picture from its coarsest features."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from e4s_engine.ops import equal_conv
from e4s_engine.plan import Symbol, conv_numbers, filled

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Weight


def reference(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # [N,C,S,S], [O,C*S*S], [O] -> [N,1,O]
    """Return sqrt(2) * leaky(flat @ (weight / sqrt(C S S))^T + bias), flat: x by channel, row, column."""
    from torch.nn import functional as F

    y = F.linear(x.flatten(1).float(), weight * weight.shape[1] ** -0.5, bias)
    return (F.leaky_relu(y, equal_conv.SLOPE) * equal_conv.GAIN).unsqueeze(1)


def record(x: Symbol, weight: Weight, bias: Weight) -> Symbol:
    """Append a convolution whose kernel is as large as the map."""
    n, channels, height, width = x.shape
    outputs = weight.shape[0]
    y = x.plan.emit(
        "conv2d",
        (n, outputs, 1, 1),
        {"x": x},
        type="f32",
        weights={
            "kernel": equal_conv.activated_kernel(weight, (outputs, channels, height, width), x.plan.type),
            "bias": equal_conv.activated_bias(bias),
            "prelu": filled(equal_conv.SLOPE, outputs),
        },
        flop=2.0 * n * math.prod(weight.shape),
        **conv_numbers(),
    )
    return Symbol(x.plan, (n, 1, outputs), y.buffer)
