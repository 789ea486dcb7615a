"""Colours brought to another picture's: the space, the statistics, and that nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from e4s_engine import regions
from e4s_engine.photo import align, match

EVERY = np.stack(np.meshgrid(*[np.arange(0, 256, 15)] * 3), axis=-1).reshape(-1, 3).astype(np.uint8)


def skin(seed: int, colour: tuple[int, int, int], spread: float, count: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shade = rng.normal(0, spread, (count, 1))
    return (np.array(colour) + shade + rng.normal(0, 3, (count, 3))).clip(0, 255).astype(np.uint8)


def transferred(pixels: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return (match.transfer(pixels, pixels, reference) * 255 + 0.5).astype(np.uint8)


def test_oklab_is_as_published_and_goes_back() -> None:
    """The values of white and red are those of the space's own page and of CSS Color 4."""
    known = match.to_oklab(np.array([[255, 255, 255], [255, 0, 0], [0, 0, 0]], np.uint8))
    expected = [[1, 0, 0], [0.62796, 0.22486, 0.12585], [0, 0, 0]]
    np.testing.assert_allclose(known, expected, atol=2e-4)
    assert np.abs(match.from_oklab(match.to_oklab(EVERY)) * 255 - EVERY).max() < 0.5


def test_pale_skin_takes_the_dark_ones_mean_and_spread() -> None:
    pale, dark = skin(0, (225, 180, 160), 8), skin(1, (110, 70, 50), 20)
    made = transferred(pale, dark)
    a, b = match.to_oklab(made), match.to_oklab(dark)
    np.testing.assert_allclose(a.mean(0), b.mean(0), atol=2e-3)
    # The floor keeps spreads apart: of two that differ by a factor of some three, half the way is gone.
    before = match.to_oklab(pale).std(0)[0]
    assert before < a.std(0)[0] < b.std(0)[0] * 1.1


def test_equal_colours_stay() -> None:
    pixels = skin(0, (180, 130, 110), 15)
    assert np.abs(transferred(pixels, pixels[::-1]).astype(int) - pixels).max() <= 1


def test_one_colour_has_no_spread_to_divide_by() -> None:
    flat = np.full((500, 3), 200, np.uint8)
    made = transferred(flat, skin(1, (110, 70, 50), 20))
    assert (made == made[0]).all() and np.abs(made[0].astype(int) - (110, 70, 50)).max() < 6


@pytest.mark.parametrize("size", [256, 512, 1024])
def test_only_the_area_changes(size: int) -> None:
    face = skin(0, (225, 180, 160), 8, size * size).reshape(size, size, 3)
    photo = skin(1, (110, 70, 50), 20, 1024 * 1024).reshape(1024, 1024, 3)
    area, reference, few = (np.zeros((512, 512), bool) for _ in range(3))
    area[100:140, 200:240], reference[300:340, 100:160], few[:7, :7] = True, True, True
    crop = align.whole(photo)
    pairs = ((area, reference), (few, reference), (reference, few))
    made = match.matched(face, [match.Area(moved, moved, wanted) for moved, wanted in pairs], crop)
    inside = np.zeros((size, size), bool)
    k = size / 512
    inside[int(100 * k) : int(140 * k), int(200 * k) : int(240 * k)] = True
    np.testing.assert_array_equal(made[~inside], face[~inside])
    wanted = transferred(face[inside], crop.image[::2, ::2][reference])
    apart = np.abs(made[inside].astype(int) - wanted)  # made by a table, read between its colours
    assert apart.max() <= 6 and apart.mean() < 0.5
    assert match.matched(face, (), crop) is face


@pytest.mark.parametrize("size", [200, 512, 1024])
def test_windows_are_those_of_the_whole_masks(size: int) -> None:
    """Scattered masks at the borders, as seen by masks that are enlarged whole."""
    rng = np.random.default_rng(size)
    face = rng.integers(0, 256, (size, size, 3), np.uint8)
    crop = align.whole(rng.integers(0, 256, (1024, 1024, 3), np.uint8))
    moved, given, wanted = (rng.random((512, 512)) < 0.01 for _ in range(3))
    moved[:, 100:], given[:300], wanted[:, :17] = False, False, False
    large_moved, large_given = (
        regions.resize_nearest(mask.astype(np.uint8), size) > 0 for mask in (moved, given)
    )
    table = match._table(face[large_given], crop.image[::2, ::2][wanted])
    expected = np.where(large_moved[..., None], Image.fromarray(face).filter(table), face)
    np.testing.assert_array_equal(match.matched(face, [match.Area(moved, given, wanted)], crop), expected)
