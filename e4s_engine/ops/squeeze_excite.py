"""Squeeze-and-excitation on the residual branch, then the sum with the shortcut (IR-SE units)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def reference(x: Tensor, squeeze: Tensor, excite: Tensor, shortcut: Tensor) -> Tensor:
    """X * sigmoid(excite @ relu(squeeze @ mean(x))) + shortcut.

    x, shortcut [N,C,H,W]; squeeze [C/16,C,1,1]; excite [C,C/16,1,1].
    """
    import torch.nn.functional as F

    gate = F.conv2d(F.relu(F.conv2d(x.mean((2, 3), keepdim=True), squeeze)), excite).sigmoid()
    return x * gate + shortcut
