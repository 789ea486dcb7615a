"""Noise that is the same in every run: what a generator adds where its authors draw afresh at every call."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.plan import Weight

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays


def values(number: int, side: int) -> Array:
    """Return a noise map N(0, 1) float32 [1, 1, side, side]. number: which of a network's maps it is."""
    # RandomState's stream is frozen: NumPy promises the same numbers in every version.
    drawn = np.random.RandomState(number).standard_normal((1, 1, side, side))
    return drawn.astype(np.float32)


def reference(like: Tensor, number: int, side: int) -> Tensor:
    """Return the map on the device of another tensor, in its type."""
    import torch

    return torch.from_numpy(values(number, side)).to(like.device, like.dtype)


def record(like: Weight, number: int, side: int) -> Weight:
    """Return the map as a weight."""
    return _Noise(like.plan, "noise", f"{number}x{side}", (1, 1, side, side), number)


@dataclasses.dataclass(frozen=True)
class _Noise(Weight):
    number: int

    def read(self, arrays: Arrays) -> Array:
        return values(self.number, self.shape[-1])
