"""Regional convolution with gradients: the sums of `regional_conv` in forms whose gradients are cheap.

Maps are channels last throughout: a pixel's channels are a row to gather, and no pass mixes two layouts.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from e4s_engine.ops import _fir
from e4s_engine.ops.regional_conv import GAIN, SLOPE, convolve

_OUTSIDE = -1  # label of pixels beyond the border; a tap there reads zero, whatever its style


def convolve_regions(
    x: Tensor, weight: Tensor, styles: Tensor, inner: Tensor, labels: Tensor
) -> Tensor:  # [N,I,H,W], [O,I,k,k], [N,R,I], [N,H,W], [N,H',W'] -> [N,O,H',W'], not yet demodulated
    """Convolve with the style of every output pixel's region. inner: labels of the input pixels."""
    upsample = labels.shape[1] > inner.shape[1]
    x = x.contiguous(memory_format=torch.channels_last)
    y = convolve(x * spread(styles, inner), weight, upsample)
    if weight.shape[-1] == 1:
        return y  # the receptive field is the pixel itself
    return _mend(y, x, weight, styles, inner, labels)


def spread(values: Tensor, labels: Tensor) -> Tensor:  # [N,R,C], [N,H,W] -> [N,C,H,W]
    """Lay per-region values out over the pixels.

    A product does it: the gradient of a gather adds thousands of pixels into a few cells one by one.
    """
    n, regions, channels = values.shape
    numbers = torch.arange(regions, device=labels.device)
    one_hot = (labels.flatten(1).unsqueeze(-1) == numbers).to(values.dtype)
    return (one_hot @ values).view(n, *labels.shape[1:], channels).permute(0, 3, 1, 2)


def _mend(
    y: Tensor, x: Tensor, weight: Tensor, styles: Tensor, inner: Tensor, labels: Tensor
) -> Tensor:  # [N,O,H',W'], [N,I,H,W], [O,I,3,3], [N,R,I], [N,H,W], [N,H',W'] -> [N,O,H',W']
    """Correct y, for which every input pixel had its own region's style, to the styles of the output pixels.

    Where a tap reads a pixel of another region, the term of the difference of the two styles is missing.
    """
    n, channels, height, width = x.shape
    regions, scale = styles.shape[1], labels.shape[1] // height
    kernels = _fir.phase_kernels(weight).flatten(0, 1) if scale == 2 else weight[None]
    matrices = kernels.permute(0, 3, 4, 2, 1).flatten(0, 2)  # [phases 9,I,O]
    apart = _apart(inner, labels, scale)
    counts = apart.sum((1, 2, 3)).tolist()
    a, b, dy, dx, sample, row, column = (
        apart.view(scale, scale, 3, 3, n, height, width).nonzero().unbind(1)
    )  # in the order of the matrices
    near, to = (sample, row + dy - 1, column + dx - 1), (sample, row * scale + a, column * scale + b)
    pair = (sample * regions + labels[to]) * regions + inner[near]
    differences = (styles[:, :, None] - styles[:, None]).flatten(0, 2)  # [N R R,I]
    pixels = x.permute(0, 2, 3, 1).reshape(-1, channels)
    # F.embedding, as its gradient is summed by all threads.
    products = F.embedding(_flat(*near, height, width), pixels) * F.embedding(pair, differences)
    parts = zip(torch.split(products, counts), matrices, strict=True)
    missing = torch.cat([part @ matrix for part, matrix in parts]).to(y.dtype)
    rows = y.permute(0, 2, 3, 1).reshape(-1, y.shape[1])
    mended = rows.index_add(0, _flat(*to, *y.shape[2:]), missing)
    return mended.view(n, *y.shape[2:], -1).permute(0, 3, 1, 2)


def _apart(inner: Tensor, labels: Tensor, scale: int) -> Tensor:  # -> [phases 9,N,H,W] bool
    """Find the taps of output pixels that read an input pixel of another region than their own."""
    height, width = inner.shape[1:]
    padded = F.pad(inner, (1, 1, 1, 1), value=_OUTSIDE)
    # In either form an output pixel sees the input pixels around its own: see _fir.phase_kernels.
    read = torch.stack([padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)])
    own = torch.stack([labels[:, a::scale, b::scale] for a in range(scale) for b in range(scale)])
    return ((read != own[:, None]) & (read != _OUTSIDE)).flatten(0, 1)


def _flat(sample: Tensor, row: Tensor, column: Tensor, height: int, width: int) -> Tensor:
    return (sample * height + row) * width + column


def finish(
    y: Tensor, scale: Tensor, labels: Tensor, noise: Tensor, noise_gain: Tensor, bias: Tensor
) -> Tensor:
    """Finish a layer: demodulate y [N,O,H,W] by its region's scale [N,R,O], then noise, bias, activation."""
    laid_out = spread(scale * GAIN, labels).to(y.dtype)  # leaky ReLU is homogeneous: the gain may come first
    result: Tensor = _Activate.apply(y, laid_out, noise, noise_gain, bias)  # type: ignore[no-untyped-call]
    return result


class _Activate(torch.autograd.Function):
    """Leaky ReLU of (y * scale + (noise * noise_gain + bias) * sqrt(2)).

    y, scale [N,C,H,W], channels last; noise [1,1,H,W], noise_gain [1], bias [C] -> [N,C,H,W]. PyTorch's own
    gradients take one pass over the map per operation, and on CPUs sums over the batch, ten times as slow as
    products with ones.
    """

    @staticmethod
    def forward(
        ctx: Any, y: Tensor, scale: Tensor, noise: Tensor, noise_gain: Tensor, bias: Tensor
    ) -> Tensor:
        """See the class."""
        added = (noise * noise_gain + bias.view(1, -1, 1, 1)) * GAIN
        result = (y * scale).add_(added.to(y.dtype, memory_format=torch.channels_last))
        result = F.leaky_relu_(result, SLOPE)
        ctx.save_for_backward(y, scale, noise, noise_gain, result)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients, each in the type of its input."""
        y, scale, noise, noise_gain, result = ctx.saved_tensors
        n, channels = y.shape[:2]
        # The output has the sign of the input.
        inner = torch.ops.aten.leaky_relu_backward(gradient, result, SLOPE, True)
        inner = inner.contiguous(memory_format=torch.channels_last)
        rows = inner.permute(0, 2, 3, 1).reshape(-1, channels)  # [N H W,C]
        if rows.is_cuda:
            grad_bias = rows.sum(0, dtype=noise.dtype) * GAIN
            by_pixel = rows.view(n, -1, channels).sum((0, 2), dtype=noise.dtype)
        else:
            grad_bias = (rows.new_ones(1, len(rows)) @ rows).flatten().to(noise.dtype) * GAIN
            by_pixel = (rows @ rows.new_ones(channels, 1)).view(n, -1).to(noise.dtype).sum(0)
        grad_gain = (by_pixel @ noise.flatten())[None] * GAIN
        grad_noise = by_pixel.view_as(noise) * (noise_gain * GAIN) if ctx.needs_input_grad[2] else None
        grad_y = inner * scale
        return grad_y, inner.mul_(y), grad_noise, grad_gain, grad_bias
