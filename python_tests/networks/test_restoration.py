"""ParseNet, RRDBNet, GPEN: published outputs, small ones on every instruction set, tiles, official files."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
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
from e4s_engine.backends.native import Native
from e4s_engine.errors import WeightsError
from e4s_engine.networks import registry
from e4s_engine.networks.gpen.config import GPENConfig
from e4s_engine.networks.gpen.restore import restore
from e4s_engine.networks.network import Config, Function, Input
from e4s_engine.networks.parsenet import parse
from e4s_engine.networks.parsenet.config import ParseNetConfig
from e4s_engine.networks.parsenet.network import PARSENET
from e4s_engine.networks.rrdbnet import tiles
from e4s_engine.networks.rrdbnet.config import RealESRGANConfig, RRDBConfig
from e4s_engine.networks.rrdbnet.enlarge import enlarge
from e4s_engine.testing.loaded import loaded
from e4s_engine.testing.metrics import psnr
from e4s_engine.weights import Model, random_model
from e4s_engine.weights import folder as weight_folder

SMALL = {
    "parsenet": ParseNetConfig(classes=7, widths=(8, 16, 24), blocks=2),
    "rrdbnet": RRDBConfig(features=16, growth=16, blocks=2),
    "gpen": GPENConfig(channels=(16, 24, 16), latent=20, mapping=2),
}
PUBLISHED = {"parsenet": ParseNetConfig(), "rrdbnet_x4": RRDBConfig(), "gpen_512": GPENConfig()}
PRECISIONS = sorted({precision for _, precision in kernels()})


def run_reference(call: Callable[..., Any], model: Model, pixels: np.ndarray) -> np.ndarray:
    """Run a function over ops in PyTorch; return [N,H,W,C]."""
    tensors = {name: torch.from_numpy(array) for name, array in model.tensors.items()}
    with torch.inference_mode():
        y = call(ops.reference, torch.from_numpy(pixels), tensors, model.config)
    return y.permute(0, 2, 3, 1).numpy() if y.ndim == 4 else y.numpy()


def run_native(
    call: Callable[..., Any], model: Model, pixels: np.ndarray, precision: str, isa: str = "", **options: Any
) -> np.ndarray:
    """Record a function over ops and run it in the compiled runtime; return [N,H,W,C]."""
    function = Function(call, (Input.PIXELS,), lambda config: ())
    plan = plans.record(model.config, function, precision, [pixels.shape])
    store = native.WeightStore(isa)
    store.add(plan, model.tensors)
    result = plans.result_of(plan)
    native.compile_plan(plan, store, isa, **options).run([pixels, result])
    return result


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def official(golden: Path, recipe: ModuleType, name: str) -> tuple[Model, dict[str, np.ndarray]]:
    """Return a network with the recipe's weights, and its golden arrays."""
    listed = json.loads((golden / f"{name}_keys.json").read_text())
    with np.load(golden / f"{name}.npz") as opened:
        arrays = dict(opened)
    state = recipe.state_dict(listed["keys"], int(arrays["seed"]), listed["gains"])
    config = registry.recognise({key: value.shape for key, value in state.items()})
    assert config == PUBLISHED[name]
    return Model(config, {key: state[key] for key in registry.tensors(config)}), arrays


@pytest.fixture(scope="module", params=["reference", *PRECISIONS])
def runner(request: pytest.FixtureRequest) -> Callable[..., np.ndarray]:
    if request.param == "reference":
        return run_reference
    return partial(run_native, precision=request.param)


def is_exact(runner: Callable[..., np.ndarray]) -> bool:
    return getattr(runner, "keywords", {}).get("precision") != "bf16"


def test_published_parsenet(golden: Path, recipe: ModuleType, runner: Callable[..., np.ndarray]) -> None:
    if not is_exact(runner):  # what bf16 engines run
        runner = partial(run_native, precision=PARSENET.function("parse_face").on_cpu("bf16"))
    model, z = official(golden, recipe, "parsenet")
    pixels = z["input"][None]
    logits = runner(parse.logits, model, pixels)[0, ::8, ::8]
    assert relative(logits, z["mask_logits_strided"].transpose(1, 2, 0)) < 1e-4
    picture = runner(parse.picture, model, pixels)[0, ::8, ::8]
    assert relative(picture, z["image_strided"].transpose(1, 2, 0)) < 1e-4


def test_labels_of_a_bf16_engine(golden: Path, recipe: ModuleType, photos: Path) -> None:
    """At least 99.9% are those of an fp32 engine: larger tiles of Winograd's form round ten times as much."""
    model, _ = official(golden, recipe, "parsenet")
    with Image.open(photos / "source.jpg") as opened:
        crop = np.asarray(opened.convert("RGB").resize((256, 256)))[None]
    precisions = [PARSENET.function("parse_face").on_cpu(precision) for precision in ("bf16", "fp32")]
    wide, exact = (run_native(parse.classes, model, crop, precision) for precision in precisions)
    assert precisions[0] != precisions[1] and (wide == exact).mean() >= 0.999


def test_published_rrdbnet(golden: Path, recipe: ModuleType, runner: Callable[..., np.ndarray]) -> None:
    model, z = official(golden, recipe, "rrdbnet_x4")
    picture = runner(enlarge, model, z["input"][None])[0, ::2, ::2]
    if is_exact(runner):
        assert np.abs(picture - z["output_strided"]).max() < 1e-3
    else:
        assert psnr(picture.clip(0, 1), z["output_strided"].clip(0, 1)) > 40


def test_published_gpen(golden: Path, recipe: ModuleType, runner: Callable[..., np.ndarray]) -> None:
    model, z = official(golden, recipe, "gpen_512")
    picture = runner(restore, model, z["input"][None])[0]
    found = {"output_strided": picture[::2, ::2], "output_crop": picture[192:320, 192:320]}
    for name, values in found.items():
        if is_exact(runner):
            assert np.abs(values - z[name]).max() < 1e-3
        else:
            assert psnr(values, z[name]) > 40


CALLS = {
    "parsenet": (parse.logits, [(8, 8), (12, 20)]),
    "rrdbnet": (enlarge, [(1, 1), (2, 5), (9, 7), (16, 18)]),
    "gpen": (restore, [(16, 16)]),
}


@pytest.mark.parametrize(("isa", "precision"), kernels())
@pytest.mark.parametrize("name", CALLS)
def test_every_size_gives_what_pytorch_gives(name: str, isa: str, precision: str) -> None:
    model = random_model(SMALL[name], 5)
    call, sizes = CALLS[name]
    for height, width in sizes:
        for batch in (1, 3):
            rng = np.random.default_rng(height)
            pixels = rng.integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
            want = run_reference(call, model, pixels)
            got = run_native(call, model, pixels, precision, isa, guard=True, poison=True)
            assert got.shape == want.shape
            assert relative(got, want) < (2e-5 if precision == "fp32" else 6e-2), (height, width)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("size", [(129, 130), (300, 61), (131, 2)])
def test_tiles_give_the_same_picture_as_the_whole(size: tuple[int, int], precision: str) -> None:
    config = RRDBConfig(features=32, growth=16, blocks=1)
    backend = loaded(native.Native(precision), random_model(config, 2))
    pixels = np.random.default_rng(1).integers(0, 256, (2, *size, 3), dtype=np.uint8)
    ran: list[str] = []

    def run(function: str, array: np.ndarray) -> np.ndarray:
        ran.append(function)
        return backend.run("rrdbnet", function, array)

    tiled = tiles.enlarged(run, pixels)
    whole = backend.run("rrdbnet", "enlarge", pixels)
    assert ran.count("enlarge_colours") > 1 or np.prod(size) <= tiles.SIDE**2
    np.testing.assert_array_equal(tiled, whole)
    np.testing.assert_array_equal(tiles.enlarged(run, pixels, 10_000), whole)


@pytest.mark.parametrize("name", SMALL)
def test_official_files_are_known_by_their_content(name: str, tmp_path: Path) -> None:
    model = random_model(SMALL[name], 1)
    state: dict[str, Any] = {key: torch.from_numpy(value) for key, value in model.tensors.items()}
    content = {"params_ema": state} if name == "rrdbnet" else state
    torch.save(content, tmp_path / "renamed.pth")
    found = weights.load(tmp_path / "renamed.pth", name)
    assert found.config == model.config
    weights.save(found, tmp_path / "converted.safetensors")
    again = weights.load(tmp_path / "converted.safetensors", name)
    assert again.config == model.config
    assert all(np.array_equal(again.tensors[key], value) for key, value in model.tensors.items())


def without(config: Config, *names: str) -> dict[str, tuple[int, ...]]:
    return {key: shape for key, shape in registry.tensors(config).items() if key not in names}


def test_damaged_state_dicts_are_refused() -> None:
    for config, names in (
        (SMALL["parsenet"], ["encoder.0.conv2d.weight"]),
        (SMALL["rrdbnet"], ["conv_first.weight"]),
        (SMALL["gpen"], ["final_linear.0.weight"]),
    ):
        with pytest.raises(WeightsError, match="is missing or misshapen"):
            registry.recognise(without(config, *names))
    shapes = without(SMALL["rrdbnet"]) | {"conv_first.weight": (16, 12, 3, 3)}
    with pytest.raises(WeightsError, match=r"reads 12 channels.*realesrnet_x4\.pth"):
        registry.recognise(shapes)


@pytest.mark.parametrize(
    "fields",
    [
        ("parsenet", {"classes": 1}), ("parsenet", {"widths": (8,)}), ("parsenet", {"blocks": 0}),
        ("rrdbnet", {"features": 3}), ("rrdbnet", {"growth": 4000}), ("rrdbnet", {"blocks": 1000}),
        ("gpen", {"channels": (8,)}), ("gpen", {"latent": 2}), ("gpen", {"mapping": -1}),
    ],
)  # fmt: skip
def test_impossible_configs_are_refused(fields: tuple[str, dict[str, Any]]) -> None:
    kind, changes = fields
    with pytest.raises(WeightsError, match="impossible"):
        registry.from_json(kind, json.dumps(changes))


def test_realesrgan_is_rrdbnet_at_twice_the_width(tmp_path: Path) -> None:
    """Its file is told from RealESRNet's by its width alone; whole and in tiles its pictures are the same."""
    published = registry.tensors(RealESRGANConfig())
    assert registry.recognise(published) == RealESRGANConfig() and type(RealESRGANConfig()) is not RRDBConfig
    assert len(published) == 702 and registry.kind_of(registry.recognise(published)) == "realesrgan"
    assert registry.recognise(registry.tensors(RRDBConfig())) == RRDBConfig()
    model = random_model(RealESRGANConfig(blocks=1), 3)
    torch.save(
        {"params_ema": {k: torch.from_numpy(v) for k, v in model.tensors.items()}},
        tmp_path / "RealESRGAN.pth",
    )
    weights.save(random_model(RRDBConfig(features=16, growth=16, blocks=1), 3), tmp_path / "net.safetensors")
    chosen = weight_folder.chosen(weight_folder.survey(tmp_path), "weights")
    assert set(chosen) == {"realesrgan", "rrdbnet"}
    opened = weights.load(chosen["realesrgan"], "realesrgan")
    pixels = np.random.default_rng(1).integers(0, 256, (1, 9, 140, 3), dtype=np.uint8)
    backend = loaded(Native("fp32"), opened)
    whole = backend.run("realesrgan", "enlarge", pixels)
    assert relative(whole, run_reference(enlarge, opened, pixels)) < 2e-5
    run = partial(backend.run, "realesrgan")
    wide = np.random.default_rng(2).integers(0, 256, (1, 130, 140, 3), dtype=np.uint8)
    np.testing.assert_array_equal(tiles.enlarged(run, wide), run("enlarge", wide))
