"""Faces by RetinaFace, the detector of the published pipeline, on the engine's own runtime; five points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from e4s_engine.faces.face import DetectedFace, from_arrays
from e4s_engine.networks.retinaface import decode
from e4s_engine.photo.images import Pixels


class RetinaFace:
    """Faces by RetinaFace over ResNet-50."""

    name = "RetinaFace"

    def __init__(self, run: Callable[[Pixels], Any]) -> None:
        """run: function pixels uint8 [N,H,W,3] (blue, green, red) -> heads, of a backend with the weights.

        For example `functools.partial(backend.run, "retinaface", "detect")`.
        """
        self._run = run

    def __call__(self, image: Pixels) -> list[DetectedFace]:
        """Return the faces, largest first."""
        heads = self._run(np.ascontiguousarray(image[None, ..., ::-1]))[0]
        found = decode.decode(heads, *image.shape[:2])
        return from_arrays(found.boxes, found.scores, found.points, image)
