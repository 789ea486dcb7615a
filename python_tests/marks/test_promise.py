"""Pixels outside `Result.changed` are the photo's: over options, networks, formats, and with a pixel mark."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from api_tools import FIVE, LABELS, A
from native_tools import SMALL
from PIL import Image

import e4s_engine
from e4s_engine import Engine, regions, weights
from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig
from e4s_engine.networks.inpaint.config import InpaintConfig
from e4s_engine.networks.recolor.config import RecolorConfig
from e4s_engine.photo import depth, images
from e4s_engine.testing.portraits import portrait

FORMATS = ("png", "tif", "webp")  # those without loss; WebP because the photo is one
HIGH, WIDE = 420, 460
PLACES = FIVE * 5 - (10, 60)  # of landmarks: the crop, 480 pixels wide, reaches over the photo's edges
SHORT = LABELS.copy()
SHORT[300:] = regions.BACKGROUND  # a source with a short chin leaves a hole
CASES = {
    "whole": {"regions": None},
    "recoloured, inpainted": {"regions": None, "recolor": True, "inpaint": True, "source_labels": SHORT},
    "soft": {"regions": None, "blend": "soft", "recolor": 0.4, "inpaint": True, "source_labels": SHORT},
    "bands": {"regions": ["skin", "nose"], "blend": "multiband10", "recolor": True, "full_face": True},
    "hair, matched": {"regions": ["hair", "neck"], "blend": "none", "match": "color", "recolor": False},
    "mixed": {"regions": ["eyes", "lips"], "extent": 0.4, "blend": "multiband", "recolor": False},
    "driven": {"regions": ["face"], "reenact": True, "restore": False, "source_labels": None},
}


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> Engine:
    """Return an engine with small networks for all steps but restoration."""
    folder: Path = tmp_path_factory.mktemp("everything")
    driver = FaceVid2VidConfig(
        points=5, depth=2, features=4, widest=16, mixed=4, first=(4, 4, 8), width=8, out=4, middle=1,
        hidden=4, bins=6, pose=4, blocks=(1, 1, 1, 1),
    )  # fmt: skip
    networks = {
        "model": SMALL,
        "recolor": RecolorConfig(layers=(8, 8, 16, 16, 16), features=16, hidden=8, unet=(8, 8, 16, 16)),
        "inpaint": InpaintConfig(channels=(16, 16, 16, 16, 16), narrow=16, latent=32),
        "facevid2vid": driver,
    }
    for name, config in networks.items():
        weights.save(weights.random_model(config, 3), folder / f"{name}.safetensors")
    own = portrait(1)[1]  # for sources whose labels are the parser's
    return Engine(folder, device="cpu", parser=lambda _: own, landmarks=None)


@pytest.mark.parametrize("case", CASES)
def test_everything_else_is_the_photos(everything, case, tmp_path) -> None:
    photo = np.random.default_rng(7).integers(0, 256, (HIGH, WIDE, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "WEBP", lossless=True, exact=True)
    how = {"source_labels": LABELS, "target_labels": LABELS, "target_landmarks": PLACES} | CASES[case]
    if how["source_labels"] is None:
        how["align"] = "auto"
    result = everything.swap(A, buffer.getvalue(), how.pop("regions"), source_landmarks=FIVE, **how)
    assert bool(result.faces[0].driven) == (case == "driven")
    assert bool(result.recolored) == bool(how.get("recolor", case in ("whole", "driven")))
    assert result.inpainted or not how.get("inpaint")
    outside = ~result.changed
    assert outside.any() and result.changed.any()
    np.testing.assert_array_equal(result.image[outside], photo[outside])
    for kind, mark in (("png", False), *((kind, True) for kind in FORMATS)):
        result.save(tmp_path / f"out.{kind}", pixel_mark=mark)
        saved = images.read(tmp_path / f"out.{kind}")
        np.testing.assert_array_equal(saved[outside], photo[outside], err_msg=f"{kind}, {mark}")
        told = e4s_engine.verify(tmp_path / f"out.{kind}").xmp["e4s:PixelMark"]
        assert (told == "True") == (saved != result.image).any()


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_all_16_bits_of_everything_else_are_the_photos(everything, kind, tmp_path) -> None:
    deep = np.random.default_rng(5).integers(0, 65536, (HIGH, WIDE, 3)).astype(np.uint16)
    depth.write_png(deep, tmp_path / "deep.png", None, None, None)
    how = {"source_labels": LABELS, "target_labels": LABELS, "target_landmarks": PLACES}
    result = everything.swap(A, tmp_path / "deep.png", None, source_landmarks=FIVE, **how)
    result.save(tmp_path / f"out.{kind}", pixel_mark=True)
    outside = ~result.changed
    samples = images.read_photo(tmp_path / f"out.{kind}").original.samples
    np.testing.assert_array_equal(samples[outside], deep[outside])
    assert e4s_engine.verify(tmp_path / f"out.{kind}").xmp["e4s:PixelMark"] == "True"
