"""Alignment: landmarks to the FFHQ crop and back, and landmark models."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from e4s_engine.errors import AlignmentError, ArgumentError
from e4s_engine.faces import landmarks
from e4s_engine.photo import align
from e4s_engine.pipeline import located
from e4s_engine.testing.metrics import psnr

# Eyes, nose tip and mouth corners of a face whose eyes are one unit apart, centred between them.
FIVE = np.array([[-0.5, 0], [0.5, 0], [0, 0.6], [-0.4, 1.1], [0.4, 1.1]])


def face(centre, scale, degrees=0.0, count=5):
    """Make landmarks of a face whose eyes are `scale` pixels apart."""
    angle = np.deg2rad(degrees)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = FIVE
    if count == 68:  # points that alignment does not read are nonsense
        points = np.random.default_rng(0).uniform(-1, 1, (68, 2))
        ring = 0.15 * np.stack([np.cos(np.arange(6)), np.sin(np.arange(6))], axis=1)
        points[36:42], points[42:48] = FIVE[0] + ring - ring.mean(0), FIVE[1] + ring - ring.mean(0)
        points[48], points[54] = FIVE[3], FIVE[4]
    return points @ rotation.T * scale + np.asarray(centre)


def photo(width, height):
    """Make a photo of smooth waves, which loses little by resampling."""
    rows, columns = np.indices((height, width))
    waves = [np.sin(rows / a + columns / b) for a, b in ((13, 29), (31, -17), (-23, 19))]
    return (127 + 90 * np.stack(waves, axis=2)).astype(np.uint8)


def refused(call, *words, argument="landmarks", error=AlignmentError):
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert message.startswith(f"{argument}: "), message
    assert all(word in message for word in words), message


@pytest.mark.parametrize("count", [5, 68])
@pytest.mark.parametrize("degrees", [0, 20, -75, 180])
def test_quad_is_the_ffhq_formula(count, degrees):
    """It equals the published computation, written out (Karras et al. 2019)."""
    points = face((300, 200), 60, degrees, count)
    if count == 68:
        left, right = points[36:42].mean(0), points[42:48].mean(0)
        mouth = (points[48] + points[54]) * 0.5
    else:
        (left, right), mouth = points[:2], points[3:].mean(0)
    to_mouth, eye_to_eye = mouth - (left + right) * 0.5, right - left
    x = eye_to_eye - np.flipud(to_mouth) * [-1, 1]
    x /= np.hypot(*x)
    x *= max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*to_mouth) * 1.8)
    y = np.flipud(x) * [-1, 1]
    c = (left + right) * 0.5 + to_mouth * 0.1
    expected = np.stack([c - x - y, c - x + y, c + x + y, c + x - y])
    np.testing.assert_allclose(align.quad_of(points), expected, atol=1e-9)


def test_five_points_and_68_agree():
    np.testing.assert_allclose(
        align.quad_of(face((90, 70), 30, 10)), align.quad_of(face((90, 70), 30, 10, 68))
    )


def test_an_upright_crop_shows_the_right_part():
    picture = photo(700, 600)
    cropped = align.crop(picture, face((350, 280), 60))
    corners = cropped.quad.round().astype(int)
    part = picture[corners[0, 1] : corners[2, 1], corners[0, 0] : corners[2, 0]]
    expected = np.asarray(Image.fromarray(part).resize((1024, 1024), Image.Resampling.BICUBIC))
    assert cropped.image.shape == (1024, 1024, 3) and cropped.image.dtype == np.uint8
    assert psnr(cropped.image, expected) > 35


@pytest.mark.parametrize("count", [5, 68])
@pytest.mark.parametrize(
    ("centre", "scale", "degrees"),
    [
        ((400, 330), 90, 0), ((400, 330), 90, 33), ((400, 330), 90, -90), ((400, 330), 90, 180),
        ((250, 300), 12, 5), ((400, 300), 3, 45), ((400, 350), 260, 10),
        ((30, 40), 60, 20), ((770, 560), 60, 120), ((799, 0), 40, 0),
    ],
)  # fmt: skip
def test_pasting_the_crop_back_gives_the_photo(centre, scale, degrees, count):
    picture = photo(800, 600)
    before = picture.copy()
    cropped = align.crop(picture, face(centre, scale, degrees, count))
    pasted = align.paste(cropped, cropped.image, np.full((1024, 1024), 255, np.uint8))
    assert pasted.shape == picture.shape and pasted.dtype == np.uint8
    assert psnr(pasted, picture) > 38
    np.testing.assert_array_equal(picture, before)
    assert not np.shares_memory(pasted, picture)


def test_a_paste_covers_the_face_and_nothing_else():
    picture = photo(800, 600)
    cropped = align.crop(picture, face((400, 300), 60, 15))
    white = np.full((256, 256, 3), 255, np.uint8)
    pasted = align.paste(cropped, white, np.full((1024, 1024), 255, np.uint8))
    centre = cropped.quad.mean(0).round().astype(int)
    assert (pasted[centre[1], centre[0]] == 255).all()
    rows, columns = np.indices((600, 800))
    half = np.hypot(*(cropped.quad[3] - cropped.quad[0])) / 2
    apart = np.hypot(columns - cropped.quad.mean(0)[0], rows - cropped.quad.mean(0)[1])
    np.testing.assert_array_equal(pasted[apart > half * 2**0.5 + 1], picture[apart > half * 2**0.5 + 1])
    assert (pasted[apart < half * 0.9] == 255).all()


@pytest.mark.parametrize("scale", [3, 60, 260])
def test_alpha_0_changes_no_bit(scale):
    picture = np.random.default_rng(0).integers(0, 256, (601, 799, 3), dtype=np.uint8)
    noise = np.random.default_rng(1).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    cropped = align.crop(picture, face((400, 300), scale, 25))
    np.testing.assert_array_equal(align.paste(cropped, noise, np.zeros((1024, 1024), np.uint8)), picture)
    whole = align.whole(picture[:600, :600])
    np.testing.assert_array_equal(
        align.paste(whole, noise, np.zeros((512, 512), np.uint8)), picture[:600, :600]
    )


@pytest.mark.parametrize("side", [32, 333, 1024, 1500])
def test_an_aligned_square_is_its_own_crop(side):
    picture = photo(side, side)
    cropped = align.whole(picture)
    assert cropped.image.shape == (1024, 1024, 3) and cropped.quad is None
    pasted = align.paste(cropped, cropped.image, np.full((512, 512), 255, np.uint8))
    assert pasted.shape == picture.shape
    assert psnr(pasted, picture) > 38


def test_a_photo_that_is_not_square_says_what_is_missing():
    with pytest.raises(AlignmentError) as caught:
        align.whole(photo(64, 48), "target")
    for words in ("target: 64 x 48", "is not square", "cut a square", "pass landmarks"):
        assert words in str(caught.value)


def test_landmarks_of_any_number_type():
    picture, points = photo(400, 300), face((200, 150), 30).round()
    expected = align.crop(picture, points).image
    for same in (points.tolist(), points.astype(int), points.astype(np.float32), torch.from_numpy(points)):
        np.testing.assert_array_equal(align.crop(picture, same).image, expected)
    graded = torch.from_numpy(points).requires_grad_()
    np.testing.assert_array_equal(align.crop(picture, graded).image, expected)


GOOD = face((100, 100), 30)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.where(np.arange(10).reshape(5, 2) == 3, np.nan, GOOD), ["NaN"]),
        (np.where(np.arange(10).reshape(5, 2) == 3, np.inf, GOOD), ["infinite"]),
        (np.full((5, 2), 50.0), ["coincide", "no landmarks"]),
        (np.zeros((68, 2)), ["coincide"]),
        (GOOD * 0.01 + 100, ["coincide"]),
        (GOOD + 1000, ["outside", "200 x 200", "pixels"]),
        (GOOD - 200, ["outside"]),
        (GOOD / 200, ["coincide"]),  # normalised to 0..1
        ((GOOD - 100) * 15 + 100, ["wide", "200 x 200"]),
        (GOOD * 1e300, ["outside"]),
        (GOOD[:4], ["[68, 2] or [5, 2]", "[4, 2]"]),
        (np.zeros((68, 3)), ["[68, 2] or [5, 2]", "[68, 3]"]),
        (np.zeros((2, 5)), ["[68, 2] or [5, 2]", "[2, 5]"]),
        (GOOD[None], ["[68, 2] or [5, 2]", "[1, 5, 2]"]),
        (np.zeros(0), ["[68, 2] or [5, 2]", "[0]"]),
        (GOOD.astype(complex), ["complex"]),
        (np.ones((5, 2), bool), ["bool"]),
        ("landmarks.txt", ["[68, 2] or [5, 2]"]),
        (None, ["[68, 2] or [5, 2]"]),
        ([[1, 2], [3]], ["[68, 2] or [5, 2]"]),
        ([[10**400, 1]] * 5, ["[68, 2] or [5, 2]"]),
        ({"left_eye": [1, 2]}, ["[68, 2] or [5, 2]"]),
    ],
)
def test_degenerate_landmarks(points, words):
    refused(lambda: align.crop(np.zeros((200, 200, 3), np.uint8), points), *words)


# Landmark models


def test_the_largest_of_several_faces_counts():
    small, large = face((50, 50), 10), face((120, 120), 25)
    for found in ([small, large], [large, small], np.stack([small, large]), iter([small, large])):
        finder = landmarks.resolve(lambda _, f=found: f)
        assert finder.chosen and finder.name == "a landmark model"
        np.testing.assert_array_equal(finder.detect(np.zeros((200, 200, 3), np.uint8))[0].points, large)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([], ["finds no face", "pass landmarks", "align=False"]),
        (np.zeros((0, 68, 2)), ["finds no face"]),
        (None, ["must return a list", "NoneType"]),
        (5, ["must return a list", "int"]),
        ([5], ["landmark model", "[68, 2]"]),
        (face((9, 9), 9), ["landmark model", "[68, 2]", "[2]"]),
        ([np.full((5, 2), np.nan)], ["landmark model", "NaN"]),
        ([np.zeros((5, 2))], ["landmark model", "coincide"]),
        (["abc"], ["landmark model", "[68, 2]"]),
    ],
)
def test_what_a_landmark_model_may_return(found, words):
    picture = np.zeros((200, 200, 3), np.uint8)
    finder = landmarks.resolve(lambda _: found)
    call = partial(located.portraits, picture, "target", None, None, finder, "auto")
    refused(call, *words, argument="target")


def stub_model(picture):
    return [face((picture.shape[1] / 2, picture.shape[0] / 2), 20)]


def test_a_model_by_name_or_as_it_is():
    assert landmarks.resolve(None) == landmarks.Finder("none", None, False, refused=True)
    for model, name in (
        (stub_model, "a landmark model"),
        (f"{__name__}:stub_model", f"{__name__}:stub_model"),
    ):
        finder = landmarks.resolve(model)
        assert finder.name == name and len(finder.detect(np.zeros((90, 99, 3), np.uint8))) == 1


NAMES = "expected one of 'auto', 'retinaface', 'yunet', 'dlib', a callable or 'module:attribute'"


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("no_such_module:find", ["cannot import", "'module:attribute'", "no_such_module"]),
        (f"{__name__}:absent", ["cannot import", "absent"]),
        (__name__, [NAMES]),
        ("mtcnn", [NAMES, "got 'mtcnn'"]),
        (f"{__name__}:FIVE", ["not callable"]),
        ("", [NAMES]),
        (":find", ["cannot import"]),
        ("..relative:find", ["cannot import"]),
        (5, [NAMES, "5"]),
        ([], [NAMES]),
    ],
)
def test_what_is_no_landmark_model(model, words):
    refused(lambda: landmarks.resolve(model), *words, error=ArgumentError)


def test_a_module_that_fails_to_import(tmp_path, monkeypatch):
    (tmp_path / "broken_landmarks.py").write_text("raise RuntimeError('no model file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_landmarks", raising=False)
    refused(lambda: landmarks.resolve("broken_landmarks:find"), "no model file", error=ArgumentError)


@pytest.mark.parametrize("shape", [(60000, 33), (33, 60000), (32, 20000), (9000, 32)])
def test_thin_photos(shape):
    """A photo that shrinks to less than a pixel is cut and pasted like any other."""
    photo = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    height, width = shape
    for span in (10, 500, max(shape) / 2):
        x, y = width / 2, height / 2
        points = [[x - span, y], [x + span, y], [x, y + 2], [x - span, y + 5], [x + span, y + 5]]
        cut = align.crop(photo, np.array(points))
        assert cut.image.shape == (1024, 1024, 3)
        out = align.paste(cut, cut.image, np.full((1024, 1024), 255, np.uint8))
        assert out.shape == photo.shape
