"""The flow around GPEN: sizes, similarity, masks, pasting and rounding, with networks that are formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from e4s_engine.faces.face import DetectedFace
from e4s_engine.photo import warp
from e4s_engine.pipeline import restore as stage


class Networks:
    """Stands for a backend: RRDBNet repeats pixels, GPEN inverts, ParseNet sees skin right of column 100."""

    def __init__(self, background: int = 0) -> None:
        self.background = background
        self.crops: list[np.ndarray] = []

    def __call__(self, network: str, function: str, array: np.ndarray) -> np.ndarray:
        if network == "rrdbnet":
            if function == "enlarge_features":
                return array.astype(np.float32)
            return (array / 255 + 0.1 / 255).repeat(4, 1).repeat(4, 2).astype(np.float32)
        assert array.shape == (1, 512, 512, 3) and array.dtype == np.uint8
        if network == "gpen":
            self.crops.append(array[0])
            return (1 - array / 127.5).astype(np.float32)
        classes = np.ones((1, 512, 512), np.uint8)
        classes[:, :, :100] = self.background
        return classes


def face_at(x: float, y: float, side: float, score: float, angle: float = 0.0) -> DetectedFace:
    """Return a face whose points are the template's, turned, `side` pixels wide."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (stage.TEMPLATE - 256) @ turn.T * (side / 512) + (x, y)
    box = np.array([x - side / 4, y - side / 4, x + side / 4, y + side / 4])
    return DetectedFace(box, score, points)


def naive(photo: np.ndarray, faces: list[DetectedFace], background: int) -> np.ndarray:
    """Compute the published loop over whole pictures, with OpenCV."""
    cv2 = pytest.importorskip("cv2", reason="the oracle is OpenCV (`pip install e4s_engine[faces]`)")
    sharp = photo.repeat(4, 0).repeat(4, 1)
    height, width = sharp.shape[:2]
    image = cv2.resize(photo, (width, height))
    full_mask, full = np.zeros((height, width), np.float32), np.zeros(image.shape, np.uint8)
    for face in sorted(faces, key=lambda face: -face.score):
        if face.score < 0.9:
            continue
        matrix = warp.similarity(face.points, stage.TEMPLATE)
        back = warp.inverse(matrix)
        crop = cv2.warpAffine(image, matrix, (512, 512), flags=3)
        made = (((1 - crop / 127.5).astype(np.float32) * 0.5 + 0.5).clip(0, 1) * 255).astype(np.uint8)
        mask = np.full((512, 512), 1.0)
        mask[:, :100] = background not in (0, 14, 18)
        mask[:20], mask[-20:], mask[:, :20], mask[:, -20:] = 0, 0, 0, 0
        mask = cv2.GaussianBlur(cv2.GaussianBlur(mask, (101, 101), 11), (101, 101), 11).astype(np.float32)
        if min(face.box[2] - face.box[0], face.box[3] - face.box[1]) < 100:
            kernel = np.outer([1, 2, 1], [1, 2, 1]) / np.float32(16)
            made = cv2.filter2D(made, -1, kernel)
        placed = cv2.warpAffine(made, back, (width, height), flags=3)
        mask = cv2.warpAffine(mask, back, (width, height), flags=3)
        above = mask - full_mask > 0
        full_mask[above], full[above] = mask[above], placed[above]
    part = full_mask[:, :, None]
    return cv2.convertScaleAbs(sharp * (1 - part) + full * part)


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (120, 150, 3), dtype=np.uint8)


FACES = [
    [face_at(300, 250, 300, 0.99)],
    [face_at(300, 250, 150, 0.95, 0.4)],  # its box is small: smoothed
    [face_at(250, 200, 320, 0.97, -0.2), face_at(380, 260, 260, 0.99, 0.1), face_at(100, 300, 250, 0.5)],
    [face_at(580, 20, 400, 0.93, 2.0)],  # beyond the photo's corner
    [],
]


@pytest.mark.parametrize("faces", FACES)
@pytest.mark.parametrize("background", [0, 18, 17])
def test_the_flow_is_the_published_one(photo: np.ndarray, faces: list[Any], background: int) -> None:
    networks = Networks(background)
    result = stage.restore(photo, networks, lambda image: list(faces))
    assert result.image.shape == (480, 600, 3) and result.image.dtype == np.uint8
    assert [face.score for face in result.faces] == sorted(
        (face.score for face in faces if face.score >= 0.9), reverse=True
    )
    want = naive(photo, faces, background)
    off = np.abs(result.image.astype(int) - want)
    assert (off > 0).mean() < 1e-3  # halves may fall either way
    # Where two faces are opaque, rounding errors of their masks choose between them.
    assert off.max() <= 1 or (len(result.faces) > 1 and (off > 1).mean() < 1e-3)
    untouched = result.mask == 0
    np.testing.assert_array_equal(result.image[untouched], photo.repeat(4, 0).repeat(4, 1)[untouched])


def test_detection_sees_the_bilinear_picture(photo: np.ndarray) -> None:
    seen: list[np.ndarray] = []

    def find(image: np.ndarray) -> list[DetectedFace]:
        seen.append(image)
        return []

    result = stage.restore(photo, Networks(), find)
    np.testing.assert_array_equal(seen[0], warp.enlarge(photo, 4))
    np.testing.assert_array_equal(result.image, photo.repeat(4, 0).repeat(4, 1))
    assert not result.faces and not result.mask.any()


def test_the_template_is_the_published_one() -> None:
    published = [(202.0407, 242.88397), (309.43024, 242.28998), (256.0768, 303.95917), (211.95978, 366.82822),
                 (300.89114, 366.3363)]  # fmt: skip
    np.testing.assert_allclose(stage.TEMPLATE, published, atol=1e-4)


def test_faces_of_68_points_are_cut_out_alike(photo: np.ndarray) -> None:
    points = np.zeros((68, 2))
    for (first, end), place in zip(
        ((36, 42), (42, 48), (30, 31), (48, 49), (54, 55)), stage.TEMPLATE, strict=True
    ):
        points[first:end] = place
    np.testing.assert_allclose(stage.five_points(DetectedFace.around(points)), stage.TEMPLATE)
