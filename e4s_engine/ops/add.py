"""Elementwise sum, the second operand broadcast over space if it is [N, C, 1, 1], then ReLU if asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor, y: Tensor, *, relu: bool = False) -> Tensor:
    """X + y. x [N,C,H,W], y [N,C,H|1,W|1] -> [N,C,H,W]."""
    z = x + y
    return z.relu() if relu else z


def record(x: Symbol, y: Symbol, *, relu: bool = False) -> Symbol:
    """Folded into the later of the convolutions that make x and y, where one does."""
    plan = x.plan
    for mine, other in ((x, y), (y, x)):
        if not _takes(mine, other):
            continue
        assert mine.step is not None
        mine.step.buffers["residual"] = plan.use(other)
        mine.step.numbers["relu_last"] = relu
        return plan.fold(mine)
    return plan.emit("combine", x.shape, {"x": x, "other": y}, residual=0, relu=relu)


def _takes(mine: Symbol, other: Symbol) -> bool:
    """Whether the convolution that makes `mine` can add `other` in its epilogue."""
    if not mine.fresh("conv") or mine.shape != other.shape:
        return False
    steps, step = mine.plan.steps, mine.step
    assert step is not None
    after = other.step is None or steps.index(other.step) < steps.index(step)
    plain = not step.numbers["relu"] and "prelu" not in step.weights and "residual" not in step.buffers
    return after and plain and mine.plan.buffers[other.buffer].type == mine.plan.buffers[mine.buffer].type
