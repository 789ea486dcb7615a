"""The compiled runtime against the goldens of the published implementation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from native_tools import golden_folder, golden_model, kernels, native
from PIL import Image

from e4s_engine.testing.loaded import loaded
from e4s_engine.testing.metrics import psnr

STYLES = {"fp32": 1e-4, "bf16": 5e-2}  # relative
PRECISIONS = sorted({precision for _, precision in kernels()})


def photo(folder: Path, name: str) -> np.ndarray:
    with Image.open(folder.parent / "photos" / f"{name}.jpg") as image:
        return np.asarray(image.convert("RGB"))


def check_picture(picture: np.ndarray, goldens: dict[str, np.ndarray], name: str, precision: str) -> None:
    size = len(picture)
    step, centre = size // 256, size // 2
    crop = picture[centre - 64 : centre + 64, centre - 64 : centre + 64]
    for got, want in ((picture[::step, ::step], goldens[f"{name}_strided"]), (crop, goldens[f"{name}_crop"])):
        if precision == "fp32":
            assert np.abs(got - want).max() < 1e-3
        else:
            assert psnr(got, want) > 48


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("size", [256, pytest.param(1024, marks=pytest.mark.slow)])
def test_swap(size: int, precision: str) -> None:
    folder = golden_folder()
    with np.load(folder / f"rgi_{size}_swap.npz") as opened:
        goldens = dict(opened)
    backend = loaded(native.Native(precision), golden_model(size, int(goldens["seed"])))
    images = np.stack([photo(folder, name) for name in ("source", "target")][:: 1 if size == 1024 else -1])
    labels = np.stack([goldens["source_labels"], goldens["target_labels"]])
    styles = backend.run("rgi", "encode", images, labels)
    for got, name in zip(styles, ("source", "target"), strict=True):
        want = goldens[f"{name}_style_vectors"]
        assert np.abs(got - want).max() < STYLES[precision] * np.abs(want).max()
    check_picture(
        backend.run("rgi", "decode", styles[:1], labels[:1])[0], goldens, "reconstruction", precision
    )
    swapped = backend.run(
        "rgi", "decode", goldens["swapped_style_vectors"][None], goldens["swapped_labels"][None]
    )
    check_picture(swapped[0], goldens, "swapped", precision)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_parser(precision: str) -> None:
    folder = golden_folder()
    with np.load(folder / "bisenet.npz") as opened:
        goldens = dict(opened)
    backend = loaded(native.Native(precision), golden_model(0, int(goldens["seed"])))
    image = photo(folder, "source")
    small = Image.fromarray(image).resize((400, 400)).resize((512, 512), Image.Resampling.BILINEAR)
    for pixels, name in ((image, "labels19"), (np.asarray(small), "labels19_from_400px")):
        classes = backend.run("parser", "parse", pixels[None])[0]
        if name == "labels19":
            ordered = np.sort(goldens["logits_strided"], 0)
            clear = ordered[-1] - ordered[-2] > 1e-3
            assert (classes == goldens[name])[::8, ::8][clear].all()
        else:
            assert (classes == goldens[name]).mean() > 0.9999
