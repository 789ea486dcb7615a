"""Learned constant input of the generator, repeated over the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.plan import Vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol, Weight


def reference(value: Tensor, batch: int) -> Tensor:  # [1,C,4,4] -> [N,C,4,4]
    """Repeat the constant for every sample of the batch."""
    return value.expand(batch, -1, -1, -1)


def record(value: Weight, batch: int) -> Symbol:
    """Append a step that writes the constant."""

    def pixels(arrays: Arrays) -> Array:
        return value.read(arrays).transpose(0, 2, 3, 1)

    values = Vector((value.key, "pixels"), pixels)
    return value.plan.emit("constant", (batch, *value.shape[1:]), {}, weights={"values": values})
