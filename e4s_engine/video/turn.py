"""Display matrices: how players turn and mirror the pictures of a clip."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

_UNIT = 1 << 16  # the matrix holds 16.16 fixed-point numbers
UPRIGHT = (_UNIT, 0, 0, 0, _UNIT, 0, 0, 0, 1 << 30)


@dataclasses.dataclass(frozen=True)
class Turn:
    """A quarter turn and mirrorings, from stored to displayed pictures: transpose first, then flip."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of_matrix(cls, matrix: tuple[int, ...]) -> Turn:
        """Return the turn nearest to a display matrix: (a, b, u, c, d, v, x, y, w), row vectors."""
        a, b, _, c, d, *_ = matrix
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def shown(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a stored picture [H, W, ...] as it is displayed."""
        return np.ascontiguousarray(self._flipped(stored.swapaxes(0, 1) if self.transpose else stored))

    def stored(self, shown: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return a displayed picture [H, W, ...] as it is stored."""
        flipped = self._flipped(shown)
        return np.ascontiguousarray(flipped.swapaxes(0, 1) if self.transpose else flipped)

    def _flipped(self, picture: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return picture[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]


AS_STORED = Turn()
