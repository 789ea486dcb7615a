"""Faces by dlib, as published: HOG (King 2009) and the 68-point predictor (Kazemi, Sullivan 2014).

Needs dlib (Boost licence) and the predictor's file, which the package face-recognition-models carries. The
predictor was trained on iBUG 300-W, whose licence excludes commercial use.
"""

from __future__ import annotations

import importlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from e4s_engine._forks import Lock
from e4s_engine.errors import ArgumentError
from e4s_engine.faces import files, gate
from e4s_engine.faces.face import DetectedFace, ordered
from e4s_engine.photo.align import Points
from e4s_engine.photo.images import Pixels

PREDICTOR = "shape_predictor_68_face_landmarks.dat"


def predictor_file(folder: Path | None = None) -> Path | None:
    """Find the predictor's file: in the folder, or in the package that carries it."""
    return files.beside(folder, PREDICTOR) or files.inside("face_recognition_models", "models", PREDICTOR)


class Dlib:
    """dlib's detector and predictor, loaded at first use and shared by all threads."""

    def __init__(self, predictor: Path | None = None) -> None:
        """predictor: path of the 68-point predictor; None: the one at hand. Raises BackendError."""
        self._file = files.model(predictor or predictor_file(), "predictor", PREDICTOR, "dlib", "dlib")
        self._lock = Lock()  # dlib's detector keeps its pyramid: one call at a time

    @cached_property
    def _loaded(self) -> tuple[Any, Any, Any]:
        dlib: Any = importlib.import_module("dlib")
        try:
            predictor = dlib.shape_predictor(str(self._file))
        except RuntimeError as error:
            raise ArgumentError(
                f"predictor: {self._file} is no 68-point predictor of dlib: {error}"
            ) from error
        return dlib, dlib.get_frontal_face_detector(), predictor

    def detect(self, image: Pixels) -> list[tuple[Points, float]]:
        """Return boxes (left, top, right, bottom) and scores, the strongest first, without upsampling."""
        with gate.native, self._lock:
            rectangles, scores, _ = self._loaded[1].run(np.ascontiguousarray(image), 0, 0.0)
        return [
            (np.array([r.left(), r.top(), r.right(), r.bottom()], np.float64), float(score))
            for r, score in zip(rectangles, scores, strict=True)
        ]

    def points(self, image: Pixels, box: Points) -> Points:
        """Return the 68 points of the face in a box."""
        with gate.native, self._lock:
            dlib, _, predictor = self._loaded
            rectangle = dlib.rectangle(*(round(float(value)) for value in box))
            shape = predictor(np.ascontiguousarray(image), rectangle)
        return np.array([(p.x, p.y) for p in shape.parts()], np.float64)


class Hog:
    """Faces by dlib alone, as published: upright frontal faces of 80 pixels or more, 68 points each."""

    name = "dlib HOG with 68 points"

    def __init__(self, dlib: Dlib) -> None:
        self._dlib = dlib

    def __call__(self, image: Pixels) -> list[DetectedFace]:
        """Return the faces, largest first."""
        return ordered(
            DetectedFace(box, score, self._dlib.points(image, box)) for box, score in self._dlib.detect(image)
        )
