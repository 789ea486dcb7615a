"""Spectral normalisation of a kernel with stored vectors; it costs nothing when a network runs."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.plan import Weight

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays


def reference(weight: Tensor, u: Tensor, v: Tensor) -> Tensor:  # [O,I,k,k], [O], [I*k*k] -> [O,I,k,k]
    """Return weight / (u . W v), W: weight as a matrix [O, I*k*k]."""
    return weight / (u @ (weight.flatten(1) @ v))


def record(weight: Weight, u: Weight, v: Weight) -> Weight:
    """Return the normalised kernel as a weight."""
    return _Normalised(weight.plan, weight.network, weight.name, weight.shape, u, v)


@dataclasses.dataclass(frozen=True)
class _Normalised(Weight):
    u: Weight
    v: Weight

    @property
    def key(self) -> str:
        return f"{super().key}/normalised"

    def read(self, arrays: Arrays) -> Array:
        weight = super().read(arrays)
        norm = self.u.read(arrays) @ (weight.reshape(weight.shape[0], -1) @ self.v.read(arrays))
        return np.asarray(weight / norm, np.float32)
