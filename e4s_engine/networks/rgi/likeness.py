"""Similarity of two pictures: loss terms for training and inversion that need no other network.

Pictures are [N,3,S,S] in [-1, 1]; terms are means, so their scale does not depend on the size.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

SCALES = 4
_RADIUS, _SIGMA = 5, 1.5  # window of `structure`
_C1, _C2 = 0.01**2, 0.03**2  # constants of SSIM, for a range of 1


def l2(made: Tensor, real: Tensor, weight: Tensor | None = None) -> Tensor:
    """Compute the mean squared difference. weight: weights of the pixels, [N,1,S,S]."""
    square = (made - real).square()
    return (square if weight is None else square * weight).mean()


def scales(made: Tensor, real: Tensor, weight: Tensor | None = None) -> Tensor:
    """Compute the mean absolute differences of colours and of gradients at four scales."""
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
    """Compute 1 - SSIM of greyscale, Gaussian window (Wang et al. 2004): local contrast, which L2 blurs."""
    a, b = ((image.float().mean(1) + 1) / 2 for image in (made, real))  # colour takes three times as long
    window = _window(a.shape[-1], a.device)
    mean_a, mean_b, square_a, square_b, both = (
        window @ maps @ window.T for maps in (a, b, a.square(), b.square(), a * b)
    )
    var_a, var_b = square_a - mean_a.square(), square_b - mean_b.square()
    light = (2 * mean_a * mean_b + _C1) / (mean_a.square() + mean_b.square() + _C1)
    contrast = (2 * (both - mean_a * mean_b) + _C2) / (var_a + var_b + _C2)
    return 1 - (light * contrast).mean()


@functools.cache
@torch.inference_mode(False)  # a preview may be the first caller, training the next
def _window(side: int, device: torch.device) -> Tensor:
    """Return the window along an axis as a matrix: in the backward pass far faster than a convolution."""
    apart = torch.arange(side)[:, None] - torch.arange(side)
    near = torch.exp(-apart.square() / (2 * _SIGMA**2)) * (apart.abs() <= _RADIUS)
    return (near / near.sum(1, keepdim=True)).to(device)  # at the border: the part inside, normalised
