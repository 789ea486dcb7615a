"""Fading of a paste towards edges of the crop that lie inside the photo."""

from __future__ import annotations

import numpy as np
import pytest

from e4s_engine.photo import blend, fade
from e4s_engine.photo.align import CROP, Crop
from e4s_engine.pipeline.compose import Composed
from e4s_engine.pipeline.generate import Generated
from e4s_engine.pipeline.paste import paste

FULL = np.full((CROP, CROP), 255, np.uint8)


def crop(left: float, top: float, side: float, width: int = 400, height: int = 400) -> Crop:
    quad = np.array([[left, top], [left, top + side], [left + side, top + side], [left + side, top]])
    return Crop(np.zeros((height, width, 3), np.uint8), np.zeros((CROP, CROP, 3), np.uint8), quad)


@pytest.mark.parametrize(
    ("left", "top", "side", "edges"),
    [
        (100, 100, 200, (True, True, True, True)),
        (-50, 100, 200, (False, True, True, True)),
        (100, -50, 300, (True, False, False, True)),  # its right edge is the photo's
        (100, 250, 200, (True, True, True, False)),
        (-50, -50, 500, (False, False, False, False)),
        (0, 0, 399, (False, False, False, False)),
    ],
)
def test_only_edges_inside_the_photo_fade(left, top, side, edges):
    place = crop(left, top, side)
    assert fade.inside(place) == edges
    alpha = fade.towards_edges(FULL, place)
    middle = CROP // 2
    lines = (alpha[middle], alpha[middle, ::-1], alpha[:, middle], alpha[::-1, middle])
    for line, fades in zip(lines, edges, strict=True):
        assert line[0] == (0 if fades else 255)
        assert (line[fade.BAND : middle] == 255).all()
        assert (np.diff(line[:middle].astype(int)) >= 0).all()
        assert np.diff(line[:middle].astype(int)).max() <= 5  # no seam: 1.5 / 80 of 255 at most


def test_a_tilted_edge_that_is_partly_inside_fades():
    quad = np.array([[200.0, -150], [-150, 200], [200, 550], [550, 200]])
    place = Crop(np.zeros((400, 400, 3), np.uint8), np.zeros((CROP, CROP, 3), np.uint8), quad)
    assert fade.inside(place) == (True, True, True, True)


def test_a_photo_that_is_the_crop_does_not_fade():
    photo = np.zeros((CROP, CROP, 3), np.uint8)
    assert fade.towards_edges(FULL, Crop(photo, photo, None)) is FULL


def test_a_pasted_neck_ends_without_a_seam():
    """White pasted over black: no step between neighbouring rows is seen at the crop's lower edge."""
    place = crop(100, 100, 256)
    white = np.full((64, 64, 3), 255, np.uint8)
    foreground = np.ones((512, 512), bool)
    composed = Composed(
        np.full((512, 512), 8, np.uint8), ~foreground, foreground, np.zeros((12, 4), np.float32)
    )
    image = paste(
        place, Generated(white, white), composed, blend.alpha(foreground, "feather"), "feather"
    ).image
    column = image[:, 228, 0].astype(int)
    assert column[228] == 255 and column[:100].max() == 0 and column[357:].max() == 0
    assert np.abs(np.diff(column)).max() <= 255 * 1.5 / fade.BAND * 4 + 2  # 4 crop pixels to one of the photo
