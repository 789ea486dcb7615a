"""Cuts: where one shot of a clip ends and the next begins."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine.photo import images
from e4s_engine.photo.images import Pixels

_SIZE = (32, 18)  # of the thumbnails that are compared
_LEAST = 14.0  # mean difference in levels below which nothing is a cut: a fast pan has 12
_ABOVE = 2.5  # times the largest difference just before, which a cut has to exceed
_BEFORE = 5


class Cuts:
    """Tells frame by frame whether a new shot begins, from what came before alone."""

    def __init__(self) -> None:
        self._last: npt.NDArray[np.float32] | None = None
        self._differences: deque[float] = deque(maxlen=_BEFORE)

    def begins(self, pixels: Pixels) -> bool:
        """Return whether a shot begins with this frame, uint8 [H, W, 3]; the first frame begins none."""
        small = images.resize(pixels, *_SIZE, Image.Resampling.BOX).astype(np.float32)
        last, self._last = self._last, small
        if last is None:
            return False
        difference = float(np.abs(small - last).mean())
        usual = max(self._differences, default=0.0)
        is_cut = difference > _LEAST and difference > _ABOVE * usual
        self._differences.append(difference)
        if is_cut:
            self._differences.clear()
        return is_cut
