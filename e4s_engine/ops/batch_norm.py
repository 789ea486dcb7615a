"""Batch normalisation with stored statistics (BiSeNet): an affine map per channel, with optional ReLU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.ops import activation
from e4s_engine.plan import Vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight

EPSILON = 1e-5


def reference(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, *, relu: bool = False
) -> Tensor:
    """Return (x - mean) / sqrt(var + 1e-5) * weight + bias, per channel."""
    import torch.nn.functional as F

    y = F.batch_norm(x, mean, var, weight, bias, training=False, eps=EPSILON)
    return y.relu() if relu else y


def record(
    x: Symbol, weight: Weight, bias: Weight, mean: Weight, var: Weight, *, relu: bool = False
) -> Symbol:
    """Append a scale and a shift per channel, then the activation."""

    def gain(arrays: Arrays) -> Array:
        return weight.read(arrays) / np.sqrt(var.read(arrays) + np.float32(EPSILON))

    def moved(arrays: Arrays) -> Array:
        return bias.read(arrays) - mean.read(arrays) * gain(arrays)

    scale = Vector((weight.key, var.key, "gain"), gain)
    shift = Vector((bias.key, mean.key, weight.key, var.key, "shift"), moved)
    y = x.plan.emit("batch_norm", x.shape, {"x": x}, type=x.type, weights={"scale": scale, "shift": shift})
    return activation.relu(y) if relu else y


def training(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, *, relu: bool = False
) -> Tensor:
    """Compute `reference` with the batch's own statistics; update mean and var in place with momentum 0.1."""
    import torch.nn.functional as F

    y = F.batch_norm(x, mean, var, weight, bias, training=True, momentum=0.1, eps=EPSILON)
    return y.relu() if relu else y
