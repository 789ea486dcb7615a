"""Colours of one picture's region brought to those of another: mean and covariance in Oklab.

Oklab is Björn Ottosson's perceptual space (https://bottosson.github.io/posts/oklab/).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Mask

_Floats = npt.NDArray[np.float64]

_TO_CONES = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]]
)  # fmt: skip
_TO_LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]]
)  # fmt: skip
_FROM_LAB, _FROM_CONES = np.linalg.inv(_TO_LAB), np.linalg.inv(_TO_CONES)


def to_oklab(pixels: Pixels) -> _Floats:
    """Return uint8 sRGB [..., 3] in Oklab, float64 [..., 3]: lightness 0 to 1, green to red, blue to yellow."""
    share = pixels / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.cbrt(linear @ _TO_CONES.T) @ _TO_LAB.T)


def from_oklab(lab: _Floats) -> Pixels:
    """Return Oklab [..., 3] as uint8 sRGB, clipped to its gamut."""
    linear = ((lab @ _FROM_LAB.T) ** 3 @ _FROM_CONES.T).clip(0, 1)
    share = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(share * 255 + 0.5, np.uint8)
