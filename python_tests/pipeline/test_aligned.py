"""No swap without a face: square photos that are not aligned portraits are refused, and say what was seen."""

from __future__ import annotations

import re

import numpy as np
import pytest

from e4s_engine import synth
from e4s_engine.engine import Engine
from e4s_engine.errors import AlignmentError
from e4s_engine.faces import auto
from e4s_engine.faces.landmarks import Finder
from e4s_engine.photo import images
from e4s_engine.pipeline import aligned
from e4s_engine.regions import resize_nearest

pytestmark = pytest.mark.faces_wanted


@pytest.fixture(scope="module")
def bundled():
    """Return the bundled model with its parser, without a detector."""
    with Engine(landmarks=None, device="cpu", backend="native", precision="fp32") as engine:
        yield engine


@pytest.fixture(scope="module")
def rendered() -> list[synth.Picture]:
    return [synth.render(synth.person(seed), synth.scene(seed), 256, 2) for seed in range(6)]


def square(pixels: np.ndarray) -> np.ndarray:
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


GRADIENT = np.tile(np.linspace(0, 255, 128).astype(np.uint8)[:, None, None], (1, 128, 3))


@pytest.mark.parametrize("picture", [GRADIENT * 0, GRADIENT], ids=["black", "gradient"])
def test_nothing_is_no_face(bundled, rendered, picture):
    face = rendered[0].image
    for pair, argument in (((picture, face), "source"), ((face, picture), "target")):
        with pytest.raises(AlignmentError, match=f"{argument}: no aligned face .*no eyes; no nose; no mouth"):
            bundled.swap(*pair)
        bundled.swap(*pair, align=False)  # forced
    for call in (bundled.encode, bundled.parse, bundled.reconstruct, bundled.portrait):
        with pytest.raises(AlignmentError, match=r"image: no aligned face .*align=False"):
            call(picture)


def test_aligned_faces_pass(bundled, rendered):
    for picture in rendered:
        assert bundled.parse(picture.image).shape == (512, 512)
        aligned.check(resize_nearest(picture.labels, 512), "image")


def test_what_is_seen_is_said(rendered):
    labels = resize_nearest(rendered[0].labels, 512)
    for turned in (labels[::-1], np.rot90(labels), np.roll(labels, 80, 1), np.roll(labels, -70, 0)):
        with pytest.raises(
            AlignmentError, match=r"the (eyes|nose|mouth) (are|is) \d+% from the left"
        ) as caught:
            aligned.check(turned, "target")
        assert re.match("target: no aligned face fills this square photo", str(caught.value))
    half = np.pad(labels[::2, ::2], 128)  # far too small
    with pytest.raises(AlignmentError):
        aligned.check(half, "target")
    hidden = np.where(labels == 5, 6, labels).astype(np.uint8)
    with pytest.raises(AlignmentError, match="no nose"):
        aligned.check(hidden, "target")
    aligned.check(np.where(labels == 3, 10, labels).astype(np.uint8), "target")  # behind sunglasses


def test_labels_of_the_callers_are_their_word(bundled, rendered):
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    assert bundled.encode(noise, rendered[0].labels).labels.shape == (512, 512)


@pytest.mark.parametrize("name", ["source", "target", "29259", "29263"])
def test_aligned_photos_pass(bundled, photos, name):
    assert bundled.parse(photos / f"{name}.jpg").shape == (512, 512)


@pytest.mark.parametrize(
    "name",
    ["a01_astronaut.png", "z06_rotated_35.jpg", "z07_upside_down.webp", "c05_dogs.jpg", "a02_hopper.jpg"],
)
def test_square_photos_that_are_not_aligned(bundled, photos, name):
    picture = square(images.read(photos / "wild" / name))
    with pytest.raises(AlignmentError, match="image: no aligned face fills this square photo"):
        bundled.parse(picture)


def test_where_a_detector_is_at_hand_it_decides(bundled, rendered, monkeypatch):
    """A detector that sees nothing overrules labels that look right; labels that the caller passes count."""
    blind = Finder("a blind detector", lambda _: [], False)
    monkeypatch.setattr(bundled, "_finder", blind)
    picture = rendered[0]
    with pytest.raises(AlignmentError, match="image: a blind detector finds no face"):
        bundled.parse(picture.image)
    assert bundled.encode(picture.image, picture.labels).labels.shape == (512, 512)
    assert bundled.parse(picture.image, align=False).shape == (512, 512)


@pytest.mark.skipif(not auto.at_hand(), reason="no face detector is installed")
def test_detectors_see_rendered_faces_and_no_dogs(photos, rendered):
    with Engine(device="cpu", backend="native", precision="fp32") as engine:
        assert engine.parse(rendered[0].image).shape == (512, 512)
        with pytest.raises(AlignmentError, match="finds no face"):
            engine.parse(square(images.read(photos / "wild" / "c05_dogs.jpg")))
        turned = engine.crop(square(images.read(photos / "wild" / "z07_upside_down.webp")))
        aligned.check(engine.parse(turned, align=False), "image")  # cut and turned upright
