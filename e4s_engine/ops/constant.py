"""The generator's learned constant input, repeated over the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def reference(value: Tensor, batch: int) -> Tensor:  # [1,C,4,4] -> [N,C,4,4]
    """The constant for each of the batch."""
    return value.expand(batch, -1, -1, -1)
