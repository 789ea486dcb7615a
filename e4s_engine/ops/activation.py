"""Activations: PReLU, leaky ReLU and ReLU; other ops offer them as keyword arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.plan import filled, vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol, Weight


def reference(x: Tensor, *, prelu: Tensor | None = None, slope: float = 0.0) -> Tensor:
    """Return x [N,C,H,W] where it is positive, else x times a slope.

    prelu: slopes of the channels [C]; None: `slope` for all (0: ReLU).
    """
    import torch.nn.functional as F

    if prelu is not None:
        return F.prelu(x, prelu)
    return F.leaky_relu(x, slope) if slope else x.relu()


def record(x: Symbol, *, prelu: Weight | None = None, slope: float = 0.0) -> Symbol:
    """Append the activation: ReLU, or PReLU with a vector of slopes."""
    weights = {"prelu": vector(prelu) or filled(slope, x.shape[1])}
    relu = prelu is None and slope == 0
    return x.plan.emit("activation", x.shape, {"x": x}, type=x.type, weights=weights, relu=relu)


def relu(x: Symbol) -> Symbol:
    """Append a ReLU."""
    return record(x)
