"""The mark in the pixels: where it lies, what it outlives, and that clean pictures have none."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

import e4s_engine
from e4s_engine import synth
from e4s_engine.marks import pixels
from e4s_engine.marks.statement import Statement
from e4s_engine.photo import images
from e4s_engine.result import Result

SIDE = 512


@pytest.fixture(scope="module")
def photo():
    return synth.render(synth.person(3), synth.scene(3), SIDE).image


@pytest.fixture(scope="module")
def changed():
    rows, columns = np.indices((SIDE, SIDE))
    return np.hypot(rows - 260, columns - 250) < 210


@pytest.fixture(scope="module")
def marked(photo, changed):
    return pixels.embed(photo, changed)


def again(picture, factor=1.0, quality=75):
    """Return a picture resized and compressed again, as JPEG."""
    buffer = io.BytesIO()
    image = Image.fromarray(picture)
    image = image.resize(
        (round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC
    )
    image.save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def test_it_is_faint_and_lies_where_the_picture_changed(photo, changed, marked) -> None:
    np.testing.assert_array_equal(marked[~changed], photo[~changed])
    error = np.square(marked[changed].astype(float) - photo[changed]).mean()
    assert error > 0 and 10 * np.log10(255**2 / error) > 38


@pytest.mark.parametrize("factor", [1.0, 0.5, 0.75])
def test_it_outlives_jpeg_and_resizing(photo, marked, factor) -> None:
    assert pixels.detect(again(marked, factor))[0] > pixels.THRESHOLD + 1
    assert pixels.detect(again(photo, factor))[0] < pixels.THRESHOLD - 1


def test_it_outlives_cropping(marked) -> None:
    assert pixels.detect(again(marked[37:, 51:]))[0] > pixels.THRESHOLD


def test_any_size_is_found_by_a_thorough_search(marked) -> None:
    scales = [scale for scale in pixels.fine_scales() if 0.6 < scale < 0.7]
    score, scale = pixels.detect(again(marked, 0.65), scales)
    assert score > pixels.THRESHOLD and abs(scale - 0.65) < 0.01


def test_small_changes_are_not_marked(photo) -> None:
    small = np.zeros((SIDE, SIDE), bool)
    small[:150, :150] = True
    assert pixels.embed(photo, small) is None
    for tiny in (photo[:40, :40], photo[:130, :33]):
        assert pixels.detect(tiny)[0] < pixels.THRESHOLD


def test_results_are_marked_where_it_is_asked_for(photo, tmp_path, caplog) -> None:
    result = Result(
        photo,
        photo,
        np.zeros((512, 512), np.uint8),
        np.zeros((512, 512), bool),
        photo,
        np.ones((SIDE, SIDE), bool),
    ).of_face(None, None, None, statement=Statement("swap"))
    result.save(tmp_path / "out.jpg", pixel_mark=True)
    assert e4s_engine.verify(tmp_path / "out.jpg").xmp["e4s:PixelMark"] == "True"
    Image.fromarray(images.read(tmp_path / "out.jpg")).save(tmp_path / "stripped.png")
    verdict = e4s_engine.verify(tmp_path / "stripped.png", pixels="quick")
    assert verdict.marked and verdict.ours and not verdict.xmp
    assert not e4s_engine.verify(tmp_path / "stripped.png").marked
    assert not caplog.text
