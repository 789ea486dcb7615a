"""Regional operations for CUDA graphs, in forms whose shapes do not depend on the label maps.

A graph repeats the same launches on the same memory. Hence the taps that read across a border of two regions
are lists of a fixed capacity (`Seams`), the host reads nothing back, and a layer of all twelve regions is one
batched product. The sums are those of `_differences`.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from e4s_engine.ops import _fir, regional_conv, to_rgb
from e4s_engine.ops._differences import finish, spread

if TYPE_CHECKING:
    from e4s_engine.ops.ops import Ops

_OUTSIDE = 255  # label of pixels beyond the border; a tap there reads zero, whatever its style
_MARGIN = 1.5  # ratio of a list's capacity to the most entries seen
_STEP = 64  # capacities are multiples of this
_PARTS = 8  # parts of a list whose products are summed afterwards: one GPU block would process it all alone


class Seams:
    """Capacities of the lists of taps that read another region than their output pixel's.

    The capacity of a list is 1.5 times the most entries seen while `measuring`. Afterwards entries beyond it
    are left out, which `fullness` reports.
    """

    def __init__(self, device: str) -> None:
        self.measuring = True
        self._capacity: dict[tuple[int, ...], int] = {}
        self._fullness = torch.zeros((), device=device)

    def capacity(self, layer: tuple[int, ...], counts: Tensor) -> int:
        """Return the length of a layer's lists. layer: its size; counts: entries of each list."""
        if self.measuring:
            wanted = -(-int(counts.max().item() * _MARGIN) // _STEP) * _STEP
            self._capacity[layer] = max(wanted, self._capacity.get(layer, _STEP))
        capacity = self._capacity[layer]
        torch.maximum(self._fullness, counts.max() / capacity, out=self._fullness)
        return capacity

    def fullness(self) -> float:
        """Return the largest needed share of a list since the last call; above 1, entries were lost."""
        share = float(self._fullness)
        self._fullness.zero_()
        return share

    def operations(self, others: Ops[Tensor]) -> Ops[Tensor]:
        """Return the namespace `others` with these operations in place of its own."""
        mine = {"regional_conv": self.regional_conv, "to_rgb": rgb, "region_linear": region_linear}
        return cast("Ops[Tensor]", SimpleNamespace(**{**vars(others), **mine}))

    def regional_conv(
        self,
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
        """Compute `regional_conv.reference`."""
        if labels is None or noise is None or noise_gain is None or bias is None:
            assert labels is None, "a regional layer has noise and bias"
            return regional_conv.reference(
                x, weight, styles, upsample=upsample, noise=noise, noise_gain=noise_gain, bias=bias
            )
        regional_conv.check(x, weight, styles, labels, upsample)
        weight = weight * weight[0].numel() ** -0.5
        y = self._convolve(x, weight, styles, labels, upsample)
        return finish(y, regional_conv.demodulate(weight, styles), labels, noise, noise_gain, bias)

    def _convolve(
        self, x: Tensor, weight: Tensor, styles: Tensor, labels: Tensor, upsample: bool
    ) -> Tensor:  # [N,I,H,W], [O,I,3,3], [N,R,I], [N,H',W'] -> [N,O,H',W'], not yet demodulated
        """Convolve with the style of every output pixel's region.

        An upsampling layer computes its four output phases as channels: products cost less than extra passes.
        """
        n, _, height, width = x.shape
        scale, outputs = 2 if upsample else 1, weight.shape[0]
        inner = labels[:, ::scale, ::scale]
        with torch.autocast(x.device.type, enabled=False):
            kernels = (
                _fir.phase_kernels(weight).flatten(0, 1) if upsample else weight[None]
            )  # [phases,O,I,3,3]
        style = spread(styles, inner)
        x = x.to(style.dtype, memory_format=torch.channels_last)
        y = F.conv2d(x * style, kernels.flatten(0, 1), padding=1)  # [N,phases O,H,W]
        rows = y.permute(0, 2, 3, 1).reshape(-1, outputs)  # [N H W phases,O]
        matrices = kernels.permute(0, 3, 4, 2, 1).flatten(0, 2).to(x.dtype)  # [phases 9,I,O]
        regions = styles.shape[1]
        near, to, pair = self._taps(inner, labels, scale, regions)
        differences = styles[:, :, None] - styles[:, None]  # [N,R,R,I]
        pixels = x.permute(0, 2, 3, 1).flatten(0, 2)
        missing: Tensor = _Missing.apply(  # type: ignore[no-untyped-call]
            pixels, differences.to(x.dtype), matrices, near, pair
        )
        rows = rows.index_add(0, to, missing.to(rows.dtype))
        y = rows.view(n, height, width, scale, scale, outputs).transpose(2, 3)
        return y.reshape(n, height * scale, width * scale, outputs).permute(0, 3, 1, 2)

    def _taps(self, inner: Tensor, labels: Tensor, scale: int, regions: int) -> tuple[Tensor, Tensor, Tensor]:
        """List the taps that read another region than their output pixel's, for each phase and tap.

        Return, each [phases 9 capacity]: the input pixel, the output pixel (phases last), the pair of
        regions. An unused entry has the difference of a style to itself, which has no gradient, at a pixel
        of its own: additions to one common pixel would wait for each other.
        """
        n, height, width = inner.shape
        apart, own = _apart(inner, labels, scale)
        lists, pixels = apart.shape
        # One flat axis: of several rows, each would be scanned by one block.
        ends = apart.flatten().cumsum(0, dtype=torch.int32)
        last = ends.view(lists, pixels)[:, -1]
        first = F.pad(last[:-1], (1, 0))
        capacity = self.capacity((scale, n, height, width), last - first)
        numbers = torch.arange(capacity, device=inner.device, dtype=torch.int32)
        position = torch.searchsorted(ends, first[:, None] + numbers + 1, out_int32=True)
        starts = torch.arange(lists, device=inner.device, dtype=torch.int32)[:, None] * pixels
        used = numbers < (last - first)[:, None]
        pixel = torch.where(used, position - starts, numbers % pixels)
        phase, tap = _numbers(scale**2, 9, inner.device)
        near = torch.where(used, pixel + (tap // 3 - 1) * width + tap % 3 - 1, pixel)
        to = pixel * scale**2 + phase
        mine = own.flatten().index_select(0, (phase * pixels + pixel).flatten()).int().view_as(pixel)
        theirs = inner.flatten().index_select(0, near.flatten()).int().view_as(pixel)
        theirs = torch.where(used, theirs, mine)
        pair = (pixel // (height * width) * regions + mine) * regions + theirs
        return near.flatten(), to.flatten(), pair.flatten()


def _numbers(phases: int, taps: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return phase and tap of every list, each [phases taps,1]."""
    lists = torch.arange(phases * taps, device=device, dtype=torch.int32)[:, None]
    return lists // taps, lists % taps


def _apart(inner: Tensor, labels: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """Return which taps read another region [phases 9,P], and the output pixels' labels [phases,P]."""
    height, width = inner.shape[1:]
    padded = F.pad(inner, (1, 1, 1, 1), value=_OUTSIDE)
    read = torch.stack([padded[:, y : y + height, x : x + width] for y in range(3) for x in range(3)])
    own = torch.stack([labels[:, a::scale, b::scale] for a in range(scale) for b in range(scale)])
    apart = (read != own[:, None]) & (read != _OUTSIDE)  # [phases,9,N,H,W]
    return apart.flatten(2).flatten(0, 1), own.flatten(1)


class _Missing(torch.autograd.Function):
    """Missing terms of a seam's taps: (pixels[near] * differences[pair]) @ the tap's matrix.

    pixels [P,I], differences [N,R,R,I], matrices [T,I,O], near, pair [T K] -> [T K,O]. Gradients of
    differences are summed in fp32: each is a sum of thousands of rows. Those of a style to itself, which only
    unused entries have, are zero: their sums cancel in the styles, but not in bf16.
    """

    @staticmethod
    def forward(
        ctx: Any,
        pixels: Tensor,
        differences: Tensor,
        matrices: Tensor,
        near: Tensor,
        pair: Tensor,
    ) -> Tensor:
        """See the class."""
        read, apart = pixels.index_select(0, near), differences.flatten(0, 2).index_select(0, pair)
        products = (read * apart).view(len(matrices), -1, pixels.shape[1])
        ctx.save_for_backward(read, apart, products, matrices, near, pair)
        ctx.sizes = len(pixels), differences.shape
        return torch.bmm(products, matrices).flatten(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of pixels, differences and matrices."""
        read, apart, products, matrices, near, pair = ctx.saved_tensors
        pixels, shape = ctx.sizes
        lists, inputs, outputs = matrices.shape
        gradient = gradient.view(lists, -1, outputs)
        grad_products = torch.bmm(gradient, matrices.mT).flatten(0, 1)
        grad_pixels = read.new_zeros(pixels, inputs).index_add_(0, near, grad_products * apart)
        by_row = (grad_products * read).float()
        grad_pairs = by_row.new_zeros(shape)
        grad_pairs.flatten(0, 2).index_add_(0, pair, by_row)
        grad_pairs.diagonal(dim1=1, dim2=2).zero_()
        parts = (products.reshape(lists * _PARTS, -1, inputs), gradient.reshape(lists * _PARTS, -1, outputs))
        grad_matrices = torch.bmm(parts[0].mT, parts[1]).float().view(lists, _PARTS, inputs, outputs).sum(1)
        return grad_pixels, grad_pairs.to(read.dtype), grad_matrices.to(matrices.dtype), None, None


def rgb(
    x: Tensor, weight: Tensor, styles: Tensor, labels: Tensor | None, bias: Tensor, skip: Tensor | None = None
) -> Tensor:
    """Compute `to_rgb.reference`: colours with every region's style, then a choice per pixel."""
    if labels is None:
        return to_rgb.reference(x, weight, styles, labels, bias, skip)
    regional_conv.check(x, weight, styles, labels, upsample=False)
    n, channels, height, width = x.shape
    regions = styles.shape[1]
    plain = weight.flatten(1).T * channels**-0.5  # [I,3]
    matrices = (styles[:, :, :, None] * plain).transpose(1, 2).flatten(2)  # [N,I,R 3]
    rows = x.permute(0, 2, 3, 1).reshape(n, height * width, channels)
    every = (rows @ matrices.to(rows.dtype)).view(n, height * width, regions, 3)
    own = labels.long().view(n, -1, 1, 1).expand(-1, -1, 1, 3)
    y = every.gather(2, own).view(n, height, width, 3).permute(0, 3, 1, 2) + bias
    return y if skip is None else y + _fir.upsample(skip)


def region_linear(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], *, slope: float | None = None
) -> Tensor:
    """Compute `region_linear.reference` as one batched product."""
    rows = x.transpose(0, 1) * x.shape[2] ** -0.5  # [R,N,I]
    y = torch.baddbmm(torch.stack(list(biases))[:, None], rows, torch.stack(list(weights)).mT).transpose(0, 1)
    return y if slope is None else F.leaky_relu(y, slope)
