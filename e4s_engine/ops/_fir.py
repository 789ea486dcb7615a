"""The FIR filter of StyleGAN2's resampling: the outer product of [1, 3, 3, 1]."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

from e4s_engine.ops._constants import row

if TYPE_CHECKING:
    from torch import Tensor

TAPS = (1 / 4, 3 / 4, 3 / 4, 1 / 4)  # per axis: sum 2, so that both axes give the upsampling gain of 4


def smooth(x: Tensor, before: int, after: int) -> Tensor:  # [N,C,H,W] -> [N,C,H+b+a-3,W+b+a-3]
    """Filter over both axes, with zero padding `before` and `after`."""
    import torch.nn.functional as F

    channels = x.shape[1]
    taps = row(TAPS, x.dtype, x.device)
    # Depthwise 4 x 4: on CPUs many times faster than a channel at a time, twice as fast as two 1-D passes.
    kernel = (taps[:, None] * taps).expand(channels, 1, 4, 4)
    if before == after:
        return F.conv2d(x, kernel, padding=before, groups=channels)
    return F.conv2d(F.pad(x, (before, after, before, after)), kernel, groups=channels)


def smooth_published(x: Tensor, before: int, after: int) -> Tensor:
    """Compute `smooth` in the published form: on the CPU every channel is a picture of its own.

    On GPUs the published code has a kernel of its own; a depthwise convolution stands in for it.
    """
    import torch.nn.functional as F

    if x.device.type != "cpu":
        return smooth(x, before, after)
    n, c, h, w = x.shape
    taps = x.new_tensor(TAPS)
    y = F.pad(x, (before, after, before, after)).reshape(n * c, 1, h + before + after, w + before + after)
    y = F.conv2d(y, (taps[:, None] * taps).view(1, 1, 4, 4))
    return y.view(n, c, *y.shape[2:])


def upsample(x: Tensor) -> Tensor:  # [N,C,H,W] -> [N,C,2H,2W]
    """Upsample by zero-stuffing, then filter with padding (2, 1)."""
    return smooth(_stuff(x), 2, 1)


def upsample_published(x: Tensor) -> Tensor:
    """Compute `upsample` in the published form."""
    return smooth_published(_stuff(x), 2, 1)


def _stuff(x: Tensor) -> Tensor:  # [N,C,H,W] -> [N,C,2H,2W]
    n, c, h, w = x.shape
    stuffed = x.new_zeros(n, c, h, 2, w, 2)
    stuffed[:, :, :, 0, :, 0] = x
    return stuffed.view(n, c, 2 * h, 2 * w)


def phase_kernels(weight: Tensor) -> Tensor:  # [O,I,3,3] -> [2,2,O,I,3,3]
    """Fold a transposed convolution (stride 2) and the filter into one 3 x 3 convolution per output phase.

    Output row 2i + a is sum over d in -1, 0, 1 and taps t of taps[t] * weight[a + t - 1 - 2d] * x[i + d];
    columns likewise.
    """
    import torch

    mix = row(_mix(), weight.dtype, weight.device).view(2, 3, 3)
    return torch.einsum("ayk,bxl,oikl->aboiyx", mix, mix, weight)


@functools.cache
def _mix() -> tuple[float, ...]:  # [phase, tap of the folded kernel, tap of the weight], flat
    mix = [0.0] * 18
    for phase, d, (t, value) in itertools.product(range(2), range(3), enumerate(TAPS)):
        k = phase + t - 1 - 2 * (d - 1)
        if 0 <= k < 3:
            mix[phase * 9 + d * 3 + k] += value
    return tuple(mix)
