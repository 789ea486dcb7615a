"""A photo with its faces drawn in: boxes with numbers, points and crops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from e4s_engine.faces.face import DetectedFace
from e4s_engine.photo.images import Pixels

_BOX, _POOR, _CROP, _INK = (0, 230, 118), (255, 145, 0), (64, 196, 255), (0, 0, 0)


def draw(photo: Pixels, faces: Sequence[DetectedFace]) -> Pixels:
    """Draw the faces over a copy of their photo, with the numbers by which `faces` chooses them.

    Boxes of faces too small to be swapped well are orange; thin blue lines are the aligned crops, open at the
    bottom.
    """
    canvas = Image.fromarray(photo)
    pen = ImageDraw.Draw(canvas)
    stroke = max(1, round(max(photo.shape[:2]) / 500))
    for number, face in reversed(list(enumerate(faces))):
        colour = _BOX if face.warning is None else _POOR
        left, top, right, bottom = _inside(face, photo)
        pen.line([tuple(corner) for corner in face.quad[[1, 0, 3, 2]]], fill=_CROP, width=stroke)
        pen.rectangle((left, top, right, bottom), outline=colour, width=2 * stroke)
        for x, y in face.points:
            pen.ellipse((x - stroke, y - stroke, x + stroke, y + stroke), fill=colour)
        font = ImageFont.load_default(max(12, 10 * stroke))
        frame = pen.textbbox((left, top), str(number), font=font)
        pen.rectangle((frame[0] - stroke, top, frame[2] + 3 * stroke, frame[3] + stroke), fill=colour)
        pen.text((left + stroke, top), str(number), fill=_INK, font=font)
    return np.array(canvas)


def _inside(face: DetectedFace, photo: Pixels) -> tuple[float, float, float, float]:
    """Return the part of the face's box that lies in the photo."""
    height, width = photo.shape[:2]
    x = np.sort(face.box[[0, 2]].clip(0, width - 1))
    y = np.sort(face.box[[1, 3]].clip(0, height - 1))
    return float(x[0]), float(y[0]), float(x[1]), float(y[1])
