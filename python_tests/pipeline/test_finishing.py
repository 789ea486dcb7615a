"""The longer paper's steps: their goldens, and swaps that are re-coloured and inpainted by small networks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from native_tools import SMALL
from PIL import Image

from e4s_engine import Engine, SwapOptions, regions, weights
from e4s_engine.errors import ArgumentError
from e4s_engine.networks.inpaint.config import InpaintConfig
from e4s_engine.networks.recolor.config import RecolorConfig
from e4s_engine.photo import blend, images, soft
from e4s_engine.pipeline import compose, inpaint, recolor
from e4s_engine.pipeline.stages import timed
from e4s_engine.testing.portraits import portrait
from e4s_engine.weights import random_model

SIDE = regions.LABEL_SIZE


@pytest.fixture(scope="module")
def steps(golden: Path, photos: Path) -> SimpleNamespace:
    with np.load(golden / "longer_steps.npz") as opened:
        z = dict(opened)
    pictures = [images.read(photos / f"{name}.jpg") for name in z["names"]]
    return SimpleNamespace(z=z, face=pictures[0], target=pictures[1], coloured=pictures[2], drawn=pictures[3])


def is_close(found: np.ndarray, expected: np.ndarray) -> bool:
    off = np.abs(found.astype(int) - expected)
    return bool(off.max() <= 1 and (off > 0).sum() <= 5)


def test_published_steps(steps: SimpleNamespace) -> None:
    """Compose, re-colour, paste, inpaint, paste once more: every step from the one before."""
    z = steps.z
    labels, holes = compose.longer_labels(z["driven_labels"], z["target_labels"])
    np.testing.assert_array_equal(labels, z["swapped_labels"])
    np.testing.assert_array_equal(holes, z["hole_mask"])
    foreground = ~np.isin(labels, compose.NO_FACE) | holes
    content, border = soft.face_opacity(foreground)
    np.testing.assert_allclose(content[::4, ::4], z["content_mask_strided"], atol=3e-7)
    np.testing.assert_allclose(border[::4, ::4], z["border_mask_strided"], atol=3e-7)
    np.testing.assert_array_equal(soft.edges(steps.face)[::4, ::4], z["edge_strided"])
    shown = np.isin(labels, recolor.FACE).astype(np.float32)
    mask = soft.erode(soft.resize_corners(shown, 1024))
    np.testing.assert_allclose(mask[::4, ::4], z["recolor_mask_strided"], atol=3e-7)
    mixed = recolor.mix(steps.face, steps.coloured, recolor.face_mask(labels, recolor.FACE, steps.face))
    assert is_close(mixed[::4, ::4], z["step2_strided"])
    pasted = blend.blend_bands(mixed, steps.target, content, border, blend.LEVELS)
    assert is_close(pasted[::4, ::4], z["step3_strided"])
    np.testing.assert_array_equal(inpaint.wider(holes), z["inpaint_input_mask"])
    opacity = inpaint.opacity(holes)
    np.testing.assert_allclose(opacity[::4, ::4], z["inpaint_blend_mask_strided"], atol=1e-6)
    filled = inpaint.mix(pasted, steps.drawn, opacity)
    assert is_close(filled[::4, ::4], z["step4_strided"])
    everything = soft.face_opacity(np.ones((SIDE, SIDE), bool))
    again = blend.blend_bands(filled, steps.target, *everything, blend.LEVELS)
    assert is_close(again[::4, ::4], z["final_strided"])


def test_soft_erosion_is_its_formula() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((60, 50), np.float32)
    mask[:20, 10:45], mask[50:, :4] = 1, rng.random((10, 4))
    away = np.arange(-7, 8)
    distance = np.hypot(away[:, None], away)
    kernel = distance.max() - distance
    kernel /= kernel.sum()
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(mask, 7), (15, 15))
    mean = (windows * kernel).sum((2, 3))
    full = mean >= 0.6
    want = np.where(full, 1, mean / mean[~full].max())
    np.testing.assert_allclose(soft.erode(mask), want, atol=1e-5)
    assert not soft.erode(np.zeros((30, 30), np.float32)).any()
    assert soft.erode(np.ones((3, 3), np.float32)).shape == (3, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a small model, a small re-colouring and a small inpainting network."""
    path = tmp_path_factory.mktemp("longer")
    layers = RecolorConfig(layers=(8, 8, 16, 16, 16), features=16, hidden=8, unet=(8, 8, 16, 16))
    holes = InpaintConfig(channels=(16, 16, 16, 16, 16), narrow=16, latent=32)
    for name, config in (("model", SMALL), ("recolor", layers), ("inpaint", holes)):
        weights.save(random_model(config, 3), path / f"{name}.safetensors")
    return path


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return Engine(folder, backend="native", device="cpu", precision="fp32", parser=None, landmarks=None)


@pytest.fixture(scope="module")
def pair() -> dict[str, Any]:
    """Return two stand-in portraits with a hole between them, as arguments of a swap."""
    (source, own), (target, other) = (portrait(seed) for seed in (0, 1))
    own = own.copy()
    own[300:] = regions.BACKGROUND  # the source's chin is far shorter
    return {"source": source, "target": target, "source_labels": own, "target_labels": other, "align": False}


def test_both_run_where_their_weights_are(engine: Engine, pair: dict[str, Any]) -> None:
    with timed() as times:
        result = engine.swap(**pair)
    assert result.recolored == 0.75 and result.inpainted and {"recolor", "inpaint"} <= set(times)
    assert "re-coloured, inpainted" in repr(result.faces[0])
    plain = engine.swap(**pair, recolor=False, inpaint=False)
    assert not plain.recolored and not plain.inpainted
    assert (result.image != plain.image).any()
    np.testing.assert_array_equal(result.face, plain.face)  # the generated one
    before = images.read(pair["target"])
    for one in (result, plain):
        np.testing.assert_array_equal(one.image[~one.changed], before[~one.changed])


def test_the_share_is_the_callers(engine: Engine, pair: dict[str, Any]) -> None:
    shares = (0.0, 0.3, 1.0)
    plain, some, all_of_it = (engine.swap(**pair, recolor=share, inpaint=False) for share in shares)
    assert [one.recolored for one in (plain, some, all_of_it)] == [0.0, 0.3, 1.0]
    away = [np.abs(one.image.astype(int) - plain.image).mean() for one in (some, all_of_it)]
    assert 0 < away[0] < away[1]


def test_without_a_hole_nothing_is_inpainted(engine: Engine, pair: dict[str, Any]) -> None:
    same = pair | {"source_labels": pair["target_labels"]}
    with timed() as times:
        result = engine.swap(**same, recolor=False)
    assert not result.holes.any() and not result.inpainted and "inpaint" not in times
    np.testing.assert_array_equal(result.image, engine.swap(**same, recolor=False, inpaint=False).image)


def test_local_swaps(engine: Engine, pair: dict[str, Any]) -> None:
    """A nose takes the colours of the target's; eyes keep theirs unless asked."""
    nose = engine.swap(**pair, regions=["nose"], inpaint=False)
    same = {"inpaint": False, "match": "none", "relight": False}
    plain = engine.swap(**pair, regions=["nose"], recolor=False, **same)
    assert nose.recolored == 0.75
    moved = (nose.image != plain.image).any(2)
    near = blend.grown(nose.labels == regions.NOSE, 8)
    assert moved.any() and not (moved[::2, ::2] & ~near).any()
    assert engine.swap(**pair, regions=["eyes"], inpaint=False).recolored == 0
    assert engine.swap(**pair, regions=["eyes"], recolor=True, inpaint=False).recolored == 0.75


@pytest.mark.parametrize("options", [{"blend": "soft"}, {"regions": ["nose", "hair"], "recolor": True}])
def test_grey_stays_grey(engine: Engine, pair: dict[str, Any], options: dict[str, Any]) -> None:
    grey = np.repeat(images.read(pair["target"])[..., :1], 3, axis=2)
    result = engine.swap(**pair | {"target": grey}, **options)
    assert (result.image == result.image[..., :1]).all() and result.recolored


def test_grey_stays_grey_and_batches_are_the_same(engine: Engine, pair: dict[str, Any]) -> None:
    grey = np.repeat(images.read(pair["target"])[..., :1], 3, axis=2)
    result = engine.swap(**pair | {"target": grey})
    assert (result.image == result.image[..., :1]).all() and result.recolored
    single = engine.swap(**pair)
    batch = engine.swap_batch(
        [pair["source"]],
        [pair["target"], grey],
        source_labels=[pair["source_labels"]],
        target_labels=[pair["target_labels"]] * 2,
        align=False,
    )
    np.testing.assert_array_equal(batch[0].image, single.image)
    np.testing.assert_array_equal(batch[1].image, result.image)


def test_threads_get_what_one_thread_gets(engine: Engine, pair: dict[str, Any]) -> None:
    jobs = [pair, pair | {"regions": ["nose"], "blend": "soft"}]
    expected = [engine.swap(**job) for job in jobs]
    assert all(result.recolored for result in expected) and expected[0].inpainted
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: engine.swap(**jobs[i % 2]).image, range(4)))
    for i, image in enumerate(found):
        np.testing.assert_array_equal(image, expected[i % 2].image)


@pytest.mark.parametrize("side", [32, pytest.param(8192, marks=pytest.mark.sweep)])
def test_photos_of_any_size(engine: Engine, pair: dict[str, Any], side: int) -> None:
    photos = {
        name: np.asarray(Image.fromarray(images.read(pair[name])).resize((side, side)))
        for name in ("source", "target")
    }
    result = engine.swap(**pair | photos)
    assert result.recolored and result.inpainted
    plain = engine.swap(**pair | photos, recolor=False, inpaint=False)
    assert result.image.shape == plain.image.shape and (result.image != plain.image).any()
    np.testing.assert_array_equal(result.image[~result.changed], plain.image[~result.changed])


def test_the_soft_blend_is_the_longer_papers(engine: Engine, pair: dict[str, Any]) -> None:
    result = engine.swap(**pair, blend="soft")
    labels, holes = compose.longer_labels(pair["source_labels"], pair["target_labels"])
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_array_equal(result.holes, holes)
    assert result.recolored and result.inpainted == holes.any()
    parts, whole = (
        engine.swap(**pair, blend="soft", recolor=False, inpaint=False, full_face=full)
        for full in (False, True)
    )
    np.testing.assert_array_equal(parts.image, whole.image)  # what is pasted was generated


def test_one_of_three_colours(engine: Engine) -> None:
    """Explicit matching keeps re-colouring away; both by name contradict each other."""
    finisher = engine._running().finisher
    assert finisher.asked(None, SwapOptions()).recolors
    assert not finisher.asked(None, SwapOptions(match="color")).recolors
    assert not finisher.asked(None, SwapOptions(shape=False)).recolors
    assert finisher.asked(None, SwapOptions(shape=False, recolor=True)).recolors
    with pytest.raises(ArgumentError, match="choose one of both"):
        finisher.asked(None, SwapOptions(match="color", recolor=True))


def test_missing_weights_are_named(tiny_weights: Path, pair: dict[str, Any]) -> None:
    tiny_engine = Engine(tiny_weights / "model.safetensors", device="cpu")
    for change, file in (({"recolor": True}, "latest_netG.pth"), ({"inpaint": True}, "net_g_50000.pth")):
        with pytest.raises(ArgumentError, match=file):
            tiny_engine.swap(**pair, **change)


@pytest.mark.parametrize("value", ["yes", "Auto", 1.5, -0.1, None, float("nan"), [1]])
def test_values_out_of_range_are_refused(value: Any) -> None:
    for name in ("recolor", "inpaint"):
        with pytest.raises(ArgumentError, match=f"{name}: expected"):
            SwapOptions(**{name: value})


def labels_with(boxes: dict[int, tuple[int, int, int, int]]) -> np.ndarray:
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for region, (top, left, bottom, right) in boxes.items():
        labels[top:bottom, left:right] = region
    return labels


PIXEL = {regions.EARRINGS: (0, 0, 1, 1)}  # labels that are all background are refused
ODD = {
    "no face in either": (PIXEL, PIXEL),
    "a part of one pixel": ({regions.NOSE: (256, 256, 257, 257)}, {regions.NOSE: (256, 256, 257, 257)}),
    "no part in common": ({regions.HAIR: (0, 0, 99, 99)}, {regions.NOSE: (300, 300, 400, 400)}),
    "one part everywhere": ({regions.SKIN: (0, 0, SIDE, SIDE)}, {regions.SKIN: (0, 0, SIDE, SIDE)}),
    "a hole over everything": (PIXEL, {regions.SKIN: (0, 0, SIDE, SIDE)}),
}


@pytest.mark.parametrize("blended", ["feather", "soft"])
@pytest.mark.parametrize("case", ODD)
def test_odd_labels_end_in_a_picture(engine: Engine, pair: dict[str, Any], case: str, blended: Any) -> None:
    own, other = (labels_with(boxes) for boxes in ODD[case])
    result = engine.swap(
        pair["source"], pair["target"], source_labels=own, target_labels=other, align=False, blend=blended
    )
    assert result.image.shape == images.read(pair["target"]).shape
    assert result.inpainted == result.holes.any()


def test_a_target_is_seen_once(engine: Engine, pair: dict[str, Any], monkeypatch: Any) -> None:
    face = engine.encode(pair["target"], pair["target_labels"], align=False, keep_photo=True)
    calls: list[int] = []
    plain = recolor.see
    monkeypatch.setattr(recolor, "see", lambda *a, **k: calls.append(1) or plain(*a, **k))
    for _ in range(3):
        engine.swap(pair["source"], face, source_labels=pair["source_labels"], align=False, inpaint=False)
    assert len(calls) == 4  # the target once, every generated face
