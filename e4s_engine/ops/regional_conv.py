"""Modulated convolution with mask-guided injection (StyleGAN2 section 2.2; E4S section 3.3).

In a regional layer the output at a pixel is that of the convolution modulated and demodulated with the
style of that pixel's region. `published` runs the whole convolution once per region, masks and sums.
`reference` runs it once: it scales each input pixel by the style of its own region and convolves, which is
exact for every output pixel whose receptive field lies in one region. The rest, a thin seam along region
borders, is computed anew from gathered patches scaled by the style of the output pixel's region. Then follow
demodulation, noise, bias and activation per pixel. With gradients the same sums take other forms, whose
gradients are cheap (`_differences`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.errors import ArgumentError
from e4s_engine.ops import _fir
from e4s_engine.plan import Constant, Conv, Vector, unfoldable, vector

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight

    Smooth = Callable[[Tensor, int, int], Tensor]

EPSILON = 1e-8
SLOPE = 0.2
GAIN = 2**0.5
SEAM_CHUNK = 4096  # seam pixels per gather: bounds the patches to 75 MB at 512 channels
SEAM_CHUNK_GPU = 65536  # on GPUs launches cost more than memory does


def check(x: Tensor, weight: Tensor, styles: Tensor, labels: Tensor | None, upsample: bool) -> None:
    """Raise ArgumentError unless the shapes fit together."""
    n, channels, height, width = x.shape
    if weight.ndim != 4 or weight.shape[1] != channels or weight.shape[2:] not in ((3, 3), (1, 1)):
        raise ArgumentError(f"weight: expected [O, {channels}, k, k] with k 1 or 3, got {list(weight.shape)}")
    if upsample and weight.shape[2] != 3:
        raise ArgumentError("upsample: only a 3 x 3 kernel upsamples")
    if styles.ndim != 3 or styles.shape[0] != n or styles.shape[2] != channels:
        raise ArgumentError(f"styles: expected [{n}, R, {channels}], got {list(styles.shape)}")
    scale = 2 if upsample else 1
    if labels is None:
        if styles.shape[1] != 1:
            raise ArgumentError(f"labels: needed to tell {styles.shape[1]} regions apart")
    elif labels.shape != (n, height * scale, width * scale):
        expected = [n, height * scale, width * scale]
        raise ArgumentError(f"labels: expected {expected} (the output's size), got {list(labels.shape)}")


def reference(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    labels: Tensor | None = None,
    *,
    upsample: bool = False,
    noise: Tensor | None = None,
    noise_gain: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Run one convolution, with the style of every output pixel's region.

    x [N,I,H,W], weight [O,I,k,k], styles [N,R,I], labels [N,H',W'] in 0..R-1 (None: R = 1),
    noise [1,1,H',W'], noise_gain [1], bias [O] -> [N,O,H',W'] with H' = 2H if upsample else H.
    """
    check(x, weight, styles, labels, upsample)
    weight = weight * weight[0].numel() ** -0.5
    if labels is None:
        y = convolve_modulated(x, weight, styles[:, 0], upsample, demodulated=True)
    else:
        labels = labels.long()
        y = convolve_regions(x, weight, styles, labels, upsample)
        scale = demodulate(weight, styles)
        if y.requires_grad and noise is not None and noise_gain is not None and bias is not None:
            from e4s_engine.ops import _differences

            return _differences.finish(y, scale, labels, noise, noise_gain, bias)
        y = y * _spread(scale, labels)
    return _finish(y, noise, noise_gain, bias)


def published(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    labels: Tensor | None = None,
    *,
    upsample: bool = False,
    noise: Tensor | None = None,
    noise_gain: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Compute `reference` in the published form: a whole convolution per region, masked and summed."""
    check(x, weight, styles, labels, upsample)
    weight = weight * weight[0].numel() ** -0.5
    if labels is None:
        smooth = _fir.smooth_published
        y = convolve_modulated(x, weight, styles[:, 0], upsample, demodulated=True, smooth=smooth)
    else:
        y = sum_regions(x, weight, styles, labels, upsample=upsample, demodulated=True)
    return _finish(y, noise, noise_gain, bias)


def sum_regions(
    x: Tensor, weight: Tensor, styles: Tensor, labels: Tensor, *, upsample: bool, demodulated: bool
) -> Tensor:
    """Sum over regions a whole convolution times the region's mask, as in the published code."""
    y = x.new_zeros(x.shape[0], weight.shape[0], *labels.shape[1:])
    for region in range(styles.shape[1]):
        style = styles[:, region]
        out = convolve_modulated(x, weight, style, upsample, demodulated, _fir.smooth_published)
        y = y + out * (labels == region).unsqueeze(1).to(out.dtype)
    return y


def convolve_modulated(
    x: Tensor, weight: Tensor, style: Tensor, upsample: bool, demodulated: bool, smooth: Smooth = _fir.smooth
) -> Tensor:  # [N,I,H,W], [O,I,k,k], [N,I] -> [N,O,H',W']
    """Convolve in StyleGAN2's fused form: weights modulated per sample, one grouped convolution."""
    import torch.nn.functional as F

    n, channels, height, width = x.shape
    modulated = weight.unsqueeze(0) * style[:, None, :, None, None]  # [N,O,I,k,k]
    if demodulated:
        modulated = modulated * (modulated.square().sum((2, 3, 4), keepdim=True) + EPSILON).rsqrt()
    stacked = x.reshape(1, n * channels, height, width)
    kernel = weight.shape[-1]
    if upsample:
        flipped = modulated.transpose(1, 2).reshape(n * channels, -1, kernel, kernel)
        y = F.conv_transpose2d(stacked, flipped, stride=2, groups=n)
        return smooth(y.view(n, -1, *y.shape[2:]), 1, 1)
    y = F.conv2d(stacked, modulated.flatten(0, 1), padding=kernel // 2, groups=n)
    return y.view(n, -1, height, width)


def demodulate(weight: Tensor, styles: Tensor) -> Tensor:  # [O,I,k,k], [N,R,I] -> [N,R,O]
    """Return 1 / sqrt(sum over input channels and taps of (weight * style)^2 + 1e-8)."""
    import torch

    with torch.autocast(styles.device.type, enabled=False):  # a sum of squares needs full precision
        energy = weight.square().sum((2, 3))  # [O,I]
        return (styles.to(energy.dtype).square() @ energy.T + EPSILON).rsqrt()


def _spread(values: Tensor, labels: Tensor) -> Tensor:  # [N,R,C], [N,H,W] -> [N,C,H,W]
    """Lay per-region values out over the pixels."""
    n, _, channels = values.shape
    index = labels.reshape(n, 1, -1).expand(n, channels, -1)
    return values.transpose(1, 2).gather(2, index).view(n, channels, *labels.shape[1:])


def convolve_regions(
    x: Tensor, weight: Tensor, styles: Tensor, labels: Tensor, upsample: bool
) -> Tensor:  # -> [N,O,H',W'], not yet demodulated
    """Convolve with the style of every output pixel's region."""
    inner = labels[:, ::2, ::2] if upsample else labels  # labels of the input pixels
    if _wants_gradients(x, weight, styles):
        from e4s_engine.ops import _differences

        return _differences.convolve_regions(x, weight, styles, inner, labels)
    y = convolve(x * _spread(styles, inner), weight, upsample)
    if weight.shape[-1] == 1:
        return y  # the receptive field is the pixel itself
    seam = _seam(inner, labels, upsample).nonzero()  # [B,3]: sample, row, column
    if len(seam) == 0:
        return y
    return _mend(y, seam, x, weight, styles, labels, upsample)


def _wants_gradients(*tensors: Tensor) -> bool:
    import torch

    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def convolve(x: Tensor, weight: Tensor, upsample: bool) -> Tensor:
    """Convolve, or convolve in the upsampling form (StyleGAN2, appendix B)."""
    import torch.nn.functional as F

    if upsample:
        return _fir.smooth(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), 1, 1)
    return F.conv2d(x, weight, padding=weight.shape[-1] // 2)


def _seam(inner: Tensor, labels: Tensor, upsample: bool) -> Tensor:  # -> [N,H',W'] bool
    """Find output pixels whose 3 x 3 neighbourhood of input pixels holds another region than their own."""
    import torch.nn.functional as F

    # In either form an output pixel sees the input pixels around its own: see _fir.phase_kernels.
    values = inner.unsqueeze(1).float()
    high = F.max_pool2d(values, 3, stride=1, padding=1)
    low = -F.max_pool2d(-values, 3, stride=1, padding=1)
    if upsample:
        high, low = (v.repeat_interleave(2, 2).repeat_interleave(2, 3) for v in (high, low))
    own = labels.unsqueeze(1).float()
    return ((high != own) | (low != own)).squeeze(1)


def _mend(
    y: Tensor, seam: Tensor, x: Tensor, weight: Tensor, styles: Tensor, labels: Tensor, upsample: bool
) -> Tensor:
    """Replace the seam's pixels in y, computed from patches scaled by their own region's style."""
    import torch
    import torch.nn.functional as F

    _, channels, _, width = x.shape
    pixels = F.pad(x, (1, 1, 1, 1)).permute(0, 2, 3, 1).contiguous()  # [N,H+2,W+2,I]
    rows = pixels.view(-1, channels)
    offsets = torch.arange(3, device=x.device)
    window = (offsets[:, None] * (width + 2) + offsets).flatten()  # a patch in `rows`, from its corner
    kernels = _fir.phase_kernels(weight).flatten(0, 1) if upsample else weight[None]
    matrices = kernels.permute(0, 3, 4, 2, 1).flatten(1, 3)  # [phases, 9 I, O]
    seam, phases = _by_phase(seam, upsample)
    most, scale = SEAM_CHUNK if x.device.type == "cpu" else SEAM_CHUNK_GPU, 2 if upsample else 1
    values = []
    for chunk, phase in zip(torch.split(seam, most), torch.split(phases, most), strict=True):
        sample, row, column = chunk.unbind(1)
        style = styles[sample, labels[sample, row, column]]  # [B,I]
        corner = (sample * (x.shape[2] + 2) + row // scale) * (width + 2) + column // scale
        near = rows.index_select(0, (corner[:, None] + window).flatten())
        patches = (near.view(-1, len(window), channels) * style.unsqueeze(1)).flatten(1)  # [B,9 I]
        counts = torch.bincount(phase, minlength=len(matrices)).tolist()
        values += [part @ matrix for part, matrix in zip(torch.split(patches, counts), matrices, strict=True)]
    mended = y.permute(0, 2, 3, 1).index_put(tuple(seam.unbind(1)), torch.cat(values).to(y.dtype))
    return mended.permute(0, 3, 1, 2)


def _by_phase(seam: Tensor, upsample: bool) -> tuple[Tensor, Tensor]:
    """Sort the seam's pixels by phase (parity of row and column), each with its own kernel; return both."""
    if not upsample:
        return seam, seam.new_zeros(len(seam))
    phases, order = ((seam[:, 1] % 2) * 2 + seam[:, 2] % 2).sort(stable=True)
    return seam[order], phases


def _finish(y: Tensor, noise: Tensor | None, noise_gain: Tensor | None, bias: Tensor | None) -> Tensor:
    """Add noise and bias, apply leaky ReLU and gain; None is skipped. `y` may be overwritten."""
    import torch.nn.functional as F

    # Without gradients the passes over the largest maps run in place: fresh memory would take a third of
    # their time.
    add = y.add if y.requires_grad else y.add_
    if noise is not None and noise_gain is not None:
        y = add((noise * noise_gain).to(y.dtype))
    if bias is None:
        return y
    add = y.add if y.requires_grad else y.add_
    y = F.leaky_relu(add(bias.view(1, -1, 1, 1).to(y.dtype)), SLOPE, inplace=not y.requires_grad)
    return y * GAIN if y.requires_grad else y.mul_(GAIN)


def record(
    x: Symbol,
    weight: Weight,
    styles: Symbol | Constant,
    labels: Symbol | None = None,
    *,
    upsample: bool = False,
    noise: Weight | None = None,
    noise_gain: Weight | None = None,
    bias: Weight | None = None,
) -> Symbol:
    """Append a demodulation and a convolution; a constant style becomes part of the weights."""
    plan = x.plan
    n, inputs, height, width = x.shape
    outputs, scale = weight.shape[0], 2 if upsample else 1
    constant = styles if isinstance(styles, Constant) else None
    if weight.shape[-1] != 3 or (constant and labels is not None):
        raise unfoldable("a regional convolution of this form")
    operands: dict[str, Symbol | None] = {"x": x, "labels": labels}
    if not isinstance(styles, Constant):
        operands |= {"styles": styles, "demodulation": _record_demodulation(weight, styles)}
    weights: dict[str, Conv | Vector | list[Conv | Vector] | None] = {
        "kernel": _record_kernel(weight, constant, plan.type),
        "bias": vector(bias),
    }
    if noise is not None and noise_gain is not None:
        pattern, gain = noise, noise_gain
        weights["noise"] = Vector(
            (pattern.key, gain.key), lambda arrays: pattern.read(arrays) * gain.read(arrays)
        )
    side_taps = 9 / 4 if upsample else 9
    shape = (n, outputs, height * scale, width * scale)
    return plan.emit(
        "regional_conv",
        shape,
        {name: symbol for name, symbol in operands.items() if symbol is not None},
        weights=weights,
        flop=2.0 * n * shape[2] * shape[3] * inputs * outputs * side_taps,
        upsample=upsample,
        slope=SLOPE,
        gain=GAIN,
    )


def _record_kernel(weight: Weight, constant: Constant | None, type_name: str) -> Conv:
    """Return the weights, modulated and demodulated if the style is a constant."""
    outputs, inputs = weight.shape[:2]

    def make(arrays: Arrays) -> tuple[Array, Array, Array | None]:
        gain = np.full(outputs, (inputs * 9) ** -0.5, np.float32)
        if constant is None:
            return weight.read(arrays), gain, None
        style = constant.make(arrays)
        energy = np.square(weight.read(arrays) * gain[0]).sum((2, 3)) @ np.square(style)
        return weight.read(arrays), gain / np.sqrt(energy + np.float32(EPSILON)), style

    key = constant.key if constant else ()
    return Conv((weight.key, "modulated", *key), weight.shape, type_name, make)


def _record_demodulation(weight: Weight, styles: Symbol) -> Symbol:
    """Append the scales of the output channels, per region."""
    n, regions, inputs = styles.shape
    outputs = weight.shape[0]

    def energy(arrays: Arrays) -> tuple[Array, None, None]:
        total = np.square(weight.read(arrays)).sum((2, 3)) / np.float32(inputs * 9)
        return np.ascontiguousarray(total[:, :, None, None]), None, None

    kernel = Conv((weight.key, "energy"), (outputs, inputs, 1, 1), "f32", energy)
    flop = 2.0 * n * regions * inputs * outputs
    shape = (n, regions, outputs)
    return styles.plan.emit(
        "demodulate",
        shape,
        {"x": styles},
        type="f32",
        weights={"energy": kernel},
        flop=flop,
        epsilon=EPSILON,
    )
