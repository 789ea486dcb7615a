"""Upright pictures of single faces, cut out of a photo, and the way back of their points."""

from __future__ import annotations

import dataclasses

import numpy as np
from PIL import Image

from e4s_engine.photo.align import Points
from e4s_engine.photo.images import Pixels


@dataclasses.dataclass(frozen=True)
class Turned:
    """An upright square cut out of a photo.

    image: uint8 [S, S, 3], black outside the photo. quad: its corners in the photo, as of an aligned crop.
    """

    image: Pixels
    quad: Points

    def to_photo(self, points: Points) -> Points:
        """Return points [N, 2] of this picture in pixels of the photo."""
        across, down = self.quad[3] - self.quad[0], self.quad[1] - self.quad[0]
        fractions = (points + 0.5) / len(self.image)  # pixels to the continuous coordinates of the square
        return self.quad[0] + fractions @ np.stack([across, down])


def turn(photo: Pixels, quad: Points, side: int) -> Turned:
    """Cut out a parallelogram as an upright square of `side` pixels; a larger one is reduced, not aliased."""
    height, width = photo.shape[:2]
    low = np.clip(np.floor(quad.min(0)).astype(int) - 1, 0, (width - 1, height - 1))
    high = np.clip(np.ceil(quad.max(0)).astype(int) + 2, low + 1, (width, height))
    picture = Image.fromarray(photo[low[1] : high[1], low[0] : high[0]])
    corners = quad - low
    shrink = max(1, int(np.hypot(*(quad[3] - quad[0])) / side))
    if shrink > 1:
        picture = picture.reduce(shrink)
        corners = (corners + 0.5) / shrink - 0.5
    data = tuple((corners + 0.5).ravel())
    square = picture.transform((side, side), Image.Transform.QUAD, data, Image.Resampling.BILINEAR)
    return Turned(np.array(square), quad)
