"""Similarities and bilinear sampling against OpenCV, whose results published pictures hold."""

from __future__ import annotations

import numpy as np
import pytest

from e4s_engine.photo import warp

MATRICES = [
    np.array([[0.9, -0.2, 5.3], [0.2, 0.9, -3.7]]),
    np.array([[2.1, 0.4, -9.0], [-0.4, 2.1, 2.2]]),
    np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
    np.array([[0.3, 0.0, 40.25], [0.0, 0.3, 200.0]]),
]


@pytest.fixture
def cv2():
    return pytest.importorskip("cv2", reason="the oracle is OpenCV (`pip install e4s_engine[faces]`)")


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_warps_are_opencvs(cv2, matrix: np.ndarray, kind: str) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 80, 3), dtype=np.uint8)
    if kind == "float32":
        image = rng.random((64, 80), dtype=np.float32)
    want = cv2.warpAffine(image, matrix, (120, 100), flags=3)
    got = warp.warp(image, matrix, slice(0, 100), slice(0, 120))
    assert got.dtype == want.dtype and got.shape == want.shape
    assert np.abs(got.astype(np.float64) - want).max() < (1e-6 if kind == "float32" else 0.5)
    window = warp.extent(matrix, (64, 80), (100, 120))
    np.testing.assert_array_equal(warp.warp(image, matrix, *window), got[window])
    outside = np.ones((100, 120), bool)
    outside[window] = False
    assert not got[outside].any()


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (7, 2), (33, 50)])
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_enlarged_pictures_are_opencvs(cv2, size: tuple[int, int], factor: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    want = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(warp.enlarge(image, factor), want)


def test_blurs_are_opencvs(cv2) -> None:
    mask = (np.random.default_rng(2).random((300, 200)) > 0.5).astype(np.float64)
    assert np.abs(warp.gaussian(mask, 101, 11) - cv2.GaussianBlur(mask, (101, 101), 11)).max() < 1e-12
    taps = np.outer([1, 2, 1], [1, 2, 1]) / 16
    picture = np.random.default_rng(3).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    third = np.array([1, 2, 1]) / 4
    smooth = warp.separable(warp.separable(picture.astype(np.float64), third, 0), third, 1)
    want = cv2.filter2D(picture.astype(np.float64), -1, taps)  # mirrored without the edge by default
    assert np.abs(smooth - want).max() < 1e-12


def test_a_similarity_is_found_again() -> None:
    rng = np.random.default_rng(4)
    points = rng.random((5, 2)) * 100
    for angle, scale in ((0.3, 0.5), (-2.5, 3.0), (np.pi, 1.0)):
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        matrix = np.column_stack([turn, rng.random(2) * 50])
        moved = points @ matrix[:, :2].T + matrix[:, 2]
        np.testing.assert_allclose(warp.similarity(points, moved), matrix, atol=1e-9)
        back = warp.inverse(matrix)
        np.testing.assert_allclose(moved @ back[:, :2].T + back[:, 2], points, atol=1e-9)


def test_a_similarity_never_mirrors() -> None:
    points = np.random.default_rng(5).random((5, 2)) * 100
    found = warp.similarity(points, points * (-1, 1))
    assert np.linalg.det(found[:, :2]) > 0
