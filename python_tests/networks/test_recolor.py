"""Re-colouring and inpainting: published outputs, small ones on every instruction set, official files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from native_tools import kernels, native

from e4s_engine import ops, weights
from e4s_engine.backends import plans
from e4s_engine.backends.native import Native
from e4s_engine.backends.reference import Reference
from e4s_engine.errors import WeightsError
from e4s_engine.networks import registry
from e4s_engine.networks.inpaint import fill
from e4s_engine.networks.inpaint.config import InpaintConfig
from e4s_engine.networks.network import Config, Function, Input
from e4s_engine.networks.recolor.config import RecolorConfig
from e4s_engine.photo import images
from e4s_engine.pipeline import inpaint, recolor
from e4s_engine.testing.loaded import loaded
from e4s_engine.testing.metrics import psnr
from e4s_engine.weights import Model, random_model

SMALL: dict[str, Config] = {
    "recolor": RecolorConfig(layers=(8, 8, 16, 24, 16), features=12, hidden=8, unet=(8, 12, 16, 24), side=64),
    "inpaint": InpaintConfig(channels=(24, 16, 8), narrow=12, latent=32),
}
TYPES = {4: Input.MAPS, 3: Input.VECTORS}
PRECISIONS = sorted({precision for _, precision in kernels()})


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@dataclasses.dataclass(frozen=True)
class Published:
    """A network with the recipe's weights on one backend, and its golden arrays."""

    run: Any
    z: dict[str, np.ndarray]
    exact: bool
    native: bool


def official(golden: Path, recipe: ModuleType, name: str) -> tuple[dict[str, np.ndarray], Any]:
    listed = json.loads((golden / f"{name}_keys.json").read_text())
    with np.load(golden / f"{name}.npz") as opened:
        arrays = dict(opened)
    return recipe.state_dict(listed["keys"], int(arrays["seed"]), listed["gains"]), arrays


@pytest.fixture(scope="module", params=["reference", *PRECISIONS])
def backend(request: pytest.FixtureRequest) -> Any:
    return Reference("cpu", "fp32") if request.param == "reference" else Native(request.param)


@pytest.fixture(scope="module")
def colours(golden: Path, recipe: ModuleType, backend: Any) -> Published:
    state, z = official(golden, recipe, "recolor")
    config = registry.recognise({key: value.shape for key, value in state.items()})
    assert config == RecolorConfig()
    wanted = registry.tensors(config)
    assert {key for key in state if key not in wanted} == {k for k in state if "num_batches" in k}
    model = Model(config, {key: np.asarray(state[key]) for key in wanted})
    return Published(loaded(backend, model).run, z, backend.precision == "fp32", backend.name == "native")


@pytest.fixture(scope="module")
def holes(golden: Path, recipe: ModuleType, backend: Any) -> Published:
    """Return the inpainting network with the golden's noise."""
    state, z = official(golden, recipe, "inpaint_gcfsr")
    assert registry.recognise({key: value.shape for key, value in state.items()}) == InpaintConfig()
    config = InpaintConfig(own_noise=1)
    for i, side in enumerate(config.noise_sides()):
        state[f"noise.{i}"] = recipe.tensor(f"run.noises.{i}", (1, 1, side, side), int(z["seed"]))
    model = Model(config, {key: state[key] for key in registry.tensors(config)})
    return Published(loaded(backend, model).run, z, backend.precision == "fp32", backend.name == "native")


def as_bytes(picture: np.ndarray) -> np.ndarray:
    return np.rint(picture.clip(0, 1) * 255).astype(np.uint8)


def parts_at_256(classes: np.ndarray) -> np.ndarray:
    """Return the parts of BiSeNet's classes at the network's own size, where no resize changes them."""
    assert classes.shape == (recolor.SIDE, recolor.SIDE)
    return recolor.published_parts(classes)


def test_published_recolouring(colours: Published) -> None:
    z, bound = colours.z, 1e-4 if colours.exact else 8e-2
    own, other = (
        recolor.see(z[f"image_{which}"], parts_at_256(z[f"labels_{which}"]), colours.run) for which in "at"
    )
    for which, seen in (("a", own), ("t", other)):
        features = seen.features.transpose(2, 0, 1)[::8, ::4, ::4]
        assert relative(features, z[f"features_{which}_strided"]) < bound
    package = recolor.package(own, other, colours.run)
    assert np.abs(package.transpose(2, 0, 1)[:, ::4, ::4] - z["package_strided"]).max() < bound
    assert np.abs(package[::4, ::4, :3][:, :, 0]).max() > 0
    predicted = recolor.predict(own, other, colours.run)
    if not colours.exact:
        assert psnr(as_bytes(predicted[::2, ::2]), as_bytes(z["prediction_strided"])) > 40
        return
    assert np.abs(predicted[::2, ::2] - z["prediction_strided"]).max() < 1e-4
    assert np.abs(predicted[96:160, 96:160] - z["prediction_crop"]).max() < 1e-4
    if colours.native:
        mirrored = recolor.see(z["image_t"], other.parts, colours.run, mirrored=True)
        flipped = recolor.predict(own, mirrored, colours.run)
        assert np.abs(flipped[::2, ::2] - z["flipped_prediction_strided"]).max() < 1e-4


def test_published_wrapper(colours: Published, photos: Path) -> None:
    """The published quirk: label maps resized as pictures."""
    if not (colours.exact and colours.native):
        pytest.skip("once is enough: the networks are those of the test above")
    seen = []
    for which, name in (("a", "source"), ("t", "target")):
        picture = recolor.small(images.read(photos / f"{name}.jpg"))
        seen.append(recolor.see(picture, parts_at_256(colours.z[f"wrapper_labels_{which}"]), colours.run))
    found = (recolor.predict(*seen, colours.run) * np.float32(255)).astype(np.uint8)[::2, ::2]
    off = np.abs(found.astype(int) - colours.z["wrapper_output"])
    assert off.max() <= 1 and (off > 0).sum() <= 5


def test_published_inpainting(holes: Published, photos: Path) -> None:
    z = holes.z
    picture = images.read(photos / f"{z['names'][1]}.jpg")
    np.testing.assert_array_equal(recolor.small(picture), z["image"])
    mask = z["mask"][..., None]
    holed = np.concatenate([np.where(mask, 0, z["image"] / np.float32(255)), mask], 2, dtype=np.float32)
    raw = holes.run("inpaint", "fill", holed[None], z["condition"].reshape(1, 1, 1))[0]
    if not holes.exact:
        assert psnr(as_bytes(raw[::2, ::2]), as_bytes(z["raw_strided"])) > 40
        return
    assert relative(raw[::2, ::2], z["raw_strided"]) < 1e-4
    assert relative(raw[160:224, 32:96], z["raw_crop"]) < 1e-4
    found = inpaint.fill(picture, z["hole_mask"], holes.run)[::2, ::2].astype(int)
    off = np.abs(found - z["output"])
    assert off.max() <= 1 and (off > 0).sum() <= 5


def test_published_encoder(golden: Path, recipe: ModuleType) -> None:
    state, z = official(golden, recipe, "inpaint_gcfsr")
    tensors = {key: torch.from_numpy(state[key]) for key in registry.tensors(InpaintConfig())}
    mask = z["mask"][..., None]
    holed = np.concatenate([np.where(mask, 0, z["image"] / np.float32(255)), mask], 2, dtype=np.float32)
    with torch.inference_mode():
        x = torch.from_numpy(holed.transpose(2, 0, 1))[None]
        coarse = fill.encode(ops.reference, x, tensors, InpaintConfig())[0]
        styles = fill.latent(ops.reference, coarse, tensors, InpaintConfig())
    assert relative(coarse[0, ::8].numpy(), z["encoded_strided"]) < 1e-4
    assert relative(styles[0, 0].numpy(), z["latent"]) < 1e-4


def small_inputs(name: str, batch: int) -> list[np.ndarray]:
    """Return inputs of a small network's function. name: network.function."""
    rng = np.random.default_rng(batch)
    normal = rng.standard_normal
    if name == "inpaint.fill":
        return [normal((batch, 64, 64, 4), np.float32), rng.random((batch, 1, 1), np.float32)]
    if name == "recolor.references":
        maps = [normal((batch, 16, 16, 12), np.float32) for _ in range(2)]
        parts = [rng.integers(0, 5, (batch, 16, 16)).astype(np.uint8) for _ in range(2)]
        return [*maps, *parts, rng.random((batch, 16, 16, 3), np.float32)]
    return [normal((batch, 64, 64, 3 if name == "recolor.features" else 12), np.float32)]


@pytest.mark.parametrize(("isa", "precision"), kernels())
@pytest.mark.parametrize("name", ["recolor.features", "recolor.references", "recolor.colour", "inpaint.fill"])
def test_every_batch_gives_what_pytorch_gives(name: str, isa: str, precision: str) -> None:
    kind, _, called = name.partition(".")
    model, function = random_model(SMALL[kind], 5), registry.get(kind).function(called)
    tensors = {key: torch.from_numpy(np.asarray(value)) for key, value in model.tensors.items()}
    for batch in (1, 3):
        inputs = small_inputs(name, batch)
        with torch.inference_mode():
            ready = (torch.from_numpy(a.transpose(0, 3, 1, 2) if a.ndim == 4 else a) for a in inputs)
            want = function.call(ops.reference, *ready, tensors, model.config).permute(0, 2, 3, 1).numpy()
        got = run_small(model, function, inputs, precision, isa)
        assert got.shape == want.shape
        if precision == "fp32":
            assert relative(got, want) < 1e-4, batch
        else:  # a random U-Net without batch statistics amplifies single pixels
            assert np.abs(got - want).mean() < 2e-2 * np.abs(want).max(), batch


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["recolor.features", "recolor.references", "recolor.colour", "inpaint.fill"])
def test_threads_and_batches_change_no_bit(name: str, precision: str) -> None:
    kind, _, called = name.partition(".")
    model, function = random_model(SMALL[kind], 6), registry.get(kind).function(called)
    inputs = small_inputs(name, 3)
    whole = run_small(model, function, inputs, precision)
    np.testing.assert_array_equal(run_small(model, function, inputs, precision, threads=1), whole)
    for i in range(3):
        alone = run_small(model, function, [array[i : i + 1] for array in inputs], precision)
        np.testing.assert_array_equal(alone[0], whole[i])


@pytest.mark.parametrize(("isa", "precision"), kernels())
@pytest.mark.parametrize("name", ["recolor.colour", "inpaint.fill"])
def test_a_box_has_the_bits_of_the_whole(name: str, isa: str, precision: str) -> None:
    """Blocks are filled with NaN before their first step: a read of what was not computed would show."""
    kind, _, called = name.partition(".")
    model, function = random_model(SMALL[kind], 7), registry.get(kind).function(called)
    inputs = small_inputs(name, 2)
    whole = run_small(model, function, inputs, precision, isa)
    for box in ((0, 0, 64, 64), (10, 13, 31, 40), (63, 0, 64, 9), (32, 32, 33, 33)):
        part = run_small(model, function, inputs, precision, isa, box=box)
        top, left, bottom, right = box
        window = np.s_[:, top:bottom, left:right]
        np.testing.assert_array_equal(part[window], whole[window])


def test_a_box_takes_a_part_of_the_work() -> None:
    backend = Native("fp32")
    for kind, called in (("recolor", "colour"), ("inpaint", "fill")):
        loaded(backend, random_model(SMALL[kind], 1))
        shares = [backend.share(kind, called, (0, 0, side, side)) for side in (4, 16, 64)]
        assert shares == sorted(shares) and shares[0] < 0.8 and shares[2] == 1


def run_small(
    model: Model,
    function: Function,
    inputs: list[np.ndarray],
    precision: str,
    isa: str = "",
    threads: int = 0,
    box: tuple[int, ...] | None = None,
) -> np.ndarray:
    plan = plans.record(model.config, function, precision, [array.shape for array in inputs])
    store = native.WeightStore(isa)
    store.add(plan, model.tensors)
    result = plans.result_of(plan)
    compiled = native.compile_plan(plan, store, isa, guard=True, poison=True, threads=threads)
    compiled.run([*inputs, result], box=box)
    return result


@pytest.mark.parametrize("temperature", [0.0, 300.0, -300.0])
def test_attention_at_any_temperature(temperature: float) -> None:
    """Shares far below the largest vanish, of no key as of those that a block of vectors lacks."""
    function = registry.get("recolor").function("references")
    tensors = {"referencer.trainable_tao": np.array(temperature, np.float32)}
    inputs = small_inputs("recolor.references", 2)
    inputs[2][:] = inputs[3][:] = 1  # one part of 256 pixels, and one of a single pixel
    inputs[2][:, 3, 5] = inputs[3][:, 3, 5] = 2
    inputs[1] = inputs[0] * np.float32(np.sign(temperature) or 1)  # every query's best key is its own pixel
    with torch.inference_mode():
        ready = (torch.from_numpy(a.transpose(0, 3, 1, 2) if a.ndim == 4 else a) for a in inputs)
        weights_of = {name: torch.from_numpy(value) for name, value in tensors.items()}
        want = function.call(ops.reference, *ready, weights_of, SMALL["recolor"]).permute(0, 2, 3, 1).numpy()
    model = Model(SMALL["recolor"], dict(random_model(SMALL["recolor"], 5).tensors) | tensors)
    for isa in {isa for isa, _ in kernels()}:
        assert np.abs(run_small(model, function, inputs, "fp32", isa) - want).max() < 1e-4
        if temperature:
            assert np.abs(want - inputs[4]).max() < 0.05


def test_attention_keeps_no_matrix_of_scores() -> None:
    """At the published size all pixels of one part attend to all others: 64 MB of scores are never kept."""
    function = registry.get("recolor").function("references")
    shapes = [(1, *shape) for shape in function.examples(RecolorConfig())]
    plan = plans.record(RecolorConfig(), function, "fp32", shapes)
    store = native.WeightStore()
    store.add(plan, {"referencer.trainable_tao": np.array(10, np.float32)})
    compiled = native.compile_plan(plan, store)
    assert compiled.arena_bytes < 32e6
    rng = np.random.default_rng(0)
    maps = [rng.standard_normal(shape, np.float32) for shape in shapes[:2]]
    parts = [np.ones(shape, np.uint8) for shape in shapes[2:4]]
    result = plans.result_of(plan)
    compiled.run([*maps, *parts, rng.random(shapes[4], np.float32), result])
    assert np.isfinite(result).all() and result.min() > 0 and result.max() < 1


def test_the_noise_is_fixed() -> None:
    model = random_model(SMALL["inpaint"], 1)
    run = loaded(Native("fp32"), model).run
    inputs = small_inputs("inpaint.fill", 1)
    first, second = run("inpaint", "fill", *inputs), run("inpaint", "fill", *inputs)
    np.testing.assert_array_equal(first, second)
    config = dataclasses.replace(model.config, own_noise=1)
    silent = {name: np.zeros(shape, np.float32) for name, shape in registry.tensors(config).items()}
    other = Model(config, silent | dict(model.tensors))
    assert np.abs(loaded(Native("fp32"), other).run("inpaint", "fill", *inputs) - first).max() > 1e-3


@pytest.mark.parametrize("kind", SMALL)
def test_official_files_are_known_by_their_content(kind: str, tmp_path: Path) -> None:
    config = SMALL[kind]
    if kind == "recolor":
        config = dataclasses.replace(config, side=256)
    model = random_model(config, 1)
    state: dict[str, Any] = {key: torch.from_numpy(np.asarray(value)) for key, value in model.tensors.items()}
    if kind == "inpaint":
        state |= {f"noises.noise{i}": torch.zeros(1, 1, 4, 4) for i in range(9)}
    torch.save({"params_ema": state} if kind == "inpaint" else state, tmp_path / "renamed.pth")
    found = weights.load(tmp_path / "renamed.pth", kind)
    assert found.config == config and found.extra == ()
    weights.save(found, tmp_path / "converted.safetensors")
    again = weights.load(tmp_path / "converted.safetensors", kind)
    assert again.config == config
    assert all(np.array_equal(again.tensors[key], value) for key, value in model.tensors.items())


def test_damaged_state_dicts_are_refused(tmp_path: Path) -> None:
    for kind, missing in (
        ("recolor", "unet.res_en_layer3.conv1.weight"),
        ("inpaint", "final_down2.1.weight"),
    ):
        state = {k: torch.from_numpy(np.asarray(v)) for k, v in random_model(SMALL[kind], 1).tensors.items()}
        del state[missing]
        torch.save(state, tmp_path / "damaged.pth")
        with pytest.raises(WeightsError, match="is missing or misshapen"):
            weights.load(tmp_path / "damaged.pth", kind)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("recolor", {"layers": (64,)}),
        ("recolor", {"side": 250}),
        ("recolor", {"features": 2}),
        ("inpaint", {"channels": (8,)}),
        ("inpaint", {"latent": 5000}),
        ("inpaint", {"own_noise": 2}),
    ],
)
def test_impossible_configs_are_refused(kind: str, fields: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="impossible"):
        registry.from_json(kind, json.dumps(fields))
