"""Restoration of a photo: four times the size, and its faces drawn anew (GPEN's enhancement flow).

The photo is enlarged twice: by RRDBNet, which keeps what is there, and bilinearly. In the bilinear picture
every face is found, cut out upright, restored by GPEN and laid over RRDBNet's picture where ParseNet sees a
face. Pictures are RGB; the published code works on BGR and swaps the channels around every network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.faces.face import DetectedFace
from e4s_engine.networks.rrdbnet import tiles
from e4s_engine.networks.rrdbnet.enlarge import SCALE
from e4s_engine.photo import warp
from e4s_engine.photo.align import Points
from e4s_engine.photo.images import Pixels

Run = Callable[..., npt.NDArray[Any]]  # (network, function, array) -> result, of a backend
Find = Callable[[Pixels], list[DetectedFace]]
Floats = npt.NDArray[np.float32]

SIDE = 512  # side of the crop that GPEN restores
SCORE = 0.9  # least score of a face
# Where both eyes, the nose tip and the mouth's corners come to lie: ArcFace's points of 96 x 112 pixels, with
# margins of (8, 0) and (28, 28), at 512 / 168 of the size.
_ARCFACE = np.array(
    [
        (30.29459953, 51.69630051),
        (65.53179932, 51.50139999),
        (48.02519989, 71.73660278),
        (33.54930115, 92.3655014),
        (62.72990036, 92.20410156),
    ]
)
TEMPLATE: Points = (_ARCFACE + np.array([8 + 28, 28])) * (SIDE / 168)
_EYES_NOSE_MOUTH = ((36, 42), (42, 48), (30, 31), (48, 49), (54, 55))  # of 68 points
_NO_FACE = (0, 14, 18)  # classes of CelebAMask-HQ that are not pasted: background, hat, cloth
_BORDER, _BLUR, _SIGMA = 20, 101, 11.0  # of the mask
_SMALL = 100  # side of a face's box below which it is smoothed


@dataclasses.dataclass(frozen=True)
class Restored:
    """Restored photo.

    image: uint8 [4H, 4W, 3]. faces: restored faces in pixels of it, by descending score. mask: opacity of the
    faces, float32 [4H, 4W] in 0..1.
    """

    image: Pixels
    faces: tuple[DetectedFace, ...]
    mask: Floats


def restore(photo: Pixels, run: Run, find: Find) -> Restored:
    """Restore a photo uint8 [H, W, 3]. find: function picture -> its faces."""
    sharp = enlarge(photo, run)
    plain = warp.enlarge(photo, SCALE)
    faces = sorted((face for face in find(plain) if face.score >= SCORE), key=lambda face: -face.score)
    mask = np.zeros(plain.shape[:2], np.float32)
    drawn = np.zeros_like(plain)
    for face in faces:
        _draw(face, plain, drawn, mask, run)
    return Restored(_blend(sharp, drawn, mask), tuple(faces), mask)


def enlarge(photo: Pixels, run: Run) -> Pixels:
    """Enlarge a photo fourfold by RRDBNet."""

    def of_network(function: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return run("rrdbnet", function, array)

    picture = tiles.enlarged(of_network, photo[None])[0]
    return np.rint(picture.clip(0, 1) * np.float32(255)).astype(np.uint8)


def restore_crop(crop: Pixels, run: Run) -> Pixels:
    """Restore an upright face crop uint8 [512, 512, 3] by GPEN."""
    picture = run("gpen", "restore", crop[None])[0]
    return ((picture * np.float32(0.5) + np.float32(0.5)).clip(0, 1) * np.float32(255)).astype(np.uint8)


def paste_mask(classes: npt.NDArray[np.uint8]) -> Floats:
    """Return the opacity [S, S] of a restored face from its classes: soft, and 0 at the crop's border."""
    mask = np.isin(classes, _NO_FACE, invert=True).astype(np.float64)
    for edge in (np.s_[:_BORDER], np.s_[-_BORDER:]):
        mask[edge] = mask[:, edge] = 0
    for _ in range(2):
        mask = warp.gaussian(mask, _BLUR, _SIGMA)
    return mask.astype(np.float32)


def five_points(face: DetectedFace) -> Points:
    """Return a face's eyes, nose tip and corners of the mouth [5, 2]."""
    if len(face.points) == len(TEMPLATE):
        return face.points
    return np.stack([face.points[first:end].mean(0) for first, end in _EYES_NOSE_MOUTH])


def _draw(face: DetectedFace, plain: Pixels, drawn: Pixels, mask: Floats, run: Run) -> None:
    """Restore a face of the bilinear picture and draw it where its mask is above the earlier ones'."""
    matrix = warp.similarity(five_points(face), TEMPLATE)
    whole = slice(0, SIDE)
    restored = restore_crop(warp.warp(plain, matrix, whole, whole), run)
    opacity = paste_mask(run("parsenet", "parse_face", restored[None])[0])
    if min(face.box[2] - face.box[0], face.box[3] - face.box[1]) < _SMALL:
        restored = _smoothed(restored)
    back = warp.inverse(matrix)
    window = warp.extent(back, restored.shape[:2], plain.shape[:2])
    opacity = warp.warp(opacity, back, *window)
    above = opacity > mask[window]
    mask[window][above] = opacity[above]
    drawn[window][above] = warp.warp(restored, back, *window)[above]


def _smoothed(picture: Pixels) -> Pixels:
    """Smooth by (1, 2, 1) / 4 along both axes; every product is exact, halves go to even."""
    taps = np.array([1, 2, 1]) / 4
    smooth = warp.separable(warp.separable(picture.astype(np.float64), taps, 0), taps, 1)
    return np.rint(smooth).astype(np.uint8)


def _blend(sharp: Pixels, drawn: Pixels, mask: Floats) -> Pixels:
    """Lay the faces over the picture; halves go to even."""
    result = sharp.copy()
    rows, columns = mask.any(1), mask.any(0)
    if not rows.any():
        return result
    # Elsewhere the sum below is the picture itself.
    (top, bottom), (left, right) = (np.flatnonzero(line)[[0, -1]] for line in (rows, columns))
    window = np.s_[top : bottom + 1, left : right + 1]
    opacity = mask[window][..., None]
    mixed = sharp[window] * (1 - opacity) + drawn[window] * opacity
    result[window] = np.rint(mixed).clip(0, 255).astype(np.uint8)
    return result
