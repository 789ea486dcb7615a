"""Faces as values: what every detector returns, largest first."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from e4s_engine.errors import AlignmentError
from e4s_engine.photo import align
from e4s_engine.photo.align import Points
from e4s_engine.photo.images import Pixels

logger = logging.getLogger("e4s_engine")

SMALL = 40  # width in pixels below which a face is too small to be swapped well


@dataclasses.dataclass(frozen=True, eq=False)
class DetectedFace:
    """A face in a photo. Compares by identity.

    box: left, top, right, bottom in pixels [4], which may lie outside the photo.
    score: confidence on the detector's own scale.
    points: landmarks [68, 2] (iBUG order) or [5, 2] (eyes, nose tip, mouth corners) in pixels.

    Raises AlignmentError for points that are no face's.
    """

    box: Points
    score: float
    points: Points

    def __post_init__(self) -> None:
        points = align.check_landmarks(self.points, "points").copy()
        box = np.array(self.box, np.float64)
        align.quad_of(points, "points")
        for array in (points, box):
            array.setflags(write=False)
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "box", box)

    @classmethod
    def around(cls, points: Any, score: float = 1.0) -> DetectedFace:
        """Return the face that landmarks alone describe; its box encloses them."""
        checked = align.check_landmarks(points, "points")
        return cls(np.concatenate([checked.min(0), checked.max(0)]), score, checked)

    @cached_property
    def quad(self) -> Points:
        """Return the corners of the aligned crop [4, 2]: top left, bottom left, bottom right, top right."""
        return align.quad_of(self.points, "points")

    @property
    def side(self) -> float:
        """Return the side of the aligned crop, in pixels of the photo."""
        return float(np.hypot(*(self.quad[3] - self.quad[0])))

    @property
    def angle(self) -> float:
        """Return by how many degrees the face is turned clockwise, -180 to 180; 0 is upright."""
        across = self.quad[3] - self.quad[0]
        return float(np.degrees(np.arctan2(across[1], across[0])))

    @property
    def centre(self) -> Points:
        """Return the centre of the aligned crop [2]."""
        return self.quad.mean(0)

    @property
    def warning(self) -> str | None:
        """Return why a swap of this face will look poor, or None."""
        width = self.side / 2  # a face fills about half of its crop
        if width >= SMALL:
            return None
        return f"the face is about {width:.0f} pixels wide, below {SMALL}: a swap will be blurred"

    def facts(self) -> dict[str, Any]:
        """Return what JSON can hold: box, score, angle, quad, points and warning."""
        return {
            "box": self.box.tolist(),
            "score": self.score,
            "angle": self.angle,
            "quad": self.quad.tolist(),
            "points": self.points.tolist(),
            "warning": self.warning,
        }

    def __repr__(self) -> str:
        x, y = self.centre
        return (
            f"DetectedFace(centre=({x:.0f}, {y:.0f}), side={self.side:.0f}, angle={self.angle:.0f}, "
            f"score={self.score:.2f}, points={len(self.points)})"
        )


class Detector(Protocol):
    """A callable image uint8 [H, W, 3] -> faces, largest first. Safe to call from many threads."""

    @property
    def name(self) -> str:
        """Name for people: what finds the faces, and what places their points."""

    def __call__(self, image: Pixels) -> list[DetectedFace]:
        """Return the faces, largest first; [] if there are none."""


def ordered(faces: Iterable[DetectedFace]) -> list[DetectedFace]:
    """Return faces by the side of their crop, largest first."""
    return sorted(faces, key=lambda face: -face.side)


def checked(box: Any, score: float, points: Any, photo: Pixels) -> DetectedFace | None:
    """Return a detection in a photo as a face; None for points that can be no face's of this photo.

    Networks give such points for noise: eyes on the mouth, or a face many times as large as the photo.
    """
    try:
        face = DetectedFace(box, float(score), points)
        align.check_reach(photo, face.quad, "points")
    except AlignmentError as error:
        logger.debug("faces: dropped a detection of score %.2f: %s", score, error)
        return None
    return face


def from_arrays(boxes: Any, scores: Any, points: Any, photo: Pixels) -> list[DetectedFace]:
    """Return the faces of a detector's arrays, largest first; points that are no face's are dropped."""
    detections = zip(boxes, scores, points, strict=True)
    faces = (checked(box, score, landmarks, photo) for box, score, landmarks in detections)
    return ordered(face for face in faces if face is not None)
