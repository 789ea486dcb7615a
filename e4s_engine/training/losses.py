"""Loss terms that only training uses; those shared with inversion are in networks/rgi/likeness.py.

Pictures are [N,3,S,S] in [-1, 1]. Terms are means, so that their scale does not depend on sizes.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from e4s_engine import ops, regions
from e4s_engine.networks.bisenet import parse

_LEAST_SHARE = 1e-3  # share of a picture below which a region's weight no longer rises
_CALM = 0.1  # share of the pixels from which a class has weight 1; rarer ones have up to sqrt(10)


def emphasis(labels: Tensor, power: float) -> Tensor:  # [N,S,S] -> [N,1,S,S]
    """Compute weights of pixels, 1 on average: their region's share of the picture to the power of -power.

    An eye has a sixtieth of the cheeks' pixels, but matters far more than that to a viewer.
    """
    numbers = torch.arange(regions.COUNT, device=labels.device).view(-1, 1, 1)
    share = (labels.unsqueeze(1) == numbers).sum((2, 3)).float() / labels[0].numel()  # [N,12]
    by_region = share.clamp(min=_LEAST_SHARE).pow(-power)
    weight = by_region.gather(1, labels.flatten(1).long()).view_as(labels).unsqueeze(1)
    return weight / weight.mean()


class ParserLosses:
    """Losses computed with one of the project's parsers: distance of its features, and of its labels."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights

    def __call__(self, made: Tensor, real: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return LPIPS' distance of the backbone's feature maps, and the cross entropy to labels [N,S,S]."""
        mine = self._taps(made)
        logits = parse.classify(ops.reference, mine, labels.shape[1], labels.shape[2], self._weights)
        return self._distance(mine, real), F.cross_entropy(logits.float(), labels.long())

    def features(self, made: Tensor, real: Tensor) -> Tensor:
        """Return the first of the two terms alone."""
        return self._distance(self._taps(made), real)

    def _distance(self, mine: tuple[Tensor, Tensor, Tensor], real: Tensor) -> Tensor:
        with torch.no_grad():
            theirs = self._taps(real)
        total = real.new_zeros(())
        for a, b in zip(mine, theirs, strict=True):
            gap = F.normalize(a.float(), dim=1) - F.normalize(b.float(), dim=1)
            total = total + gap.square().sum(1).mean()
        return total / len(mine)

    def _taps(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        side = max(image.shape[-1], parse.SIDE)
        if image.shape[-1] != side:
            image = ops.reference.resize(image, side, side, "bilinear")
        if image.is_cuda:  # cuDNN's bf16 kernels need channels last, or they transpose every map
            image = image.contiguous(memory_format=torch.channels_last)
        return parse.features(ops.reference, (image + 1) / 2, self._weights)


def critic_on(real: Tensor, made: Tensor) -> Tensor:
    """Compute the discriminator's non-saturating loss from its scores."""
    return F.softplus(-real).mean() + F.softplus(made).mean()


def critic_for(made: Tensor) -> Tensor:
    """Compute the generator's non-saturating loss from the discriminator's scores."""
    return F.softplus(-made).mean()


def labelling(logits: Tensor, labels: Tensor, dice: float) -> tuple[Tensor, Tensor]:
    """Return (cross entropy, soft Dice) of class logits [N,12,S,S]; rare classes weigh more in the first."""
    labels = labels.long()
    share = torch.bincount(labels.flatten(), minlength=regions.COUNT).float() / labels.numel()
    weight = (share.clamp(min=_CALM / 10) / _CALM).clamp(max=1.0).rsqrt()
    entropy = F.cross_entropy(logits.float(), labels, weight)
    if not dice:
        return entropy, entropy.new_zeros(())
    chance = logits.float().softmax(1)
    truth = F.one_hot(labels, regions.COUNT).permute(0, 3, 1, 2).to(chance.dtype)
    both, either = (chance * truth).sum((0, 2, 3)), (chance + truth).sum((0, 2, 3))
    shown = truth.sum((0, 2, 3)) > 0
    return entropy, (1 - 2 * both / (either + 1))[shown].mean()
