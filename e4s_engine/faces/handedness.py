"""Order of landmarks: what was mirrored, or has x and y exchanged, is no face as a photo shows it."""

from __future__ import annotations

import numpy as np

from e4s_engine.errors import AlignmentError
from e4s_engine.photo.align import Points

_CLEAR = 0.5  # sine of the angle between eyes and mouth from which the order is beyond doubt
_WIDE = 0.25  # least distance of the eyes, in distances of the mouth from them: less in a profile


def check(points: Points, argument: str) -> None:
    """Raise AlignmentError for landmarks whose order is a mirror image of a face.

    Seen from the eyes, from the picture's left one to its right one, the mouth lies clockwise, however the
    face is turned. It lies on the other side if x and y are exchanged, if y counts upwards, or if left and
    right are the person's and not the picture's. Profiles, whose eyes nearly coincide, are not judged.

    points: float64 [68, 2] or [5, 2].
    """
    if len(points) == 68:
        left, right = points[36:42].mean(0), points[42:48].mean(0)
        mouth = (points[48] + points[54]) / 2
    else:
        left, right, mouth = points[0], points[1], (points[3] + points[4]) / 2
    across, down = right - left, mouth - (left + right) / 2
    wide, long = np.hypot(*across), np.hypot(*down)
    if wide < _WIDE * long or wide * long == 0:
        return
    if (across[0] * down[1] - across[1] * down[0]) / (wide * long) < -_CLEAR:
        raise AlignmentError(
            f"{argument}: these points are a mirror image of a face: expected x, y with y downwards, and the "
            "picture's left eye before its right one; exchange x and y, count y from the top, or reorder them"
        )
