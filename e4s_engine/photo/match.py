"""Colours of a region brought to those of another picture: mean and covariance in Oklab.

Oklab is Björn Ottosson's perceptual space (https://bottosson.github.io/posts/oklab/).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from e4s_engine import regions
from e4s_engine.photo.align import Crop
from e4s_engine.photo.boxes import bounds
from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Mask

Floats = npt.NDArray[np.float32]
Window = tuple[slice, slice]

MODES = ("auto", "color", "none")
_FEW = 64  # pixels of 512 x 512 below which a region has no statistics
# Standard deviation added to both sides, in Oklab: a region of one colour, a shaded ear, has hardly any.
_FLOOR = 0.03
_GRID = 15  # levels between the colours of a table: a divisor of 255
_SAMPLE = 10_000  # pixels that are enough for statistics

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


class Area(NamedTuple):
    """Masks bool [512, 512]. moved: pixels of a face to change.

    given, wanted: pixels of the face and of the crop whose mean and covariance say how.
    """

    moved: Mask
    given: Mask
    wanted: Mask


def matched(face: Pixels, areas: Sequence[Area], crop: Crop) -> Pixels:
    """Return a face uint8 [s, s, 3] with the colours of areas brought to those of the crop.

    An area with too few pixels to tell is left out.
    """
    if not areas:
        return face
    step = len(crop.image) // regions.LABEL_SIZE
    out, below = face.copy(), crop.image[::step, ::step]
    for area in areas:
        if min(map(np.count_nonzero, area)) >= _FEW:
            box, moved = _enlarged(area.moved, len(face))
            given = _within(face, *_enlarged(area.given, len(face)))
            table = _table(given, _within(below, *_part(area.wanted)))
            picture = Image.fromarray(face[box]).filter(table)
            out[box] = np.where(moved[..., None], np.asarray(picture), out[box])
    return out


def _part(mask: Mask) -> tuple[Window, Mask]:
    """Return the smallest window of a mask that is not empty, and the mask there."""
    top, left, bottom, right = bounds(mask) or (0, 0, 0, 0)
    window = slice(top, bottom), slice(left, right)
    return window, mask[window]


def _enlarged(mask: Mask, size: int) -> tuple[Window, Mask]:
    """Return `_part` of a mask enlarged to [size, size] by `regions.resize_nearest`."""
    rows, columns = _part(mask)[0]
    places = np.arange(size) * len(mask) // size
    window = _between(places, rows), _between(places, columns)
    return window, mask[places[window[0], None], places[window[1]]]


def _between(places: npt.NDArray[np.intp], wanted: slice) -> slice:
    """Return where ascending places lie in a range."""
    first, last = np.searchsorted(places, (wanted.start, wanted.stop))
    return slice(int(first), int(last))


def _within(picture: Pixels, window: Window, mask: Mask) -> Pixels:
    """Return the pixels [n, 3] of a window that a mask shows."""
    return picture[window][mask]


def _table(pixels: Pixels, reference: Pixels) -> ImageFilter.Color3DLUT:
    """Return `transfer` as a table, which Pillow reads twenty times faster than the space is computed."""
    levels = np.arange(0, 256, _GRID).astype(np.uint8)
    blue, green, red = np.meshgrid(levels, levels, levels, indexing="ij")
    colours = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    moved = transfer(colours, _some(pixels), _some(reference))
    return ImageFilter.Color3DLUT(len(levels), moved.ravel().tolist())


def _some(pixels: Pixels) -> Pixels:
    return pixels[:: len(pixels) // _SAMPLE + 1]


def transfer(colours: Pixels, pixels: Pixels, reference: Pixels) -> Floats:
    """Return colours [k, 3], moved as pixels [n, 3] must be to have a reference's mean and covariance.

    Returns sRGB in [0, 1].
    """
    given, wanted = to_oklab(pixels), to_oklab(reference)
    move = _least_motion(_covariance(given), _covariance(wanted))
    return from_oklab((to_oklab(colours) - given.mean(0)) @ move + wanted.mean(0))


def to_oklab(pixels: Pixels) -> Floats:
    """Return uint8 sRGB [..., 3] in Oklab: lightness 0 to 1, green to red, blue to yellow."""
    return np.asarray(np.cbrt(_LINEAR[pixels] @ _TO_CONES.T) @ _TO_LAB.T)


def from_oklab(lab: Floats) -> Floats:
    """Return Oklab [..., 3] as sRGB in [0, 1], clipped to its gamut."""
    linear = ((lab @ _FROM_LAB.T) ** 3 @ _FROM_CONES.T).clip(0, 1)
    shares = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(shares, np.float32)


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
