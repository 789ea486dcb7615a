"""Batch normalisation with stored statistics (BiSeNet): an affine map per channel, then ReLU if asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.plan import Conv, Vector, unfoldable

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Step, Symbol, Weight

EPSILON = 1e-5


def reference(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, *, relu: bool = False
) -> Tensor:
    """(x - mean) / sqrt(var + 1e-5) * weight + bias, per channel."""
    import torch.nn.functional as F

    y = F.batch_norm(x, mean, var, weight, bias, training=False, eps=EPSILON)
    return y.relu() if relu else y


def record(
    x: Symbol, weight: Weight, bias: Weight, mean: Weight, var: Weight, *, relu: bool = False
) -> Symbol:
    """Folded into the weights of the convolution before it."""
    plan = x.plan
    if not x.fresh("conv") or x.step is None or not _is_bare(x.step):
        raise unfoldable("a batch norm that does not follow a convolution at once")
    kernel = x.step.weights["kernel"][0]
    assert isinstance(kernel, Conv)

    def gain(arrays: Arrays) -> Array:
        return weight.read(arrays) / np.sqrt(var.read(arrays) + np.float32(EPSILON))

    def scaled(arrays: Arrays) -> tuple[Array, Array | None, Array | None]:
        return kernel.make(arrays)[0], gain(arrays), None

    def shift(arrays: Arrays) -> Array:
        return bias.read(arrays) - mean.read(arrays) * gain(arrays)

    x.step.weights["kernel"] = [Conv((*kernel.key, weight.key, var.key), kernel.shape, kernel.type, scaled)]
    x.step.weights["bias"] = [Vector((bias.key, mean.key, weight.key, var.key), shift)]
    x.step.numbers["relu"] = relu
    return plan.fold(x)


def _is_bare(step: Step) -> bool:
    """Return whether nothing comes after a convolution's sums: scaling its kernel would miss what does."""
    after = "bias" in step.weights or "prelu" in step.weights or "residual" in step.buffers
    return not after and not step.numbers["relu"] and not step.numbers.get("relu_last", 0)


def training(
    x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, *, relu: bool = False
) -> Tensor:
    """As `reference`, with the batch's own statistics; mean and var follow them in place by a tenth."""
    import torch.nn.functional as F

    y = F.batch_norm(x, mean, var, weight, bias, training=True, momentum=0.1, eps=EPSILON)
    return y.relu() if relu else y
