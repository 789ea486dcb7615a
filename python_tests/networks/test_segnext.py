"""SegNeXt: published outputs, small ones on every instruction set, its start, official files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from native_tools import kernels, native

from e4s_engine import ops, regions, weights
from e4s_engine.backends import plans
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, WeightsError
from e4s_engine.networks import registry
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.network import Function, Input
from e4s_engine.networks.segnext import parse
from e4s_engine.networks.segnext.config import SIZES, SegNeXtConfig
from e4s_engine.ops import nmf
from e4s_engine.photo import images
from e4s_engine.weights import Model, random_model

GOLDEN = {"tiny": "source", "small": "target"}  # their photos
SMALL = SegNeXtConfig((16, 32, 20, 24), (1, 2, 1, 1), (2, 2, 3, 1), head=32, rank=5, classes=7, seed=4)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def run_reference(call: Callable[..., Any], model: Model, pixels: np.ndarray) -> np.ndarray:
    tensors = {name: torch.from_numpy(array) for name, array in model.tensors.items()}
    with torch.inference_mode():
        y = call(ops.reference, torch.from_numpy(pixels), tensors, model.config)
    return y.permute(0, 2, 3, 1).numpy() if y.ndim == 4 else y.numpy()


def run_native(
    call: Callable[..., Any],
    model: Model,
    pixels: np.ndarray,
    precision: str = "fp32",
    isa: str = "",
    **options: Any,
) -> np.ndarray:
    plan = plans.record(
        model.config, Function(call, (Input.PIXELS,), lambda config: ()), precision, [pixels.shape]
    )
    store = native.WeightStore(isa)
    store.add(plan, model.tensors)
    result = plans.result_of(plan)
    native.compile_plan(plan, store, isa, **options).run([pixels, result])
    return result


def stage(ops: Any, pixels: Any, weights: Any, config: Any, *, number: int) -> Any:
    image = ops.normalize(ops.from_uint8(pixels, 0, 1), parse.MEAN, parse.STD)
    return parse.stages(ops, image, weights, config)[number]


def squeezed(ops: Any, pixels: Any, weights: Any, config: Any) -> Any:
    image = ops.normalize(ops.from_uint8(pixels, 0, 1), parse.MEAN, parse.STD)
    return parse.squeeze(ops, parse.stages(ops, image, weights, config), weights)


def factorised(ops: Any, pixels: Any, weights: Any, config: Any) -> Any:
    return parse.factorised(ops, squeezed(ops, pixels, weights, config), weights, config)


def published(golden: Path, recipe: ModuleType, size: str) -> tuple[Model, dict[str, np.ndarray]]:
    """Return a network with the recipe's weights and the golden's start, and its golden arrays."""
    listed = json.loads((golden / f"segnext_{size}_keys.json").read_text())
    with np.load(golden / f"segnext_{size}.npz") as opened:
        z = dict(opened)
    seed = int(z["seed"])
    state = recipe.state_dict(listed["keys"], seed, listed["gains"])
    config = registry.recognise({key: value.shape for key, value in state.items()})
    assert config == SIZES[size]
    config = dataclasses.replace(config, seed=seed)
    np.testing.assert_array_equal(nmf.start(config.head, config.rank, seed), z["bases"])
    return Model(config, {key: state[key] for key in registry.tensors(config)}), z


@pytest.mark.parametrize("size", GOLDEN)
def test_published(golden: Path, recipe: ModuleType, photos: Path, size: str) -> None:
    """Features, the factorisation, logits and labels agree with the published code's, in fp32."""
    model, z = published(golden, recipe, size)
    pixels = images.half(images.read(photos / f"{GOLDEN[size]}.jpg"))
    np.testing.assert_array_equal(pixels[::4, ::4], z["input_uint8_strided"])
    tensors = {name: torch.from_numpy(array) for name, array in model.tensors.items()}
    steps: dict[str, Any] = {}
    with torch.inference_mode():
        image = ops.reference.from_uint8(torch.from_numpy(pixels[None]), 0, 1)
        image = ops.reference.normalize(image, parse.MEAN, parse.STD)
        assert relative(image[0, :, ::8, ::8].permute(1, 2, 0).numpy(), z["input_strided"]) < 1e-4
        features = parse.stages(ops.reference, image, tensors, model.config)
        for i, (x, step) in enumerate(zip(features, (8, 4, 2, 1), strict=True), 1):
            steps[f"stage{i}_strided"] = x[0, ::8, ::step, ::step]
        x = parse.squeeze(ops.reference, features, tensors)
        steps["squeeze_strided"] = x[0, ::8, ::2, ::2]
        steps["ham_strided"] = parse.factorised(ops.reference, x, tensors, model.config)[0, ::8, ::2, ::2]
        logits = parse.classify(ops.reference, features, tensors, model.config)
        steps["logits_strided"] = logits[0, :, ::4, ::4]
        large = ops.reference.resize(logits, 512, 512, "bilinear")
        steps["logits_512_strided"] = large[0, :19, ::16, ::16]
        labels = ops.reference.argmax(large)[0].numpy()
    for name, found in steps.items():
        assert relative(found.numpy(), z[name]) < 1e-4, name
    np.testing.assert_array_equal(labels[::4, ::4], z["labels_strided"])


@pytest.mark.parametrize("size", GOLDEN)
def test_published_on_the_native_runtime(golden: Path, recipe: ModuleType, photos: Path, size: str) -> None:
    model, z = published(golden, recipe, size)
    pixels = images.half(images.read(photos / f"{GOLDEN[size]}.jpg"))[None]
    last = run_native(partial(stage, number=3), model, pixels)[0, ..., ::8]
    assert relative(last, z["stage4_strided"].transpose(1, 2, 0)) < 1e-4
    ham = run_native(factorised, model, pixels)[0, ::2, ::2, ::8]
    assert relative(ham, z["ham_strided"].transpose(1, 2, 0)) < 1e-4
    logits = run_native(parse.logits, model, pixels)[0, ::4, ::4]
    assert relative(logits, z["logits_strided"].transpose(1, 2, 0)) < 1e-4
    labels = run_native(parse.classes, model, pixels)[0]
    np.testing.assert_array_equal(labels[::4, ::4], z["labels_strided"])


@pytest.mark.parametrize("size", SIZES)
def test_sizes_are_told_apart_by_shapes(golden: Path, size: str) -> None:
    listed = json.loads((golden / f"segnext_{size}_keys.json").read_text())["keys"]
    shapes = {name: tuple(shape) for name, shape in listed.items()}
    assert registry.recognise(shapes) == SIZES[size]
    own = registry.tensors(SIZES[size])
    assert {name: shape for name, shape in shapes.items() if not name.endswith("num_batches_tracked")} == own


@pytest.mark.parametrize(("isa", "precision"), kernels())
def test_every_size_gives_what_pytorch_gives(isa: str, precision: str) -> None:
    model = random_model(SMALL, 5)
    for height, width in ((32, 32), (64, 96), (40, 72)):
        for batch in (1, 2):
            rng = np.random.default_rng(height)
            pixels = rng.integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
            want = run_reference(parse.logits, model, pixels)
            got = run_native(parse.logits, model, pixels, precision, isa, guard=True, poison=True)
            assert got.shape == want.shape
            assert relative(got, want) < (5e-5 if precision == "fp32" else 0.1), (height, width)


def test_threads_and_batches_change_no_bit() -> None:
    model = random_model(SMALL, 6)
    pixels = np.random.default_rng(1).integers(0, 256, (3, 96, 64, 3), dtype=np.uint8)
    whole = run_native(parse.logits, model, pixels)
    np.testing.assert_array_equal(run_native(parse.logits, model, pixels, threads=1), whole)
    for i in range(3):
        np.testing.assert_array_equal(run_native(parse.logits, model, pixels[i : i + 1])[0], whole[i])


def test_threads_parse_alike(folder: Path) -> None:
    rng = np.random.default_rng(5)
    pictures = [rng.integers(0, 256, (1024, 1024, 3), dtype=np.uint8) for _ in range(2)]
    with Engine(folder, backend="native") as engine, ThreadPoolExecutor(4) as pool:
        expected = [engine.parse(picture) for picture in pictures]
        for i, labels in enumerate(pool.map(lambda i: engine.parse(pictures[i % 2]), range(6))):
            np.testing.assert_array_equal(labels, expected[i % 2])


def test_the_start_is_torchs_and_another_seed_moves_logits() -> None:
    for channels, rank, seed in ((32, 5, 0), (256, 16, 1000), (1024, 64, 2**32 - 1)):
        torch.manual_seed(seed)
        drawn = torch.nn.functional.normalize(torch.rand(1, channels, rank), dim=1)[0].numpy()
        np.testing.assert_allclose(nmf.start(channels, rank, seed), drawn, rtol=1e-6)
    model = random_model(SMALL, 7)
    other = Model(dataclasses.replace(SMALL, seed=5), model.tensors)
    pixels = np.random.default_rng(2).integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    first, second = (run_native(parse.logits, one, pixels) for one in (model, other))
    assert relative(second, first) > 1e-4


@pytest.mark.parametrize(
    "wrong",
    [
        {"widths": (64, 128, 320)}, {"widths": (63, 128, 320, 512)}, {"depths": (2, 2, 4, 0)}, {"head": 250},
        {"rank": 0}, {"classes": 300}, {"seed": -1}, {"seed": 2**32}, {"head": 256.0},
    ],
)  # fmt: skip
def test_impossible_configs_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="config"):
        SegNeXtConfig(**wrong)


def test_files_that_are_mixed_up_are_refused() -> None:
    shapes = dict(registry.tensors(SMALL))
    assert registry.recognise(shapes) == dataclasses.replace(SMALL, rank=64, seed=0)
    del shapes["backbone.norm3.weight"]
    with pytest.raises(WeightsError, match="no SegNeXt state dict"):
        registry.recognise(shapes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_weights: Path) -> Path:
    """Hold a tiny model and an official file of a small SegNeXt, as mmcv writes it."""
    place = tmp_path_factory.mktemp("segnext")
    (place / "model.safetensors").write_bytes((tiny_weights / "model.safetensors").read_bytes())
    model = random_model(SMALL, 8)
    state = {name: torch.from_numpy(array) for name, array in model.tensors.items()}
    state["backbone.norm.num_batches_tracked"] = torch.tensor(3)
    content = {"meta": {"CLASSES": ["skin"], "PALETTE": [[0, 0, 0]], "seed": 1}, "state_dict": state}
    torch.save({**content, "optimizer": {"state": {}}}, place / "best_mIoU_iter_140000.pth")
    return place


def labels_of(folder: Path, picture: np.ndarray, seed: int = 0) -> np.ndarray:
    """Compute what an engine's parser should give, from the file."""
    model = weights.load(folder / "best_mIoU_iter_140000.pth", "segnext")
    model = Model(dataclasses.replace(model.config, seed=seed), model.tensors)
    found = run_native(parse.classes, model, images.half(picture)[None])[0]
    return regions.CELEBAMASK_HQ_TO_12[found]


@pytest.mark.parametrize("way", ["folder", "file", "converted"])
def test_engines_parse_with_it(folder: Path, tmp_path: Path, way: str) -> None:
    """A folder's SegNeXt is found; a named file is recognised; a converted one needs no PyTorch."""
    file = folder / "best_mIoU_iter_140000.pth"
    if way == "converted":
        assert weights.convert(file, tmp_path / "other.safetensors").config == dataclasses.replace(
            SMALL, rank=64, seed=0
        )
        file = tmp_path / "other.safetensors"
    named = {} if way == "folder" else {"parser": file}
    picture = np.random.default_rng(9).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    with Engine(
        folder if way == "folder" else folder / "model.safetensors", backend="native", **named
    ) as engine:
        assert engine.parser == "network"
        found = engine.parse(picture)
        np.testing.assert_array_equal(found, labels_of(folder, picture))
        np.testing.assert_array_equal(engine.parse(picture), found)  # a picture always parses alike
        assert engine.parse(picture[:32, :32]).shape == (512, 512)  # odd sizes end in labels too
    with Engine(folder / "model.safetensors", backend="native", parser=file, parser_seed=6) as engine:
        np.testing.assert_array_equal(engine.parse(picture), labels_of(folder, picture, 6))


def test_wrong_files_and_seeds_are_refused(folder: Path, tmp_path: Path) -> None:
    model = folder / "model.safetensors"
    for seed in (-1, 2**32, 1.5, True, "1"):
        with pytest.raises(ArgumentError, match="parser_seed: expected an integer"):
            Engine(model, parser_seed=seed)  # type: ignore[arg-type]
    content = torch.load(folder / "best_mIoU_iter_140000.pth", weights_only=True)
    content["state_dict"]["decode_head.align.conv.weight"] = torch.zeros(32, 31, 1, 1)
    torch.save(content, tmp_path / "segnext.pth")
    with pytest.raises(WeightsError, match=r"misshapen tensors: decode_head\.align\.conv\.weight"):
        Engine(model, parser=tmp_path / "segnext.pth")


def test_of_two_networks_the_bisenet_parses(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    small = ParserConfig(widths=(16, 16, 16, 16, 16), context=16, fusion=16)
    weights.save(random_model(small, 1), tmp_path / "bisenet.safetensors")
    picture = np.random.default_rng(9).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    with Engine(tmp_path) as both, Engine(tmp_path, parser=tmp_path / "bisenet.safetensors") as named:
        np.testing.assert_array_equal(both.parse(picture), named.parse(picture))
        assert (both.parse(picture) != labels_of(folder, picture)).any()
    weights.save(random_model(SMALL, 3), tmp_path / "another.safetensors")
    weights.save(random_model(SMALL, 3), tmp_path / "third.safetensors")
    with pytest.raises(WeightsError, match="both weights of kind 'segnext'"):
        Engine(tmp_path)
