"""Cropping and pasting by boxes: the bits of Pillow's warps of whole photos and crops, and the edges."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import e4s_engine
from e4s_engine import _native
from e4s_engine.errors import ArgumentError, BackendError
from e4s_engine.photo import align, images
from e4s_engine.photo.align import Crop

rng = np.random.default_rng(0)
FACE = rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)


def by_pillow(photo: np.ndarray, quad: np.ndarray, face: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Warp face and opacity over the whole window of a quad, and blend."""
    height, width = photo.shape[:2]
    left, top = np.clip(np.floor(quad.min(0)).astype(int), 0, (width, height))
    right, bottom = np.clip(np.ceil(quad.max(0)).astype(int) + 1, 0, (width, height))
    side = align._side(quad)
    face = images.resize(face, side, side, Image.Resampling.LANCZOS)
    alpha = images.resize(alpha, side, side, Image.Resampling.BOX)
    size, matrix = (int(right - left), int(bottom - top)), align._photo_to_crop(quad - (left, top), side)

    def warp(pixels: np.ndarray) -> Image.Image:
        picture = Image.fromarray(pixels)
        return picture.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)

    out = photo.copy()
    if min(size) > 0:
        below = Image.fromarray(photo[top:bottom, left:right])
        out[top:bottom, left:right] = np.asarray(Image.composite(warp(face), below, warp(alpha)))
    return out


@st.composite
def quads(draw: st.DrawFn) -> np.ndarray:
    """Draw squares: turned anyhow, and upright ones of simple ratios, whose samples fall on pixels' edges."""
    if draw(st.booleans()):
        centre = draw(st.tuples(st.floats(-20, 200), st.floats(-20, 160)))
        x = np.array([draw(st.floats(-120, 120)), draw(st.floats(-120, 120))])
        x += 0.3 * (np.hypot(*x) < 0.5)
    else:
        centre = draw(st.tuples(st.integers(0, 180), st.integers(0, 140)))
        x = (
            np.array(draw(st.sampled_from([(1, 0), (0, 1), (-1, 0), (0, -1)])))
            * draw(st.integers(1, 288))
            / 6
        )
    y = np.array([-x[1], x[0]])
    return np.array(centre) + np.stack([-x - y, -x + y, x + y, x - y])


@st.composite
def opacities(draw: st.DrawFn) -> np.ndarray:
    """Draw opacities [64, 64] of a box, which may be empty."""
    top, left = draw(st.integers(0, 63)), draw(st.integers(0, 63))
    alpha = np.zeros((64, 64), np.uint8)
    part = alpha[top : draw(st.integers(top, 64)), left : draw(st.integers(left, 64))]
    part[...] = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 256, part.shape)
    return alpha


@settings(max_examples=300, deadline=None)
@given(quad=quads(), alpha=opacities())
def test_a_pasted_box_has_pillows_bits(quad: np.ndarray, alpha: np.ndarray) -> None:
    photo = np.random.default_rng(1).integers(0, 256, (140, 180, 3), dtype=np.uint8)
    crop = Crop(photo, FACE, quad)
    expected = by_pillow(photo, quad, FACE, alpha)
    np.testing.assert_array_equal(align.paste(crop, FACE, alpha), expected)
    black, white = np.zeros(photo.shape[:2], np.uint8), np.full_like(alpha, 255)
    shown = by_pillow(black, quad, white, alpha) > 0
    np.testing.assert_array_equal(align.covered(photo.shape[:2], quad, alpha), shown)


@settings(max_examples=50, deadline=None)
@given(quad=quads())
def test_a_crop_has_the_bits_of_one_of_the_whole_photo(quad: np.ndarray) -> None:
    photo = np.random.default_rng(2).integers(0, 256, (140, 180, 3), dtype=np.uint8)
    whole, corners = Image.fromarray(photo), tuple((quad + 0.5).ravel())
    expected = whole.transform((1024, 1024), Image.Transform.QUAD, corners, Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(align.cut(photo, quad).image, np.asarray(expected))


@settings(max_examples=200, deadline=None)
@given(data=st.data(), size=st.sampled_from([96, 47]), side=st.integers(1, 150))
def test_a_part_is_resized_to_the_bits_of_all(data: st.DataObject, size: int, side: int) -> None:
    top, left = data.draw(st.integers(0, side - 1)), data.draw(st.integers(0, side - 1))
    bottom, right = data.draw(st.integers(top + 1, side)), data.draw(st.integers(left + 1, side))
    for picture in (FACE[:size, :size], FACE[:size, :size, 0]):
        part = images.resize_part(picture, side, (top, left, bottom, right))
        whole = images.resize(picture, side, side, Image.Resampling.LANCZOS)
        window = slice(top, bottom), slice(left, right)
        np.testing.assert_array_equal(part[window], whole[window])


def test_a_missing_extension_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(e4s_engine, "_native")
    monkeypatch.setitem(sys.modules, "e4s_engine._native", None)
    quad = np.array([[10, 10], [10, 90], [90, 90], [90, 10]], float)
    with pytest.raises(BackendError, match=r"compiled extension.*pip install"):
        align.paste(Crop(np.zeros((100, 100, 3), np.uint8), FACE, quad), FACE, np.full((64, 64), 9, np.uint8))


def test_a_paste_of_an_aligned_photo_is_told() -> None:
    alpha = np.zeros((64, 64), np.uint8)
    alpha[10:20, 30:40] = 200
    told = align.covered((64, 64), None, alpha)
    np.testing.assert_array_equal(told, alpha > 0)


MAP, BOX = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0, 0, 4, 4)


@pytest.mark.parametrize(
    ("photo", "face", "alpha", "box", "words"),
    [
        ((8, 8, 3), (4, 4), (4, 4), BOX, "do not fit"),
        ((8, 8, 3), (4, 4, 3), (4, 5), BOX, "do not fit"),
        ((8, 8, 3), (4, 4, 3), (4, 4, 3), BOX, "do not fit"),
        ((8, 8, 5), (4, 4, 5), (4, 4), BOX, "impossible shape of photo"),
        ((8, 8, 3), (0, 4, 3), (0, 4), BOX, "impossible shape of face"),
        ((8, 8, 3), (4, 4, 3), (4,), BOX, "impossible shape of alpha"),
        ((8, 8, 3), (4, 4, 3), (4, 4), (0, 0, 9, 4), "not inside the photo"),
        ((8, 8, 3), (4, 4, 3), (4, 4), (0, -1, 4, 4), "not inside the photo"),
    ],
)
def test_the_extension_refuses_what_does_not_fit(photo, face, alpha, box, words) -> None:
    arrays = [np.zeros(shape, np.uint8) for shape in (photo, face, alpha)]
    with pytest.raises(ArgumentError, match=words):
        _native.paste(*arrays, MAP, (0, 0), box)


def test_what_is_no_number_lies_nowhere() -> None:
    photo, white = np.zeros((8, 8), np.uint8), np.full((4, 4), 255, np.uint8)
    _native.paste(photo, white, white, (np.nan, 0, 0, np.inf, 0, 0), (0, 0), (0, 0, 8, 8))
    assert not photo.any()
    _native.paste(photo, white, white, MAP, (0, 0), (3, 3, 1, 1))
    assert not photo.any()
    with pytest.raises(TypeError):  # a copy would be changed in its place
        _native.paste(photo[:, ::2], white, white, MAP, (0, 0), BOX)
    photo.flags.writeable = False
    with pytest.raises(ValueError, match="not writeable"):
        _native.paste(photo, white, white, MAP, (0, 0), BOX)
