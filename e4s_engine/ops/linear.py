"""Linear layer over the channels of one pixel (heads of a classifier)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from e4s_engine.plan import Conv, Symbol, conv_numbers, vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Weight


def reference(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:  # [N,I,1,1], [O,I], [O] -> [N,1,O]
    """Return x @ weight^T + bias."""
    from torch.nn import functional as F

    return F.linear(x.flatten(1).unsqueeze(1), weight, bias)


def record(x: Symbol, weight: Weight, bias: Weight) -> Symbol:
    """Append a 1 x 1 convolution with a result in fp32."""
    n, outputs = x.shape[0], weight.shape[0]

    def matrix(arrays: Arrays) -> tuple[Array, None, None]:
        return weight.read(arrays)[:, :, None, None], None, None

    y = x.plan.emit(
        "conv2d",
        (n, outputs, 1, 1),
        {"x": x},
        type="f32",
        weights={
            "kernel": Conv((weight.key, "matrix"), (*weight.shape, 1, 1), x.plan.type, matrix),
            "bias": vector(bias),
        },
        flop=2.0 * n * math.prod(weight.shape),
        **conv_numbers(),
    )
    return Symbol(x.plan, (n, 1, outputs), y.buffer)
