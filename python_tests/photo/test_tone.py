"""Grey and sepia photos: what is pasted into them takes their tone; photos with colours keep theirs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from e4s_engine import synth
from e4s_engine.photo import tone

SEPIA = np.array([[0.393, 0.769, 0.189], [0.349, 0.686, 0.168], [0.272, 0.534, 0.131]])


@pytest.fixture(scope="module")
def colours() -> np.ndarray:
    return synth.render(synth.person(3), synth.scene(3), 128).image


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.array(Image.open(buffer).convert("RGB"))


def test_a_grey_photo_makes_grey(colours):
    grey = np.array(Image.fromarray(colours).convert("L").convert("RGB"))
    out = tone.matched(colours, tone.of(grey))
    assert (out == out[..., :1]).all()
    assert np.abs(out.astype(int) - grey).max() <= 1  # its luma


@pytest.mark.parametrize("quality", [95, 75])
def test_a_sepia_photo_makes_sepia(colours, quality):
    sepia = (colours @ SEPIA.T * 0.8).clip(0, 255).astype(np.uint8)
    out = tone.matched(colours, tone.of(jpeg(sepia, quality))).astype(float)
    offsets = tone.of(sepia).offsets
    assert offsets[128, 0] > 10 > -10 > offsets[128, 2]
    luma = out @ [0.299, 0.587, 0.114]
    assert np.abs(out - luma[..., None] - offsets[(luma + 0.5).astype(int)]).mean() < 3


def test_a_photo_with_colours_changes_nothing(colours):
    assert tone.matched(colours, tone.of(colours)) is colours
    one = np.full((64, 64, 3), 90, np.uint8)
    one[13, 17] = (90, 91, 90)  # not grey, but far from sepia's range of luma
    assert tone.of(one) is None
    assert tone.of((colours // 10).astype(np.uint8)) is None  # too dark to tell


@pytest.mark.parametrize("name", ["source", "target", "29259", "29263"])
def test_the_photos_have_colours(photos, name):
    assert tone.of(np.array(Image.open(photos / f"{name}.jpg").convert("RGB"))) is None
