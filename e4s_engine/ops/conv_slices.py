"""Convolution that reads a volume's slices as channels of one map."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from e4s_engine.ops import conv2d
from e4s_engine.ops._volumes import volume
from e4s_engine.plan import VECTOR, Conv, conv_numbers, vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight

_MOST_TAPS = 64  # outputs of the kernels' widest tile


def reference(x: Tensor, weight: Tensor, bias: Tensor, *, depth: int) -> Tensor:
    """Convolve the slices of a volume as one map, whose channel c * D + d is channel c of slice d.

    x [N*D,I,H,W], weight [O,I*D,k,k], bias [O] -> [N,O,H,W].
    """
    return conv2d.reference(volume(x, depth).flatten(1, 2), weight, bias=bias)


def record(x: Symbol, weight: Weight, bias: Weight, *, depth: int) -> Symbol:
    """Append a convolution that sums those of all slices of a volume; see `_by_taps` for few outputs."""
    n, inputs, height, width = x.shape
    outputs, kernel = weight.shape[0], weight.shape[-1]
    if kernel > 1 and outputs <= VECTOR and outputs * kernel**2 <= _MOST_TAPS:
        return _by_taps(x, weight, bias, depth)
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


def _by_taps(x: Symbol, weight: Weight, bias: Weight, depth: int) -> Symbol:
    """Append a 1 x 1 convolution with an output for every tap of the kernel, then the sums over taps.

    The kernels compute whole vectors of outputs: a single one would leave them idle.
    """
    plan, (n, inputs, height, width) = x.plan, x.shape
    outputs, kernel = weight.shape[0], weight.shape[-1]
    channels = outputs * kernel**2
    shape = (channels, inputs, depth, 1, 1)

    def apart(arrays: Arrays) -> tuple[Array, None, None]:
        deep = weight.read(arrays).reshape(outputs, inputs, depth, kernel, kernel)
        return deep.transpose(3, 4, 0, 1, 2).reshape(shape), None, None

    y = plan.emit(
        "conv2d",
        (n // depth, channels, height, width),
        {"x": x},
        type="f32",
        weights={"kernel": Conv((weight.key, "taps"), shape, plan.type, apart)},
        flop=2.0 * n // depth * height * width * math.prod(weight.shape),
        **conv_numbers(depth=depth),
    )
    weights, size = {"bias": vector(bias)}, (n // depth, outputs, height, width)
    return plan.emit("sum_taps", size, {"x": y}, weights=weights, depth=1, deep=1, side=kernel)
