"""A photo with its faces drawn in: boxes with numbers, points and crops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    for number, face in reversed(list(enumerate(faces))):
        colour = _BOX if face.warning is None else _POOR
        stroke = max(1, round(face.side / 150))
        left, top, right, bottom = _inside(face, photo)
        pen.line([tuple(corner) for corner in face.quad[[1, 0, 3, 2]]], fill=_CROP, width=stroke)
        pen.rectangle((left, top, right, bottom), outline=colour, width=stroke)
        dot = 0.6 * stroke
        for x, y in face.points:
            pen.ellipse((x - dot, y - dot, x + dot, y + dot), fill=colour)
        _tag(pen, str(number), left, top, max(11, face.side / 8), colour)
    return np.array(canvas)


def _tag(pen: ImageDraw.ImageDraw, text: str, left: float, top: float, size: float, colour: Any) -> None:
    """Write a number on a label above a box, or inside it at the photo's upper edge."""
    font = ImageFont.load_default(size)
    _, _, width, descent = font.getbbox(text)
    low = top if top >= descent + 2 else top + descent + 2
    pen.rectangle((left, low - descent - 2, left + width + 3, low), fill=colour)
    pen.text((left + 2, low - descent - 1), text, fill=_INK, font=font)


def _inside(face: DetectedFace, photo: Pixels) -> tuple[float, float, float, float]:
    """Return the part of the face's box that lies in the photo."""
    height, width = photo.shape[:2]
    x = np.sort(face.box[[0, 2]].clip(0, width - 1))
    y = np.sort(face.box[[1, 3]].clip(0, height - 1))
    return float(x[0]), float(y[0]), float(x[1]), float(y[1])
