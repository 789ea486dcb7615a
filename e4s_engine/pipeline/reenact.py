"""Reenactment: the source's face in the pose and with the expression of a target (face-vid2vid).

Both photos are aligned crops of 1024 x 1024. The network works on a quarter of that; its picture has the
target's framing and the source's looks. Motion is absolute, as published: the key points of the source's
neutral head take the target's pose and expression as they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig
from e4s_engine.networks.facevid2vid.pose import Poses, read_poses
from e4s_engine.photo import shrink
from e4s_engine.photo.images import Pixels

Run = Callable[..., npt.NDArray[Any]]  # (network, function, arrays...) -> result, of a backend
Floats = npt.NDArray[np.float32]

KIND = "facevid2vid"


@dataclasses.dataclass(frozen=True)
class Subject:
    """A photo as the network sees it.

    picture: float32 [S, S, 3] in 0..1, a quarter of the photo. pose: of its face, one of `Poses`.
    """

    picture: Floats
    pose: Poses

    def turn(self, other: Subject) -> float:
        """Return the largest difference of yaw, pitch and roll between two faces, in degrees."""
        return float(np.abs(self.pose.angles - other.pose.angles).max())


def look(photo: Pixels, run: Run, config: FaceVid2VidConfig) -> Subject:
    """Estimate pose and expression of the face of an aligned photo uint8 [4S, 4S, 3]."""
    picture = shrink.quarter(photo)
    return Subject(picture, read_poses(run(KIND, "head_pose", picture[None]), config))


def drive(source: Subject, driving: Subject, run: Run) -> Pixels:
    """Draw the source's face in the pose and with the expression of another, uint8 [S, S, 3]."""
    points = run(KIND, "key_points", source.picture[None])
    placed = (subject.pose.place(points) for subject in (source, driving))
    picture = run(KIND, "reenact", source.picture[None], *placed)[0]
    return (picture * np.float32(255)).clip(0, 255).astype(np.uint8)


def reenact(source: Pixels, target: Pixels, run: Run, config: FaceVid2VidConfig) -> Pixels:
    """Drive an aligned photo by another one, uint8 [4S, 4S, 3] each -> uint8 [S, S, 3]."""
    return drive(look(source, run, config), look(target, run, config), run)
