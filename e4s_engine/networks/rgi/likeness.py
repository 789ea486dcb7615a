"""How alike two pictures are: loss terms that training and inversion share, and that need no other network.

Pictures are [N,3,S,S] in [-1, 1]; terms are means: sizes do not change their scale.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

SCALES = 4
_RADIUS, _SIGMA = 5, 1.5  # the window of `structure`
_C1, _C2 = 0.01**2, 0.03**2  # its constants, for a range of 1


def l2(made: Tensor, real: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean squared difference. weight: of the pixels, [N,1,S,S]."""
    square = (made - real).square()
    return (square if weight is None else square * weight).mean()


def scales(made: Tensor, real: Tensor, weight: Tensor | None = None) -> Tensor:
    """Absolute differences of colours and of gradients, at four scales: what needs no trained network."""
    total = made.new_zeros(())
    difference = made - real
    for scale in range(SCALES):
        if scale:
            difference = F.avg_pool2d(difference, 2)
            weight = None if weight is None else F.avg_pool2d(weight, 2)
        total = total + _weighted(difference.abs(), weight)
        for axis in (2, 3) if difference.shape[-1] > 1 else ():
            shared = None if weight is None else weight.narrow(axis, 1, weight.shape[axis] - 1)
            total = total + _weighted(difference.diff(dim=axis).abs(), shared)
    return total / SCALES


def _weighted(values: Tensor, weight: Tensor | None) -> Tensor:
    return (values if weight is None else values * weight).mean()


def structure(made: Tensor, real: Tensor) -> Tensor:
    """1 - SSIM of the greys, Gaussian window (Wang et al. 2004): local contrast, which L2 blurs away."""
    a, b = ((image.float().mean(1) + 1) / 2 for image in (made, real))  # in colour: thrice the time
    window = _window(a.shape[-1], a.device)
    mean_a, mean_b, square_a, square_b, both = (
        window @ maps @ window.T for maps in (a, b, a.square(), b.square(), a * b)
    )
    var_a, var_b = square_a - mean_a.square(), square_b - mean_b.square()
    light = (2 * mean_a * mean_b + _C1) / (mean_a.square() + mean_b.square() + _C1)
    contrast = (2 * (both - mean_a * mean_b) + _C2) / (var_a + var_b + _C2)
    return 1 - (light * contrast).mean()


@functools.cache
@torch.inference_mode(False)  # a preview may be the first to ask, training the next
def _window(side: int, device: torch.device) -> Tensor:
    """The window along an axis as a matrix: for its backward pass a product is many times a convolution."""
    apart = torch.arange(side)[:, None] - torch.arange(side)
    near = torch.exp(-apart.square() / (2 * _SIGMA**2)) * (apart.abs() <= _RADIUS)
    return (near / near.sum(1, keepdim=True)).to(device)  # at the border what is left of it
