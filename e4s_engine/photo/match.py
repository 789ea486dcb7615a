"""Colours of a region brought to those of another picture: mean and covariance in Oklab.

Oklab is Björn Ottosson's perceptual space (https://bottosson.github.io/posts/oklab/).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from e4s_engine import regions
from e4s_engine.photo.align import Crop
from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Mask

Floats = npt.NDArray[np.float32]

MODES = ("auto", "color", "none")
_FEW = 64  # pixels of 512 x 512 below which a region has no statistics
# Standard deviation added to both sides, in Oklab: a region of one colour, a shaded ear, has hardly any.
_FLOOR = 0.03

_TO_CONES = np.array(
    [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
     [0.0883024619, 0.2817188376, 0.6299787005]], np.float32,
)  # fmt: skip
_TO_LAB = np.array(
    [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
     [0.0259040371, 0.7827717662, -0.8086757660]], np.float32,
)  # fmt: skip
_FROM_LAB, _FROM_CONES = np.linalg.inv(_TO_LAB), np.linalg.inv(_TO_CONES)
_SHARES = np.arange(256) / 255
_LINEAR = np.where(_SHARES <= 0.04045, _SHARES / 12.92, ((_SHARES + 0.055) / 1.055) ** 2.4).astype(np.float32)


def matched(face: Pixels, areas: Sequence[tuple[Mask, Mask]], crop: Crop) -> Pixels:
    """Return a face in which areas have the colours of areas of the crop.

    face: uint8 [s, s, 3]. areas: pairs of masks bool [512, 512], of the face and of the crop. A pair of which
    one is all but empty is left out.
    """
    if not areas:
        return face
    step = len(crop.image) // regions.LABEL_SIZE
    out, below = face.copy(), crop.image[::step, ::step]
    for area, reference in areas:
        if min(np.count_nonzero(area), np.count_nonzero(reference)) >= _FEW:
            inside = regions.resize_nearest(area.view(np.uint8), len(face)).view(np.bool_)
            out[inside] = transfer(face[inside], below[reference])
    return out


def transfer(pixels: Pixels, reference: Pixels) -> Pixels:
    """Return pixels [n, 3] with the mean and covariance of reference pixels [m, 3], by the least motion."""
    given, wanted = to_oklab(pixels), to_oklab(reference)
    move = _least_motion(_covariance(given), _covariance(wanted))
    return from_oklab((given - given.mean(0)) @ move + wanted.mean(0))


def to_oklab(pixels: Pixels) -> Floats:
    """Return uint8 sRGB [..., 3] in Oklab: lightness 0 to 1, green to red, blue to yellow."""
    return np.asarray(np.cbrt(_LINEAR[pixels] @ _TO_CONES.T) @ _TO_LAB.T)


def from_oklab(lab: Floats) -> Pixels:
    """Return Oklab [..., 3] as uint8 sRGB, clipped to its gamut."""
    linear = ((lab @ _FROM_LAB.T) ** 3 @ _FROM_CONES.T).clip(0, 1)
    shares = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(shares * 255 + 0.5, np.uint8)


def _covariance(lab: Floats) -> Floats:
    """Return the covariance of colours [n, 3], widened by the floor."""
    return np.asarray(np.cov(lab.T) + _FLOOR**2 * np.eye(3), np.float32)


def _least_motion(given: Floats, wanted: Floats) -> Floats:
    """Return the matrix [3, 3] that takes one covariance to another and moves colours least.

    It is the map of optimal transport between two normal distributions (Pitié and Kokaram, "The Linear
    Monge-Kantorovitch Colour Mapping", 2007).
    """
    root = _root(given)
    inverse = np.linalg.inv(root)
    middle = _root(np.asarray(root @ wanted @ root))
    return np.asarray(inverse @ middle @ inverse, np.float32)


def _root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(values.clip(0))) @ vectors.T)
