"""Spatially adaptive normalisation: an instance norm whose scale and shift are maps (SPADE)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.ops import conv2d, instance_norm
from e4s_engine.plan import VECTOR, Conv, Vector, conv_numbers

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight


def reference(
    x: Tensor,
    style: Tensor,
    gamma: Tensor,
    gamma_bias: Tensor,
    beta: Tensor,
    beta_bias: Tensor,
    *,
    slope: float = 1.0,
    reflect: bool = False,
) -> Tensor:
    """Return norm(x) * (1 + conv(style, gamma)) + conv(style, beta), then leaky ReLU if slope is not 1.

    x [N,C,H,W], style [N,S,H,W], gamma and beta [C,S,k,k], their biases [C] -> [N,C,H,W]. reflect: the
    convolutions' border mirrors the style; else it is zero.
    """
    import torch.nn.functional as F

    scale = conv2d.reference(style, gamma, bias=gamma_bias, reflect=reflect)
    shift = conv2d.reference(style, beta, bias=beta_bias, reflect=reflect)
    y = instance_norm.reference(x) * (1 + scale) + shift
    return y if slope == 1 else F.leaky_relu(y, slope)


def record(
    x: Symbol,
    style: Symbol,
    gamma: Weight,
    gamma_bias: Weight,
    beta: Weight,
    beta_bias: Weight,
    *,
    slope: float = 1.0,
    reflect: bool = False,
) -> Symbol:
    """Append one convolution for the scales, 1 included, and the shifts, then the norm that they modulate."""
    plan, (n, channels, height, width) = x.plan, x.shape
    inputs, kernel = gamma.shape[1], gamma.shape[-1]
    padded = -(-channels // VECTOR) * VECTOR  # the step reads whole vectors of scales, then of shifts
    shape = (2 * padded, inputs, kernel, kernel)

    def both(arrays: Arrays) -> tuple[Array, None, None]:
        return _stacked(gamma.read(arrays), beta.read(arrays), padded), None, None

    def biases(arrays: Arrays) -> Array:
        return _stacked(1 + gamma_bias.read(arrays), beta_bias.read(arrays), padded)

    maps = plan.emit(
        "conv2d",
        (n, 2 * padded, height, width),
        {"x": style},
        weights={
            "kernel": Conv((gamma.key, beta.key), shape, plan.type, both),
            "bias": Vector((gamma_bias.key, beta_bias.key), biases),
        },
        flop=2.0 * n * height * width * 2 * channels * inputs * kernel**2,
        **conv_numbers(pad=kernel // 2, reflect=reflect),
    )
    return plan.emit("spade", x.shape, {"x": x, "maps": maps}, epsilon=instance_norm.EPSILON, slope=slope)


def _stacked(scales: Array, shifts: Array, padded: int) -> Array:
    """Return both along the first axis, each followed by zeros up to `padded` rows."""
    both = np.zeros((2, padded, *scales.shape[1:]), np.float32)
    both[0, : len(scales)], both[1, : len(shifts)] = scales, shifts
    return both.reshape(2 * padded, *scales.shape[1:])
