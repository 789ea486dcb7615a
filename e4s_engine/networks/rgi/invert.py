"""Inversion by optimisation: style vectors whose generated picture is nearest to a target picture.

The encoder finds style vectors in one pass. Gradient descent from these (the published code's optional step:
Adam, 200 steps at a rate of 0.01, over the style vectors) comes nearer, at some hundred times the cost. The
generator and the labels stay fixed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.networks.rgi import decode

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.networks.rgi.config import ModelConfig
    from e4s_engine.ops.ops import Ops, Weights

STEPS, RATE = 200, 0.01  # as published

# Weights of terms that need no other network. The published terms are L2, and LPIPS, identity and parsing
# by networks.
_L2, _SCALES, _STRUCTURE = 4.0, 0.8, 2.0


def descend(
    ops: Ops[Tensor],
    image: Tensor,
    labels: Tensor,
    styles: Tensor,
    weights: Weights[Tensor],
    config: ModelConfig,
    steps: int,
    rate: float,
) -> Tensor:
    """Optimise style vectors [N,12,D], each picture on its own; returns new ones.

    image [N,3,S,S] in [-1, 1], S the model's side; labels [N,512,512] in 0..11. Vectors of regions that the
    labels lack do not change: the picture does not depend on them.
    """
    import torch

    from e4s_engine.networks.rgi import likeness

    vectors = styles.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([vectors], lr=rate)
    for _ in range(steps):
        result = decode.decode(ops, vectors, labels, weights, config).float()
        loss = _L2 * likeness.l2(result, image) + _SCALES * likeness.scales(result, image)
        loss = loss + _STRUCTURE * likeness.structure(result, image)
        optimiser.zero_grad()
        # The loss is a mean over pictures; the factor keeps each picture's gradient independent of the batch.
        torch.autograd.backward(len(image) * loss)
        optimiser.step()
    return vectors.detach()
