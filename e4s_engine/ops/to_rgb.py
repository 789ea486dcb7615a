"""toRGB: a modulated 1 x 1 convolution without demodulation, bias, and the skip from half the size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.ops import _fir, regional_conv
from e4s_engine.plan import Constant, Vector, vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight


def reference(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    labels: Tensor | None,
    bias: Tensor,
    skip: Tensor | None = None,
) -> Tensor:
    """Compute the picture at this size: colours of the features plus the smaller picture, upsampled.

    x [N,I,H,W], weight [3,I,1,1], styles [N,R,I], labels [N,H,W] or None, bias [1,3,1,1],
    skip [N,3,H/2,W/2] or None -> [N,3,H,W].
    """
    regional_conv.check(x, weight, styles, labels, upsample=False)
    weight = weight * weight[0].numel() ** -0.5
    if labels is None:
        y = regional_conv.convolve_modulated(x, weight, styles[:, 0], upsample=False, demodulated=False)
    else:
        y = regional_conv.convolve_regions(x, weight, styles, labels.long(), upsample=False)
    y = y + bias
    return y if skip is None else y + _fir.upsample(skip)


def published(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    labels: Tensor | None,
    bias: Tensor,
    skip: Tensor | None = None,
) -> Tensor:
    """Compute `reference` in the published form: once per region, masked and summed."""
    regional_conv.check(x, weight, styles, labels, upsample=False)
    weight = weight * weight[0].numel() ** -0.5
    if labels is None:
        y = regional_conv.convolve_modulated(x, weight, styles[:, 0], upsample=False, demodulated=False)
    else:
        y = regional_conv.sum_regions(x, weight, styles, labels, upsample=False, demodulated=False)
    y = y + bias
    return y if skip is None else y + _fir.upsample_published(skip)


def record(
    x: Symbol,
    weight: Weight,
    styles: Symbol | Constant,
    labels: Symbol | None,
    bias: Weight,
    skip: Symbol | None = None,
) -> Symbol:
    """Append a step of its own; a constant style becomes part of the weights."""
    plan = x.plan
    n, inputs, height, width = x.shape
    constant = styles if isinstance(styles, Constant) else None
    key = constant.key if constant else ()

    def matrix(arrays: Arrays) -> Array:
        plain = weight.read(arrays)[:, :, 0, 0] * np.float32(inputs**-0.5)
        return plain if constant is None else plain * constant.make(arrays)

    per_picture = None if isinstance(styles, Constant) else styles
    operands = {"x": x, "skip": skip, "styles": per_picture, "labels": labels}
    return plan.emit(
        "to_rgb",
        (n, 3, height, width),
        {name: symbol for name, symbol in operands.items() if symbol is not None},
        type="f32",
        weights={"matrix": Vector((weight.key, "matrix", *key), matrix), "bias": vector(bias)},
        flop=2.0 * n * height * width * inputs * 3,
    )
