"""Concatenation over channels (or over the last axis of style vectors)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from e4s_engine.plan import Step, unfoldable

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(tensors: Sequence[Tensor], axis: int = 1) -> Tensor:
    """Concatenate the tensors along `axis`."""
    import torch

    return torch.cat(list(tensors), axis)


def record(tensors: Sequence[Symbol], axis: int = 1) -> Symbol:
    """Append a copy of each tensor into its channels of the result."""
    first = tensors[0]
    plan, shape = first.plan, list(first.shape)
    if axis != (1 if len(shape) == 4 else 2):
        raise unfoldable(f"a concatenation over axis {axis} of {len(shape)}")
    shape[axis] = sum(t.shape[axis] for t in tensors)
    kind = plan.buffers[first.buffer].type
    y = plan.emit("copy", tuple(shape), {"x": first}, type=kind, stride=1, first=0)
    start = first.shape[axis]
    for tensor in tensors[1:]:
        numbers: dict[str, float] = {"stride": 1, "first": start}
        plan.append(Step("copy", {"x": plan.use(tensor), "y": y.buffer}, numbers=numbers))
        start += tensor.shape[axis]
    return y
