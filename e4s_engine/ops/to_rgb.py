"""toRGB: a modulated 1 x 1 convolution without demodulation, bias, and the skip from half the size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.ops import _fir, regional_conv

if TYPE_CHECKING:
    from torch import Tensor


def reference(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    labels: Tensor | None,
    bias: Tensor,
    skip: Tensor | None = None,
) -> Tensor:
    """Picture at this size: colour of the features plus the smaller picture, upsampled.

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
    """The same as the published code computes it: once per region, masked and summed."""
    regional_conv.check(x, weight, styles, labels, upsample=False)
    weight = weight * weight[0].numel() ** -0.5
    if labels is None:
        y = regional_conv.convolve_modulated(x, weight, styles[:, 0], upsample=False, demodulated=False)
    else:
        y = regional_conv.sum_regions(x, weight, styles, labels, upsample=False, demodulated=False)
    y = y + bias
    return y if skip is None else y + _fir.upsample_published(skip)
