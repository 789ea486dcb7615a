"""face-vid2vid: published outputs, a small one on every instruction set, official files."""

from __future__ import annotations

import dataclasses
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

from e4s_engine import ops, weights
from e4s_engine.backends import plans
from e4s_engine.errors import WeightsError
from e4s_engine.networks import registry
from e4s_engine.networks.facevid2vid import reenact as generator
from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig
from e4s_engine.networks.facevid2vid.network import FACEVID2VID
from e4s_engine.networks.facevid2vid.points import key_points
from e4s_engine.networks.facevid2vid.pose import head_pose, read_poses
from e4s_engine.networks.facevid2vid.reenact import reenact
from e4s_engine.networks.network import Function, Input
from e4s_engine.weights import Model, random_model

SMALL = FaceVid2VidConfig(
    points=5, depth=4, features=8, widest=24, levels=2, mixed=4, first=(8, 12, 16), width=16, out=8,
    middle=1, hidden=12, bins=10, pose=8, blocks=(1, 1, 1, 1),
)  # fmt: skip
PRECISIONS = ("fp32", "fp32_wide")  # of fp32 engines, and of bf16 ones
PARTS = ("generator", "kp_detector", "he_estimator")
Run = Callable[..., np.ndarray]


def run_reference(call: Callable[..., Any], model: Model, *arrays: np.ndarray) -> np.ndarray:
    """Run a function over ops in PyTorch; return [N,H,W,C] or vectors."""
    tensors = {name: torch.from_numpy(array) for name, array in model.tensors.items()}
    with torch.inference_mode():
        inputs = (torch.from_numpy(a.transpose(0, 3, 1, 2) if a.ndim == 4 else a) for a in arrays)
        y = call(ops.reference, *inputs, tensors, model.config)
    return y.permute(0, 2, 3, 1).numpy() if y.ndim == 4 else y.numpy()


def run_native(
    call: Callable[..., Any],
    model: Model,
    *arrays: np.ndarray,
    precision: str,
    isa: str = "",
    **options: Any,
) -> np.ndarray:
    """Record a function over ops and run it in the compiled runtime; return [N,H,W,C] or vectors."""
    inputs = tuple(Input.MAPS if array.ndim == 4 else Input.VECTORS for array in arrays)
    function = Function(call, inputs, lambda config: ())
    plan = plans.record(model.config, function, precision, [array.shape for array in arrays])
    store = native.WeightStore(isa)
    store.add(plan, model.tensors)
    result = plans.result_of(plan)
    native.compile_plan(plan, store, isa, **options).run([*arrays, result])
    return result


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def motion(part: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that computes a part of the dense motion from a picture and key points."""

    def call(ops: Any, picture: Any, source: Any, driving: Any, weights: Any, config: Any) -> Any:
        x = generator.appearance(ops, picture, weights, config)
        return part(ops, generator.motion_features(ops, x, source, driving, weights, config), weights, config)

    return call


@dataclasses.dataclass(frozen=True)
class Published:
    model: Model
    z: dict[str, np.ndarray]

    @property
    def pictures(self) -> np.ndarray:
        return np.stack([self.z["source"], self.z["driving"]]) / np.float32(255)


@pytest.fixture(scope="module")
def published(golden: Path, recipe: ModuleType) -> Published:
    """Return the network with the recipe's weights, and its golden arrays."""
    listed = json.loads((golden / "facevid2vid_keys.json").read_text())
    with np.load(golden / "facevid2vid.npz") as opened:
        arrays = dict(opened)
    state: dict[str, np.ndarray] = {}
    for part in PARTS:
        made = recipe.state_dict(listed["keys"][part], int(arrays["seed"]), listed["gains"][part])
        state |= {f"{part}.{name}": value for name, value in made.items()}
    config = registry.recognise({name: value.shape for name, value in state.items()})
    assert config == FaceVid2VidConfig()
    wanted = registry.tensors(config)
    counters = {name for name in state if name.endswith("num_batches_tracked")}
    assert set(state) - set(wanted) == counters | {"kp_detector.down.weight"}
    return Published(Model(config, {name: state[name] for name in wanted}), arrays)


@pytest.fixture(scope="module", params=["reference", *PRECISIONS])
def runner(request: pytest.FixtureRequest) -> Run:
    if request.param == "reference":
        return run_reference
    return partial(run_native, precision=request.param)


def test_published_poses(published: Published, runner: Run) -> None:
    model, z = published.model, published.z
    vectors = np.concatenate([runner(head_pose, model, picture[None]) for picture in published.pictures])
    poses = read_poses(vectors, model.config)
    for index, name in enumerate(("source", "driving")):
        for place, angle in enumerate(("yaw", "pitch", "roll")):
            logits = vectors[index, :, 66 * place : 66 * place + 66]
            assert relative(logits, z[f"he_{name}_{angle}"]) < 1e-3
        assert relative(poses.translation[index], z[f"he_{name}_t"][0]) < 1e-3
        assert relative(poses.expression[index].reshape(-1), z[f"he_{name}_exp"][0]) < 1e-3
        placed = poses.place(z["kp_canonical"])[index]
        assert np.abs(placed - z[f"kp_{name}"][0]).max() < 1e-4


def test_published_key_points(published: Published, runner: Run) -> None:
    points = runner(key_points, published.model, published.pictures[:1])
    assert np.abs(points - published.z["kp_canonical"]).max() < 1e-4


def test_published_motion(published: Published, runner: Run) -> None:
    model, z = published.model, published.z
    inputs = (published.pictures[:1], z["kp_source"], z["kp_driving"])
    logits = runner(motion(generator.occlusion_logits), model, *inputs)[0, :, :, 0]
    assert relative(1 / (1 + np.exp(-logits)), z["occlusion_map"][0, 0]) < 1e-3
    logits = runner(motion(generator.mixture), model, *inputs)[::4, ::8, ::8]
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares = (shares / shares.sum(-1, keepdims=True)).transpose(3, 0, 1, 2)
    assert relative(shares, z["mask_strided"][0]) < 1e-3


def test_published_prediction(published: Published, runner: Run) -> None:
    z = published.z
    inputs = (published.pictures[:1], z["kp_source"], z["kp_driving"])
    picture = runner(reenact, published.model, *inputs)[0]
    assert np.abs(picture - z["prediction"]).max() < 1e-3


def small_inputs(batch: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(batch)
    side, points = SMALL.side, SMALL.points
    pictures = rng.random((batch, side, side, 3), np.float32)
    return pictures, *(rng.uniform(-1, 1, (batch, points, 3)).astype(np.float32) for _ in range(2))


@pytest.mark.parametrize("name", FACEVID2VID.functions)
@pytest.mark.parametrize(("isa", "precision"), kernels())
def test_every_batch_gives_what_pytorch_gives(name: str, isa: str, precision: str) -> None:
    model, function = random_model(SMALL, 5), FACEVID2VID.function(name)
    for batch in (1, 3):
        inputs = small_inputs(batch)[: len(function.inputs)]
        want = run_reference(function.call, model, *inputs)
        got = run_native(function.call, model, *inputs, precision=precision, isa=isa, guard=True, poison=True)
        assert got.shape == want.shape
        if precision == "fp32":
            assert relative(got, want) < 1e-4, batch
        else:  # single pixels of a random motion are unstable
            assert np.abs(got - want).mean() < 3e-2 * np.abs(want).max(), batch


def official_state(model: Model) -> dict[str, dict[str, Any]]:
    """Return a model as the official file holds it, with the constant filter."""
    state: dict[str, dict[str, Any]] = {part: {} for part in PARTS}
    for name, value in model.tensors.items():
        part, _, rest = name.partition(".")
        state[part][rest] = torch.from_numpy(value)
    state["kp_detector"]["down.weight"] = torch.zeros(3, 1, 13, 13)
    return state


def test_official_files_are_known_by_their_content(tmp_path: Path) -> None:
    model = random_model(SMALL, 1)
    others = {"epoch": 189, "optimizer_generator": {"state": {0: torch.zeros(2)}}, "discriminator": {}}
    torch.save(official_state(model) | others, tmp_path / "renamed.pth")
    found = weights.load(tmp_path / "renamed.pth", "facevid2vid")
    assert found.config == SMALL and found.extra == ()
    weights.save(found, tmp_path / "converted.safetensors")
    again = weights.load(tmp_path / "converted.safetensors", "facevid2vid")
    assert again.config == SMALL
    assert all(np.array_equal(again.tensors[key], value) for key, value in model.tensors.items())


def test_the_published_name_of_the_file_is_read(tmp_path: Path) -> None:
    model = random_model(SMALL, 1)
    torch.save(official_state(model), tmp_path / "00000189-checkpoint.pth.tar")
    assert weights.load(tmp_path / "00000189-checkpoint.pth.tar", "facevid2vid").config == SMALL


def test_damaged_state_dicts_are_refused(tmp_path: Path) -> None:
    state = official_state(random_model(SMALL, 1))
    del state["he_estimator"]["fc_yaw.weight"]
    torch.save(state, tmp_path / "damaged.pth")
    with pytest.raises(WeightsError, match=r"fc_yaw.*is missing or misshapen"):
        weights.load(tmp_path / "damaged.pth", "facevid2vid")
    torch.save({"generator": state["generator"]}, tmp_path / "alone.pth")
    with pytest.raises(WeightsError):
        weights.load(tmp_path / "alone.pth", "facevid2vid")


@pytest.mark.parametrize(
    "fields",
    [{"points": 0}, {"features": 2}, {"levels": 9}, {"first": (8,)}, {"blocks": (1,)}, {"width": 4096}],
)
def test_impossible_configs_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="impossible"):
        registry.from_json("facevid2vid", json.dumps(fields))
