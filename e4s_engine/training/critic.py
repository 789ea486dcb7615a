"""The discriminator: StyleGAN2's residual network (StyleGAN2, section 2.4), smaller; for training only."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from e4s_engine.ops import _fir

SLOPE, GAIN = 0.2, math.sqrt(2)
GROUP = 4  # pictures that share a standard deviation


def widths(size: int, most: int) -> list[int]:
    """List the numbers of channels at size, size / 2, ..., 4."""
    return [
        min(most, max(16, most * 32 // side)) for side in (size >> i for i in range(size.bit_length() - 2))
    ]


def initial(size: int, most: int, seed: int) -> dict[str, Tensor]:
    """Draw initial parameters of a discriminator for pictures of side `size`."""
    dice = torch.Generator().manual_seed(seed)
    channels = widths(size, most)
    shapes: dict[str, tuple[int, ...]] = {"from_rgb": (channels[0], 3, 1, 1)}
    for i, (inner, outer) in enumerate(pairwise(channels)):
        shapes[f"{i}.first"], shapes[f"{i}.second"] = (inner, inner, 3, 3), (outer, inner, 3, 3)
        shapes[f"{i}.skip"] = (outer, inner, 1, 1)
    last = channels[-1]
    shapes |= {"last": (last, last + 1, 3, 3), "dense": (last, last * 16), "out": (1, last)}
    weights = {f"{name}.weight": torch.randn(shape, generator=dice) for name, shape in shapes.items()}
    biased = [name for name in shapes if not name.endswith("skip")]
    return weights | {f"{name}.bias": torch.zeros(shapes[name][0]) for name in biased}


def score(image: Tensor, p: dict[str, Tensor]) -> Tensor:  # [N,3,S,S] in [-1,1] -> [N]
    """Score pictures by how real they look."""
    x = _conv(image, p, "from_rgb")
    for i in range(sum(name.endswith(".skip.weight") for name in p)):
        y = _conv(x, p, f"{i}.first")
        y = _conv(_blur(y, 2), p, f"{i}.second", stride=2)
        skip = F.conv2d(_blur(x, 1)[:, :, ::2, ::2], _equalised(p[f"{i}.skip.weight"]))
        x = (y + skip) / math.sqrt(2)
    x = _conv(torch.cat([x, _deviation(x)], 1), p, "last")
    x = F.linear(x.flatten(1), _equalised(p["dense.weight"]), p["dense.bias"])
    x = F.leaky_relu(x, SLOPE) * GAIN
    return F.linear(x, _equalised(p["out.weight"]), p["out.bias"])[:, 0]


def penalty(image: Tensor, p: dict[str, Tensor]) -> Tensor:
    """Compute R1: the squared norm of the score's gradient at real pictures, averaged over them."""
    image = image.detach().requires_grad_()
    (slope,) = torch.autograd.grad(score(image, p).sum(), image, create_graph=True)
    return slope.square().sum((1, 2, 3)).mean()


def _equalised(weight: Tensor) -> Tensor:
    return weight * weight[0].numel() ** -0.5


def _conv(x: Tensor, p: dict[str, Tensor], name: str, stride: int = 1) -> Tensor:
    weight = _equalised(p[f"{name}.weight"])
    padding = 0 if stride > 1 else weight.shape[-1] // 2
    return F.leaky_relu(F.conv2d(x, weight, p[f"{name}.bias"], stride, padding), SLOPE) * GAIN


def _blur(x: Tensor, padding: int) -> Tensor:
    """Apply the generator's filter with gain 1, before the picture is downsampled by 2."""
    return _fir.smooth(x, padding, padding) / 4


def _deviation(x: Tensor) -> Tensor:  # [N,C,h,w] -> [N,1,h,w]
    """Compute the mean standard deviation over groups of pictures, which reveals a lack of variety."""
    n = x.shape[0]
    group = GROUP if n % GROUP == 0 else n
    y = x.float().view(group, n // group, *x.shape[1:])
    spread = (y.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))  # [n / group]
    return spread.repeat(group).view(n, 1, 1, 1).expand(n, 1, *x.shape[2:]).to(x.dtype)
