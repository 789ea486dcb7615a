"""Squeeze-and-excitation on the residual branch, then the sum with the shortcut (IR-SE units)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.ops import conv2d

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol, Weight


def reference(x: Tensor, squeeze: Tensor, excite: Tensor, shortcut: Tensor) -> Tensor:
    """Return x * sigmoid(excite @ relu(squeeze @ mean(x))) + shortcut.

    x, shortcut [N,C,H,W]; squeeze [C/16,C,1,1]; excite [C,C/16,1,1].
    """
    import torch.nn.functional as F

    gate = F.conv2d(F.relu(F.conv2d(x.mean((2, 3), keepdim=True), squeeze)), excite).sigmoid()
    return x * gate + shortcut


def training(x: Tensor, squeeze: Tensor, excite: Tensor, shortcut: Tensor) -> Tensor:
    """Compute `reference` after an instance norm: the gate is one half there (see plan/fuse.py).

    The gate's layers cannot learn: in `reference` their input is the rounding error of a zero.
    """
    return shortcut.add(x, alpha=0.5)


def record(x: Symbol, squeeze: Weight, excite: Weight, shortcut: Symbol) -> Symbol:
    """Append the whole unit; it is fused with the norm before it into one step (see plan/fuse.py)."""
    pairs = (("squeeze", squeeze), ("excite", excite))
    kernels = {name: conv2d.whole_kernel(weight, x.plan.type) for name, weight in pairs}
    return x.plan.emit("squeeze_excite", x.shape, {"x": x, "shortcut": shortcut}, weights=kernels)
