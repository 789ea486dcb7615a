"""Decoding of RetinaFace's heads in NumPy: anchors, boxes, points, thresholds, non-maximum suppression."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from e4s_engine.networks.retinaface.heads import size_within

Floats = npt.NDArray[np.float32]

STEPS = (8, 16, 32)
SIZES = ((16, 32), (64, 128), (256, 512))  # sides of the two anchors of a cell, per level
VARIANCES = (0.1, 0.2)
SCORE, OVERLAP = 0.9, 0.4
_MOST_CANDIDATES, _MOST_FACES = 5000, 750
_MOST_GROWTH = 10.0  # cap of a side's exponent, 22,000 anchors: damaged weights must not overflow
_CHANNELS = 32  # per level: two anchors of 2 + 4 + 10 values


class Detections(NamedTuple):
    """Detections in pixels of the photo, by descending score.

    boxes float32 [N,4]: left, top, right, bottom. points float32 [N,5,2]: eye at the picture's left, eye at
    its right, nose tip, mouth corners left and right.
    """

    boxes: Floats
    scores: Floats
    points: Floats


class Anchors(NamedTuple):
    """Raw values of every anchor: level by level, row by row, the two of a cell next to each other.

    priors [A,4]: centre and size, as fractions of the picture. scores [A], boxes [A,4], points [A,10].
    """

    priors: Floats
    scores: Floats
    boxes: Floats
    points: Floats


def decode(heads: Floats, height: int, width: int) -> Detections:
    """Return the faces that the heads [h/8,w/8,96] of a photo of this size show."""
    anchors = split(heads, *size_within(height, width))
    likely = np.flatnonzero(anchors.scores > SCORE)
    order = likely[np.argsort(-anchors.scores[likely], kind="stable")][:_MOST_CANDIDATES]
    boxes, points = located(Anchors(*(values[order] for values in anchors)))
    sides = np.array([width, height], np.float32)
    boxes = boxes * np.tile(sides, 2)
    chosen = suppress(boxes)[:_MOST_FACES]
    return Detections(boxes[chosen], anchors.scores[order][chosen], (points * sides)[chosen])


def split(heads: Floats, height: int, width: int) -> Anchors:
    """Split the heads of a picture of this size into its anchors."""
    parts: list[tuple[Floats, ...]] = []
    for level, step in enumerate(STEPS):
        rows, columns = -(-height // step), -(-width // step)
        found = heads[..., level * _CHANNELS : (level + 1) * _CHANNELS]
        found = found[_copies(len(found), rows)][:, _copies(found.shape[1], columns)]
        classes, boxes, points = (
            part.reshape(rows * columns * 2, -1) for part in np.split(found, [4, 12], axis=-1)
        )
        with np.errstate(over="ignore"):  # a face for which exp is infinite has the score 0
            scores = 1 / (1 + np.exp(classes[:, 0] - classes[:, 1]))
        parts.append((priors(level, height, width), scores.astype(np.float32), boxes, points))
    return Anchors(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _copies(count: int, cells: int) -> npt.NDArray[np.intp]:
    """Return where `count` nearest samples of `cells` cells show each cell for the first time."""
    return -(-np.arange(cells) * count // cells)


def priors(level: int, height: int, width: int) -> Floats:
    """Return the anchors of a level [A,4]: centre x, centre y, width, height, as fractions of the picture."""
    step = STEPS[level]
    rows, columns = -(-height // step), -(-width // step)
    y, x, size = np.meshgrid(
        (np.arange(rows) + 0.5) * step / height,
        (np.arange(columns) + 0.5) * step / width,
        SIZES[level],
        indexing="ij",
    )
    return np.stack([x, y, size / width, size / height], -1).reshape(-1, 4).astype(np.float32)


def located(anchors: Anchors) -> tuple[Floats, Floats]:
    """Return boxes [A,4] (left, top, right, bottom) and points [A,5,2], as fractions of the picture."""
    centre, size = anchors.priors[:, :2], anchors.priors[:, 2:]
    middle = centre + VARIANCES[0] * anchors.boxes[:, :2] * size
    sides = size * np.exp(np.minimum(VARIANCES[1] * anchors.boxes[:, 2:], _MOST_GROWTH))
    corner = middle - sides / 2
    points = centre[:, None] + VARIANCES[0] * anchors.points.reshape(-1, 5, 2) * size[:, None]
    return np.concatenate([corner, corner + sides], axis=1), points


def suppress(boxes: Floats) -> npt.NDArray[np.intp]:
    """Return the indices of boxes [N,4] that no better one before them overlaps by more than 0.4.

    Sides count one pixel more than the difference of their ends, as published.
    """
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    areas = sides[:, 0] * sides[:, 1]
    left = np.arange(len(boxes))
    chosen = []
    while len(left):
        best, left = left[0], left[1:]
        chosen.append(best)
        low = np.maximum(boxes[best, :2], boxes[left, :2])
        high = np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.prod(np.maximum(high - low + 1, 0), axis=1)
        left = left[shared / (areas[best] + areas[left] - shared) <= OVERLAP]
    return np.array(chosen, np.intp)
