"""Crops smoothed over time."""

import numpy as np
import pytest

from e4s_engine.errors import ArgumentError
from e4s_engine.video.steady import smooth_quads, smooth_series

SQUARE = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]], float)


def test_an_impulse_becomes_the_published_gaussian_with_mirrored_ends():
    series = np.zeros((3, 1))
    series[0] = 1  # shorter than the filter's radius of 4
    taps = np.exp(-0.5 * np.arange(-4, 5) ** 2.0)
    taps /= taps.sum()
    mirrored = [0, 1, 2, 2, 1, 0]  # one period of a mirrored series of three
    expected = [
        sum(t for k, t in zip(range(-4, 5), taps, strict=True) if mirrored[(i + k) % 6] == 0)
        for i in range(3)
    ]
    np.testing.assert_allclose(smooth_series(series, 1.0)[:, 0], expected, rtol=1e-12)


def test_steady_motion_has_no_lag_and_a_still_face_stays():
    frames = np.arange(60.0)[:, None, None]
    quads = 100 + 50 * SQUARE + frames * np.array([3.0, -1.0])
    np.testing.assert_allclose(smooth_quads(quads)[12:-12], quads[12:-12], atol=1e-9)
    still = np.repeat(quads[:1], 9, axis=0)
    np.testing.assert_allclose(smooth_quads(still), still, atol=1e-9)


def test_trembling_is_damped_and_size_more_than_place():
    noise = np.random.default_rng(0)
    centres = noise.normal(size=(400, 1, 2))
    sizes = 50 + noise.normal(size=(400, 1, 1))
    result = smooth_quads(centres + sizes * SQUARE)
    assert result.mean(axis=1).std() < 0.6
    assert (result[:, 2] - result[:, 0]).std() < 2 * 0.35


def test_nothing_leaks_across_a_cut():
    left, right = np.repeat(SQUARE[None], 10, axis=0), np.repeat(500 + 9 * SQUARE[None], 10, axis=0)
    quads = np.concatenate([left, right])
    np.testing.assert_allclose(smooth_quads(quads, cuts=[10]), quads, atol=1e-9)
    assert np.abs(smooth_quads(quads) - quads).max() > 50


def test_one_frame_and_none():
    np.testing.assert_allclose(smooth_quads(SQUARE[None]), SQUARE[None], atol=1e-12)
    assert smooth_quads(np.zeros((0, 4, 2))).shape == (0, 4, 2)


@pytest.mark.parametrize("cuts", [[0], [3], [2, 1], [1, 1]])
def test_cuts_out_of_range_are_refused(cuts):
    with pytest.raises(ArgumentError, match=r"cuts: expected increasing frames in 1 \.\. 2"):
        smooth_quads(np.repeat(SQUARE[None], 3, axis=0), cuts)


def test_wrong_quads_and_sigmas_are_refused():
    with pytest.raises(ArgumentError, match="quads: expected finite corners"):
        smooth_quads(np.zeros((3, 8)))
    with pytest.raises(ArgumentError, match="sigma: expected a number of frames"):
        smooth_quads(SQUARE[None], axes_sigma=-1)
