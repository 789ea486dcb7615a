"""Squeeze-and-excitation on the residual branch, then the sum with the shortcut (IR-SE units)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.ops import conv2d, global_mean

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol, Weight


def reference(x: Tensor, squeeze: Tensor, excite: Tensor, shortcut: Tensor) -> Tensor:
    """X * sigmoid(excite @ relu(squeeze @ mean(x))) + shortcut.

    x, shortcut [N,C,H,W]; squeeze [C/16,C,1,1]; excite [C,C/16,1,1].
    """
    import torch.nn.functional as F

    gate = F.conv2d(F.relu(F.conv2d(x.mean((2, 3), keepdim=True), squeeze)), excite).sigmoid()
    return x * gate + shortcut


def training(x: Tensor, squeeze: Tensor, excite: Tensor, shortcut: Tensor) -> Tensor:
    """As `reference`, for a map that comes from an instance norm: its gate is one half (see `record`).

    The gate's layers have nothing to learn from: what `reference` hands them is the rounding of a zero.
    """
    return shortcut.add(x, alpha=0.5)


def record(x: Symbol, squeeze: Weight, excite: Weight, shortcut: Symbol) -> Symbol:
    """One step with the instance norm before it, and with the norm or the subsampling of the shortcut.

    An instance-normalised map has mean zero, so its gate is sigmoid(0) whatever the weights: one half. (What
    the published code computes instead is the rounding error of that mean, some 1e-8.)
    """
    plan = x.plan
    if not x.fresh("instance_norm") or x.step is None or "prelu" in x.step.weights:
        hidden = conv2d.record(global_mean.record(x), squeeze, relu=True)
        inputs = {"x": x, "gate": conv2d.record(hidden, excite), "other": shortcut}
        return plan.emit("combine", x.shape, inputs, residual=0, relu=0)
    source, normalised, stride = plan.drop(x).buffers["x"], False, 1.0
    if shortcut.fresh("instance_norm") and shortcut.step is not None and "prelu" not in shortcut.step.weights:
        other, normalised = plan.drop(shortcut).buffers["x"], True
    elif shortcut.fresh("copy"):
        step = plan.drop(shortcut)
        other, stride = step.buffers["x"], step.numbers["stride"]
    else:
        other = plan.use(shortcut)
    y = plan.emit("norm_add", x.shape, {}, gain=0.5, normalised=normalised, stride=stride)
    assert y.step is not None
    y.step.buffers.update(x=source, shortcut=other)
    return y
