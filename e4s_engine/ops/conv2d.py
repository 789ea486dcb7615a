"""Dense convolution, with the activation that follows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def reference(
    x: Tensor, weight: Tensor, *, stride: int = 1, prelu: Tensor | None = None, relu: bool = False
) -> Tensor:
    """Convolution with padding k // 2 and no bias, then PReLU where slopes are given, or ReLU if asked.

    x [N,I,H,W], weight [O,I,k,k], prelu [O] -> [N,O,ceil(H/stride),ceil(W/stride)].
    """
    import torch.nn.functional as F

    y = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
    if prelu is not None:
        return F.prelu(y, prelu)
    return y.relu() if relu else y
