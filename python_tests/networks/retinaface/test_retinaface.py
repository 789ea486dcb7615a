"""RetinaFace: the published heads, every size on every instruction set, decoding, official files."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from native_tools import kernels, native
from PIL import Image

from e4s_engine import ops, weights
from e4s_engine.backends import plans
from e4s_engine.backends.reference import Reference
from e4s_engine.errors import WeightsError
from e4s_engine.networks import registry
from e4s_engine.networks.retinaface import decode
from e4s_engine.networks.retinaface.config import DetectorConfig
from e4s_engine.networks.retinaface.heads import size_within
from e4s_engine.networks.retinaface.network import RETINAFACE
from e4s_engine.networks.retinaface.tensors import tensors
from e4s_engine.testing.loaded import loaded
from e4s_engine.weights import Model

SMALL = DetectorConfig(blocks=(1, 2, 1, 1), width=8, features=16)
SIZES = ((1, 1), (2, 7), (8, 8), (33, 17), (64, 97), (100, 60), (9, 1600))


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def backends() -> Iterator[Any]:
    yield pytest.param(lambda: Reference("cpu", "fp32"), id="reference")
    for isa, precision in kernels():
        yield pytest.param(functools.partial(native.Native, precision, isa=isa), id=f"{isa}-{precision}")


@pytest.fixture(scope="module")
def small() -> Model:
    rng = np.random.default_rng(3)
    made = {}
    for name, shape in tensors(SMALL).items():
        values = rng.standard_normal(shape, dtype=np.float32)
        if name.endswith("running_var"):
            values = 1 + np.abs(values)
        elif len(shape) == 4:
            values *= np.float32(np.sqrt(2 / np.prod(shape[1:])))
        else:
            values *= np.float32(0.3)
        made[name] = values + np.float32(1) if ".bn" in name and name.endswith(".weight") else values
    return Model(SMALL, made)


@pytest.fixture(scope="module")
def official(golden: Path, recipe: ModuleType) -> dict[str, np.ndarray]:
    listed = json.loads((golden / "retinaface_r50_keys.json").read_text())
    seed = int(np.load(golden / "retinaface_r50.npz")["seed"])
    return recipe.state_dict(listed["keys"], seed, listed["gains"])


@pytest.mark.parametrize("make", list(backends()))
def test_published_heads(make: Callable[[], Any], golden: Path, official: dict[str, np.ndarray]) -> None:
    z = np.load(golden / "retinaface_r50.npz")
    config = registry.recognise({k: v.shape for k, v in official.items()})
    assert config == DetectorConfig()
    backend = loaded(make(), Model(config, {k: official[k] for k in registry.tensors(config)}))
    heads = backend.run("retinaface", "detect", z["input"][None, ..., ::-1])[0]
    anchors = decode.split(heads, *z["input"].shape[:2])
    assert relative(anchors.scores, z["scores"]) < 1e-4
    assert relative(anchors.boxes, z["loc"]) < 1e-4
    assert relative(anchors.points, z["landmarks_raw"]) < 1e-4
    np.testing.assert_array_equal(anchors.priors, z["priors"])
    boxes, points = decode.located(anchors)
    assert relative(boxes, z["boxes"]) < 1e-4
    assert relative(points.reshape(-1, 10), z["landmarks"]) < 1e-4


@pytest.mark.skipif(("avx512", "bf16") not in kernels(), reason="bf16 engines need AVX512_BF16")
@pytest.mark.parametrize("photo", ["b06_old_couple.jpg", "z04_grey16.png"])
def test_faces_of_a_bf16_engine(photos: Path, official: dict[str, np.ndarray], photo: str) -> None:
    """They are those of an fp32 engine to a tenth of a pixel."""
    with Image.open(photos / "wild" / photo) as opened:
        pixels = np.asarray(opened.convert("RGB").resize((512, 512)))[None, ..., ::-1]
    model = Model(DetectorConfig(), {name: official[name] for name in tensors(DetectorConfig())})
    heads = [
        loaded(native.Native(precision), model).run("retinaface", "detect", pixels)[0]
        for precision in ("bf16", "fp32")
    ]
    assert not np.array_equal(*heads)
    wide, exact = (decode.decode(found, 512, 512) for found in heads)
    assert len(wide.scores) == len(exact.scores) > 10
    assert np.abs(wide.points - exact.points).max() < 0.1
    sane = (np.abs(exact.boxes) < 2048).all(1)  # of random weights some are as large as cities
    assert sane.sum() > 10 and np.abs(wide.boxes - exact.boxes)[sane].max() < 0.1


@pytest.mark.parametrize("make", list(backends()))
def test_every_size_gives_what_pytorch_gives(make: Callable[[], Any], small: Model) -> None:
    backend = loaded(make(), small)
    w = {name: torch.from_numpy(array) for name, array in small.tensors.items()}
    for height, width in SIZES:
        for batch in (1, 2):
            rng = np.random.default_rng(height)
            pixels = rng.integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
            with torch.inference_mode():
                call = RETINAFACE.function("detect").call
                want = call(ops.reference, torch.from_numpy(pixels), w, SMALL).permute(0, 2, 3, 1).numpy()
            got = backend.run("retinaface", "detect", pixels)
            inner_height, inner_width = size_within(height, width)
            assert got.shape == (batch, -(-inner_height // 8), -(-inner_width // 8), 96)
            assert relative(got, want) < 1e-4, (height, width)
            found = decode.decode(got[0], height, width)
            assert found.boxes.shape[1:] == (4,) and found.points.shape[1:] == (5, 2)


def test_large_photos_are_searched_at_the_published_size() -> None:
    assert size_within(1080, 1500) == (1080, 1500)
    assert size_within(1080, 1920) == (562, 1000)  # halves go to even numbers, as in OpenCV
    assert size_within(4000, 3) == (1000, 1)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (31, 64), (33, 65), (480, 400), (123, 457)])
def test_split_takes_each_cell_once(height: int, width: int) -> None:
    """Heads whose values are their cell's number come back in the order of the cells."""
    levels = []
    size = -(-height // 8), -(-width // 8)
    for step in decode.STEPS:
        rows, columns = -(-height // step), -(-width // step)
        cells = torch.arange(rows * columns, dtype=torch.float32).view(1, 1, rows, columns)
        levels.append(ops.reference.resize(cells, *size, "nearest").expand(1, 32, *size))
    anchors = decode.split(torch.cat(levels, 1)[0].permute(1, 2, 0).numpy(), height, width)
    expected = [
        cell
        for step in decode.STEPS
        for cell in range(-(-height // step) * -(-width // step))
        for _ in range(2)
    ]
    np.testing.assert_array_equal(anchors.boxes[:, 0], expected)
    np.testing.assert_array_equal(anchors.points[:, 9], expected)


def heads_of(height: int, width: int, faces: dict[int, tuple[float, float]]) -> np.ndarray:
    """Make heads of level 1/8 in which anchors by number have logits and a shift in x; the rest is empty."""
    size = -(-height // 8), -(-width // 8)
    heads = np.zeros((*size, 96), np.float32)
    heads[..., [0, 2, 32, 34, 64, 66]] = 20
    for anchor, (logit, shift) in faces.items():
        cell = heads[anchor // 2 // size[1], anchor // 2 % size[1]]
        cell[anchor % 2 * 2 : anchor % 2 * 2 + 2] = 0, logit
        cell[4 + anchor % 2 * 4] = shift
        cell[12 + anchor % 2 * 10 : 22 + anchor % 2 * 10] = np.arange(10)
    return heads


def test_decode_keeps_the_likely_and_drops_what_they_overlap() -> None:
    # Anchors of 32 pixels: a strong one, one beside it that overlaps, a far one, and one of score 0.88.
    heads = heads_of(64, 160, {1: (9, 0), 3: (5, 0), 31: (3, 1), 21: (2, 0)})
    found = decode.decode(heads, 64, 160)
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp([-9, -3])), rtol=1e-6)
    np.testing.assert_allclose(found.boxes[0], [4 - 16, 4 - 16, 4 + 16, 4 + 16], atol=1e-4)
    np.testing.assert_allclose(found.boxes[1, [0, 2]], [124 + 3.2 - 16, 124 + 3.2 + 16], atol=1e-3)
    np.testing.assert_allclose(found.points[0, 1], [4 + 2 * 3.2, 4 + 3 * 3.2], atol=1e-4)


def test_boxes_of_a_reduced_photo_are_in_its_own_pixels() -> None:
    height, width = 1200, 3000  # searched at 400 x 1000
    found = decode.decode(heads_of(400, 1000, {125: (9, 0)}), height, width)
    np.testing.assert_allclose(found.boxes[0], 3 * np.array([484, -12, 516, 20]), atol=1e-3)


def test_suppression_counts_a_pixel_more_per_side() -> None:
    """Two boxes of 10 x 10 pixels share 58, or 0.408 of their union; with sides of 9 it would be 0.364."""
    boxes = np.array([[0, 0, 9, 9], [4.2, 0, 13.2, 9]], np.float32)
    assert decode.suppress(boxes).tolist() == [0]
    boxes[1, [0, 2]] += 0.2  # 0.3889
    assert decode.suppress(boxes).tolist() == [0, 1]


def test_official_files(official: dict[str, np.ndarray], tmp_path: Path) -> None:
    """Files with and without "module.", flat or under "state_dict", convert; others say what is wrong."""
    state = {name: torch.from_numpy(value) for name, value in official.items()}
    prefixed = {f"module.{name}": value for name, value in state.items()}
    for number, content in enumerate((state, {"state_dict": prefixed})):
        torch.save(content, tmp_path / "RetinaFace-R50.pth")
        model = weights.convert(tmp_path / "RetinaFace-R50.pth", tmp_path / f"{number}.safetensors")
        assert model.config == DetectorConfig()
        assert model.extra == ()
        opened = weights.open_model(tmp_path / f"{number}.safetensors", "retinaface")
        np.testing.assert_array_equal(
            opened.tensors["ssh3.conv7x7_3.1.bias"], official["ssh3.conv7x7_3.1.bias"]
        )
    with pytest.raises(WeightsError, match="kind 'retinaface', expected 'parser'"):
        weights.open_model(tmp_path / "0.safetensors", "parser")


def test_other_detectors_are_refused() -> None:
    with pytest.raises(WeightsError, match="over MobileNet"):
        registry.recognise({"fpn.output1.0.weight": (64, 64, 1, 1), "body.stage1.0.0.weight": (8, 3, 3, 3)})
    with pytest.raises(WeightsError, match="impossible detector"):
        DetectorConfig(blocks=(3, 4, 6), width=64)
    with pytest.raises(WeightsError, match="impossible detector"):
        DetectorConfig(features=6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_cuda_backend_lays_it_out(precision: str) -> None:
    from e4s_engine.kernels.launch import Program

    program = Program(plans.example(DetectorConfig(), "detect", precision))
    kinds = {launch.kernel.partition(".")[0] for launch in program.launches}
    assert kinds == {"add", "conv2d", "copy", "from_uint8", "max_pool", "resize"}
