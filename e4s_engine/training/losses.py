"""The loss terms that training alone has; inversion shares those of networks/rgi/likeness.py.

Pictures are [N,3,S,S] in [-1, 1]; terms are means: sizes do not change their scale.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from e4s_engine import ops, regions
from e4s_engine.networks.bisenet import parse

_LEAST_SHARE = 1e-3  # of a picture: smaller regions weigh as if they had it
_CALM = 0.1  # classes as rare as this or rarer are weighed alike


def emphasis(labels: Tensor, power: float) -> Tensor:  # [N,S,S] -> [N,1,S,S]
    """Weights of pixels, 1 on average: a region's share of its picture to the power of -power.

    An eye has a sixtieth of the cheeks' pixels, and more than a sixtieth of what people look at.
    """
    numbers = torch.arange(regions.COUNT, device=labels.device).view(-1, 1, 1)
    share = (labels.unsqueeze(1) == numbers).sum((2, 3)).float() / labels[0].numel()  # [N,12]
    by_region = share.clamp(min=_LEAST_SHARE).pow(-power)
    weight = by_region.gather(1, labels.flatten(1).long()).view_as(labels).unsqueeze(1)
    return weight / weight.mean()


class ParserLosses:
    """Losses by a trained parser of the project: likeness of its features, agreement with the labels."""

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights

    def __call__(self, made: Tensor, real: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """(features, parsing): LPIPS' distance over the backbone's maps; cross entropy to labels [N,S,S]."""
        mine = self._taps(made)
        logits = parse.classify(ops.reference, mine, labels.shape[1], labels.shape[2], self._weights)
        return self._distance(mine, real), F.cross_entropy(logits.float(), labels.long())

    def features(self, made: Tensor, real: Tensor) -> Tensor:
        """The first of the two terms alone."""
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
        if image.is_cuda:  # cuDNN's bf16 kernels want channels last, or they transpose every map
            image = image.contiguous(memory_format=torch.channels_last)
        return parse.features(ops.reference, (image + 1) / 2, self._weights)


def critic_on(real: Tensor, made: Tensor) -> Tensor:
    """The discriminator's non-saturating loss, from its scores."""
    return F.softplus(-real).mean() + F.softplus(made).mean()


def critic_for(made: Tensor) -> Tensor:
    """The generator's non-saturating loss, from the discriminator's scores."""
    return F.softplus(-made).mean()


def labelling(logits: Tensor, labels: Tensor, dice: float) -> tuple[Tensor, Tensor]:
    """(cross entropy, soft Dice) of class logits [N,12,S,S]; rare classes weigh more in the first."""
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
