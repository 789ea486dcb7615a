"""The antialiased quarter of a picture, against its formula pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from e4s_engine.photo import shrink


def naive(picture: np.ndarray) -> np.ndarray:
    """Filter every pixel of both axes in turn, then take the mean of the middle two of every four."""
    taps = np.exp(-(np.arange(-6, 7) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()
    x = picture / 255
    for axis in (0, 1):
        length, filtered = x.shape[axis], np.zeros_like(x)
        for i in range(length):
            for t, tap in enumerate(taps):
                place = abs(i + t - 6)
                place = 2 * (length - 1) - place if place >= length else place
                filtered[(slice(None),) * axis + (i,)] += tap * x[(slice(None),) * axis + (place,)]
        x = filtered
    for axis in (0, 1):
        x = (x.take(range(1, x.shape[axis], 4), axis) + x.take(range(2, x.shape[axis], 4), axis)) / 2
    return x.clip(picture.min() / 255, picture.max() / 255)


def test_a_quarter_is_filtered_and_interpolated() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)
    found = shrink.quarter(picture)
    assert found.shape == (6, 9, 3) and found.dtype == np.float32
    assert np.abs(found - naive(picture)).max() < 1e-6


def test_a_plain_picture_stays_as_it_is() -> None:
    plain = np.full((16, 8, 3), 77, np.uint8)
    assert (shrink.quarter(plain) == np.float32(77 / 255)).all()


def test_scikit_image_agrees() -> None:
    transform = pytest.importorskip("skimage.transform", reason="the oracle is scikit-image")
    picture = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert np.abs(shrink.quarter(picture) - transform.resize(picture / 255.0, (16, 16))).max() < 1e-6
