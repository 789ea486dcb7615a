"""Crops that reach beyond their photo: mirrored outside it, untouched inside."""

from __future__ import annotations

import numpy as np
import pytest

from e4s_engine.photo import align, border

FIVE = np.array([[-30, 0], [30, 0], [0, 30], [-25, 60], [25, 60]], np.float64)


def photo(height: int, width: int) -> np.ndarray:
    """Return a smooth colour gradient, whose mirror images are known."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, np.full_like(x, 128)], -1).astype(np.uint8)


def test_a_crop_within_its_photo_is_the_same_object() -> None:
    crop = align.crop(photo(800, 900), FIVE + np.array([400, 400]))
    assert not border.outside(crop).any() and border.reflected(crop) is crop
    whole = align.whole(photo(600, 600))
    assert border.reflected(whole) is whole


@pytest.mark.parametrize("scale", [1, 12])  # the larger crop is cut out of a reduced photo
def test_the_photo_is_mirrored_where_the_crop_was_black(scale: int) -> None:
    source = photo(500 * scale, 400 * scale)
    crop = align.crop(source, scale * (FIVE + np.array([10, 250])))
    filled = border.reflected(crop)
    beyond = border.outside(crop)
    assert 0.2 < beyond.mean() < 0.8 and crop.photo is filled.photo and crop.quad is filled.quad
    np.testing.assert_array_equal(filled.image[~beyond], crop.image[~beyond])
    # Columns at the same distance from the photo's left edge have the same colour.
    edge = int(np.argmin(beyond[512]))
    inside, mirrored = filled.image[512, edge : 2 * edge], filled.image[512, edge - 1 :: -1]
    assert np.abs(inside[8:].astype(int) - mirrored[8 : len(inside)]).max() <= 4
    assert (crop.image[512, : edge - 8] == 0).all()


def test_small_photos_are_mirrored_as_often_as_needed() -> None:
    crop = align.crop(photo(70, 70), FIVE + np.array([35, 5]))
    filled = border.reflected(crop)
    assert filled.image[..., 2].min() >= 120  # the constant channel: no black anywhere
    assert crop.image[..., 2].min() == 0


def test_mirrored_indices() -> None:
    assert border._mirror(np.arange(-4, 7), 3).tolist() == [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]
