"""One equalised linear layer per region: the per-region MLPs (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def reference(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], *, slope: float | None = None
) -> Tensor:  # [N,R,I], R of [O,I], R of [O] -> [N,R,O]
    """Region r: x @ (W_r / sqrt(I))^T + b_r, then leaky ReLU where a slope is given."""
    import torch
    import torch.nn.functional as F

    gain = x.shape[2] ** -0.5
    rows = [F.linear(x[:, r] * gain, w, b) for r, (w, b) in enumerate(zip(weights, biases, strict=True))]
    y = torch.stack(rows, 1)
    return y if slope is None else F.leaky_relu(y, slope)
