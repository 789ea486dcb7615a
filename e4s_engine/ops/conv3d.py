"""Convolution of volumes, which are kept as slices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from e4s_engine.ops._volumes import slices, volume
from e4s_engine.ops.conv2d import COLOURS, whole_kernel
from e4s_engine.plan import VECTOR, Conv, conv_numbers, unfoldable, vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight


def reference(x: Tensor, weight: Tensor, bias: Tensor, *, depth: int) -> Tensor:
    """Convolve with a border of k // 2 zeros on every side, and add the bias.

    x [N*D,I,H,W], weight [O,I,k,k,k], bias [O] -> [N*D,O,H,W].
    """
    import torch.nn.functional as F

    return slices(F.conv3d(volume(x, depth), weight, bias, padding=weight.shape[-1] // 2))


def record(x: Symbol, weight: Weight, bias: Weight, *, depth: int) -> Symbol:
    """Append a convolution that sums those of neighbouring slices; see `_by_slices` for few outputs."""
    n, _, height, width = x.shape
    kernel = weight.shape[-1]
    if weight.shape[0] == COLOURS:
        raise unfoldable("a volume of three channels")
    if kernel > 1 and weight.shape[0] <= VECTOR:
        return _by_slices(x, weight, bias, depth)
    return x.plan.emit(
        "conv2d",
        (n, weight.shape[0], height, width),
        {"x": x},
        weights={"kernel": whole_kernel(weight, x.plan.type), "bias": vector(bias)},
        flop=2.0 * n * height * width * math.prod(weight.shape),
        **conv_numbers(pad=kernel // 2, depth=depth, depth_pad=kernel // 2),
    )


def _by_slices(x: Symbol, weight: Weight, bias: Weight, depth: int) -> Symbol:
    """Append a convolution of maps with the outputs of every slice of the kernel, then their sums.

    The kernels compute whole vectors of outputs: one vector at a time would leave them half idle.
    """
    plan, (n, _, height, width) = x.plan, x.shape
    outputs, inputs, kernel = weight.shape[:3]
    shape = (kernel * outputs, inputs, kernel, kernel)

    def apart(arrays: Arrays) -> tuple[Array, None, None]:
        return weight.read(arrays).transpose(2, 0, 1, 3, 4).reshape(shape), None, None

    y = plan.emit(
        "conv2d",
        (n, kernel * outputs, height, width),
        {"x": x},
        type="f32",
        weights={"kernel": Conv((weight.key, "apart"), shape, plan.type, apart)},
        flop=2.0 * n * height * width * math.prod(weight.shape),
        **conv_numbers(pad=kernel // 2),
    )
    weights, size = {"bias": vector(bias)}, (n, outputs, height, width)
    return plan.emit("sum_taps", size, {"x": y}, weights=weights, depth=depth, deep=kernel, side=1)
