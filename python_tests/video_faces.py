"""A detector of white squares, and clips in which they move."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import video_tools as tools

from e4s_engine.faces.face import DetectedFace

FIVE = np.array([[-20, -20], [20, -20], [0, 5], [-16, 28], [16, 28]], float)


def face(x: float, y: float, scale: float = 1.0) -> DetectedFace:
    return DetectedFace.around(np.array([x, y]) + scale * FIVE)


class Painted:
    """Detector of white squares, one in each half of a picture at most."""

    name = "white squares"

    def __init__(self, halves: int = 1) -> None:
        self.sizes: list[int] = []
        self._halves = halves

    def __call__(self, image: np.ndarray) -> list[DetectedFace]:
        self.sizes.append(image.shape[0] * image.shape[1])
        found = []
        for part in np.array_split(np.arange(image.shape[1]), self._halves):
            rows, columns = np.nonzero(image[:, part].min(2) > 220)
            if len(rows) >= 20:
                scale = np.sqrt(len(rows)) / 40
                found.append(face(part[0] + columns.mean(), rows.mean() - 4 * scale, scale))
        return sorted(found, key=lambda one: -one.side)


def drawn(count: int, first: int = 0, step: int = 2, squares: int = 1) -> list[np.ndarray]:
    """Draw frames [160, 240, 3] in which squares appear and move."""
    rows, columns = np.indices((160, 240))
    ground = np.stack([columns // 2, rows, 60 + columns // 4], 2).astype(np.uint8)
    frames = []
    for number in range(count):
        picture = ground.copy()
        for square in range(squares if number >= first else 0):
            left = 30 + 110 * square + step * number % 40
            picture[60 : 92 - 6 * square, left : left + 32 - 6 * square] = 255
        frames.append(picture)
    return frames


def clip(path: Path, count: int, first: int = 0, **more) -> Path:
    return tools.write(path, drawn(count, first), **more)


PAIR = Painted(2)  # for --landmarks
