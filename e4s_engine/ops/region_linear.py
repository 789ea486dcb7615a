"""Equalised linear layer per region, for the per-region MLPs (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.plan import Conv, Vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight


def reference(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], *, slope: float | None = None
) -> Tensor:  # [N,R,I], R of [O,I], R of [O] -> [N,R,O]
    """Return x_r @ (W_r / sqrt(I))^T + b_r for every region r, then leaky ReLU if `slope` is set."""
    import torch
    import torch.nn.functional as F

    gain = x.shape[2] ** -0.5
    rows = [F.linear(x[:, r] * gain, w, b) for r, (w, b) in enumerate(zip(weights, biases, strict=True))]
    y = torch.stack(rows, 1)
    return y if slope is None else F.leaky_relu(y, slope)


def record(
    x: Symbol, weights: Sequence[Weight], biases: Sequence[Weight], *, slope: float | None = None
) -> Symbol:
    """Append one step for all regions."""
    plan = x.plan
    n, regions, inputs = x.shape
    outputs = weights[0].shape[0]

    def kernel(weight: Weight) -> Conv:
        def scaled(arrays: Arrays) -> tuple[Array, Array, None]:
            gain = np.full(outputs, inputs**-0.5, np.float32)
            return weight.read(arrays)[:, :, None, None], gain, None

        return Conv((weight.key, "equalised"), (outputs, inputs, 1, 1), "f32", scaled)

    slopes = (
        None if slope is None else Vector(("slope", str(slope), str(outputs)), lambda _: [slope] * outputs)
    )
    return plan.emit(
        "region_linear",
        (n, regions, outputs),
        {"x": x},
        type="f32",
        weights={
            "kernels": [kernel(w) for w in weights],
            "biases": [Vector((b.key,), b.read) for b in biases],
            "prelu": slopes,
        },
        flop=2.0 * n * regions * inputs * outputs,
    )
