"""Inversion by optimisation: the style vectors that bring the generator's picture nearest to a given one.

The encoder answers in one pass. Descending from its answer (the published code's optional step: Adam, 200
steps at a rate of 0.01, over the style vectors) comes nearer, at some hundred times the cost. The generator
and the labels stay as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from e4s_engine.networks.rgi import decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from e4s_engine.networks.rgi.config import ModelConfig

STEPS, RATE = 200, 0.01  # as published

# Terms that need no other network; published are L2, and LPIPS, identity and parsing by networks.
_L2, _SCALES, _STRUCTURE = 4.0, 0.8, 2.0


def descend(
    ops: Any,
    image: Tensor,
    labels: Tensor,
    styles: Tensor,
    weights: Mapping[str, Any],
    config: ModelConfig,
    steps: int,
    rate: float,
) -> Tensor:
    """Better style vectors [N,12,D] than those given, each picture for itself.

    image [N,3,S,S] in [-1, 1], S the model's side; labels [N,512,512] in 0..11. Regions that the labels do
    not show keep their vectors: nothing depends on them.
    """
    import torch

    from e4s_engine.networks.rgi import likeness

    found = styles.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([found], lr=rate)
    for _ in range(steps):
        made = decode.decode(ops, found, labels, weights, config).float()
        loss = _L2 * likeness.l2(made, image) + _SCALES * likeness.scales(made, image)
        loss = loss + _STRUCTURE * likeness.structure(made, image)
        optimiser.zero_grad()
        torch.autograd.backward(
            len(image) * loss
        )  # terms are means over pictures, which are not to slow each other
        optimiser.step()
    return found.detach()
