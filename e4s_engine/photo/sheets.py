"""Pictures for display: labels in colour, overlays, and contact sheets of titled panels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from e4s_engine import regions
from e4s_engine.photo import images
from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Labels

PANEL = 384
_TITLE = 28
_MARGIN = 8
_PAPER = (24, 24, 28)
_INK = (235, 235, 235)
_HOLE = np.array((255, 0, 200), np.uint8)

Panel = tuple[str, Pixels]


def colour(labels: Labels, holes: npt.NDArray[np.bool_] | None = None) -> Pixels:
    """Colour labels [h, w] by region, as uint8 [h, w, 3]; holes are hatched."""
    picture = regions.PALETTE[labels]
    if holes is not None:
        rows, columns = np.indices(labels.shape)
        picture[holes & ((rows + columns) // 3 % 2 == 0)] = _HOLE
    return picture


def overlay(picture: Pixels, labels: Labels, strength: float = 0.55) -> Pixels:
    """Draw labels in colour, with region borders, over their picture; uint8 of the picture's size."""
    height, width = picture.shape[:2]
    rows, columns = np.arange(height) * labels.shape[0] // height, np.arange(width) * labels.shape[1] // width
    mask = labels[rows[:, None], columns]
    mixed = (1 - strength) * picture + strength * regions.PALETTE[mask]
    mixed[_borders(mask)] = 255
    return mixed.astype(np.uint8)


def legend(height: int = PANEL) -> Pixels:
    """Draw the names and colours of the regions, uint8 [height, 384, 3]."""
    canvas = Image.new("RGB", (PANEL, height), _PAPER)
    draw = ImageDraw.Draw(canvas)
    step = height // (regions.COUNT + 1)
    rows = [*zip(regions.NAMES, regions.PALETTE, strict=True), ("hole", _HOLE)]
    for i, (name, colours) in enumerate(rows):
        top = i * step + 4
        draw.rectangle((12, top, 36, top + step - 8), fill=tuple(int(c) for c in colours))
        draw.text((48, top), name, fill=_INK, font=_font(step - 12))
    return np.array(canvas)


def sheet(rows: Sequence[Sequence[Panel]]) -> Pixels:
    """Lay titled panels out in rows, each scaled to fit 384 x 384 in its own proportions."""
    columns = max(len(row) for row in rows)
    width = columns * (PANEL + _MARGIN) + _MARGIN
    height = len(rows) * (PANEL + _TITLE + _MARGIN) + _MARGIN
    canvas = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(canvas)
    for r, row in enumerate(rows):
        for c, (title, picture) in enumerate(row):
            left, top = _MARGIN + c * (PANEL + _MARGIN), _MARGIN + r * (PANEL + _TITLE + _MARGIN)
            draw.text((left + 2, top + 2), title, fill=_INK, font=_font(18))
            fitted = _fit(picture)
            offset = ((PANEL - fitted.shape[1]) // 2, (PANEL - fitted.shape[0]) // 2)
            canvas.paste(Image.fromarray(fitted), (left + offset[0], top + _TITLE + offset[1]))
    return np.array(canvas)


def _fit(picture: Pixels) -> Pixels:
    height, width = picture.shape[:2]
    scale = PANEL / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return images.resize(picture, *size, Image.Resampling.LANCZOS)


def _borders(mask: Labels) -> npt.NDArray[np.bool_]:
    borders = np.zeros(mask.shape, bool)
    borders[1:] |= mask[1:] != mask[:-1]
    borders[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    return borders


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(max(8, size))
