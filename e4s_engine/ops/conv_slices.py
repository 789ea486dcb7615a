"""Convolution that reads a volume's slices as channels of one map."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from e4s_engine.ops import conv2d
from e4s_engine.ops._volumes import volume
from e4s_engine.plan import Conv, conv_numbers, vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight


def reference(x: Tensor, weight: Tensor, bias: Tensor, *, depth: int) -> Tensor:
    """Convolve the slices of a volume as one map, whose channel c * D + d is channel c of slice d.

    x [N*D,I,H,W], weight [O,I*D,k,k], bias [O] -> [N,O,H,W].
    """
    return conv2d.reference(volume(x, depth).flatten(1, 2), weight, bias=bias)


def record(x: Symbol, weight: Weight, bias: Weight, *, depth: int) -> Symbol:
    """Append a convolution that sums those of all slices of a volume."""
    n, inputs, height, width = x.shape
    outputs, kernel = weight.shape[0], weight.shape[-1]
    shape = (outputs, inputs, depth, kernel, kernel)

    def deep(arrays: Arrays) -> tuple[Array, None, None]:
        return weight.read(arrays).reshape(shape), None, None

    return x.plan.emit(
        "conv2d",
        (n // depth, outputs, height, width),
        {"x": x},
        weights={"kernel": Conv((weight.key, "slices"), shape, x.plan.type, deep), "bias": vector(bias)},
        flop=2.0 * n // depth * height * width * math.prod(shape),
        **conv_numbers(pad=kernel // 2, depth=depth),
    )
