"""Faces of frames by a detector that looks at whole frames now and then, and between at their surroundings.

A look at a whole frame takes several times as long. Faces that are new at one are looked for in the frames
since the last, so that none begins late.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from PIL import Image

from e4s_engine.errors import AlignmentError
from e4s_engine.faces.face import DetectedFace, Detector
from e4s_engine.photo import images
from e4s_engine.photo.align import Points
from e4s_engine.photo.images import Pixels

EVERY = 8  # frames between looks at whole ones
_REACH = 0.8  # of a window around a face, in sides of its crop to each side of the centre
_SIDES = (192, 320)  # least and largest longer side of the pictures of windows
_NEAR = 0.35  # largest distance of two crops' centres, in sides, that may be one face
_SIZES = 1.5  # largest ratio of their sides


def between(
    inner: Sequence[Pixels], before: Sequence[DetectedFace], after: Sequence[DetectedFace], detect: Detector
) -> list[list[DetectedFace]]:
    """Return the faces of the frames between two looks, by windows around where faces were or will be.

    inner: frames in order. before, after: faces of the frames on both sides.
    """
    return [
        near(pixels, expected(before, after, (i + 1) / (len(inner) + 1)), detect)
        for i, pixels in enumerate(inner)
    ]


def expected(before: Sequence[DetectedFace], after: Sequence[DetectedFace], share: float) -> list[Points]:
    """Return crops [4, 2] at a share of the way between two looks; those of one look alone stay in place."""
    left = list(after)
    quads = []
    for face in before:
        partner = min(left, key=lambda other: distance(face.quad, other.quad), default=None)
        if partner is not None and same(face.quad, partner.quad):
            left.remove(partner)
            quads.append((1 - share) * face.quad + share * partner.quad)
        else:
            quads.append(face.quad)
    return quads + [face.quad for face in left]


def near(pixels: Pixels, quads: Sequence[Points], detect: Detector) -> list[DetectedFace]:
    """Return the faces found in windows around crops [4, 2], each once."""
    found: list[DetectedFace] = []
    for quad in quads:
        inside = [face for face in _window(pixels, quad, detect) if same(face.quad, quad)]
        face = min(inside, key=lambda face: distance(face.quad, quad), default=None)
        if face is not None and all(distance(face.quad, other.quad) > 0.2 for other in found):
            found.append(face)
    return sorted(found, key=lambda face: -face.side)


def side(quad: Points) -> float:
    """Return the side of a crop."""
    return float(np.hypot(*(quad[3] - quad[0])))


def distance(a: Points, b: Points) -> float:
    """Return the distance of two crops' centres, in sides of the smaller."""
    return float(np.hypot(*(a.mean(0) - b.mean(0)))) / min(side(a), side(b))


def same(a: Points, b: Points) -> bool:
    """Return whether two crops may be of one face, a few frames apart."""
    return distance(a, b) < _NEAR and max(side(a), side(b)) < _SIZES * min(side(a), side(b))


def _window(pixels: Pixels, quad: Points, detect: Detector) -> list[DetectedFace]:
    """Return the faces in a window around a crop, in pixels of the frame."""
    height, width = pixels.shape[:2]
    reach = _REACH * side(quad)
    low = np.floor(quad.mean(0) - reach).astype(int).clip(0, (width, height))
    high = np.ceil(quad.mean(0) + reach).astype(int).clip(0, (width, height))
    if min(high - low) < images.MIN_SIDE:
        return []
    part = pixels[low[1] : high[1], low[0] : high[0]]
    longer = max(part.shape[:2])
    scale = float(np.clip(longer, *_SIDES)) / longer
    size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
    picture = images.resize(np.ascontiguousarray(part), *size, Image.Resampling.BILINEAR)
    ratio = np.array([part.shape[1], part.shape[0]]) / size
    return [moved for face in detect(picture) if (moved := _moved(face, ratio, low)) is not None]


def _moved(face: DetectedFace, ratio: Points, low: Points) -> DetectedFace | None:
    """Return a window's face in pixels of the frame."""
    points = (face.points + 0.5) * ratio - 0.5 + low
    box = (face.box.reshape(2, 2) * ratio + low).ravel()
    try:
        return dataclasses.replace(face, points=points, box=box)
    except AlignmentError:
        return None
