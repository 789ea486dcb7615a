"""Activations: PReLU with a slope per channel, and ReLU; other ops offer them as keyword arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.plan import Vector, vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol, Weight


def reference(x: Tensor, *, prelu: Tensor | None = None) -> Tensor:  # [N,C,H,W] -> [N,C,H,W]
    """Return x where it is positive, else x times its channel's slope. prelu: slopes [C]; None: 0."""
    import torch.nn.functional as F

    return x.relu() if prelu is None else F.prelu(x, prelu)


def record(x: Symbol, *, prelu: Weight | None = None) -> Symbol:
    """Append the activation."""
    channels = x.shape[1]
    zeros = Vector(("slopes", "0", str(channels)), lambda _: np.zeros(channels, np.float32))
    weights = {"prelu": vector(prelu) or zeros}
    return x.plan.emit("activation", x.shape, {"x": x}, type=x.type, weights=weights, relu=prelu is None)


def relu(x: Symbol) -> Symbol:
    """Append a ReLU."""
    return record(x)
