"""A network from outside, by a registry entry alone: every backend here gives what PyTorch gives."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from native_tools import kernels, native
from tiny_tools import TINY

from e4s_engine import ops, weights
from e4s_engine.backends import gather
from e4s_engine.backends.reference import Reference
from e4s_engine.networks import registry
from e4s_engine.networks.network import Function, Input, Network, Shape
from e4s_engine.weights import Model


@dataclasses.dataclass(frozen=True)
class ToyConfig:
    """A few layers that smooth a picture and mark what is bright."""

    width: int = 64


# A name and a shape that RGI has as well: values must not be shared.
SHARED = "encoder.input_layer.0.weight"
SHARED_SHAPE = (TINY.stem, 3, 3, 3)


def tensors(config: ToyConfig) -> dict[str, Shape]:
    width = config.width
    norm = {f"norm.{leaf}": (width,) for leaf in ("weight", "bias", "mean", "var")}
    return {SHARED: SHARED_SHAPE, "slope": (TINY.stem,), "wide": (width, TINY.stem, 3, 3), **norm,
            "same": (width, width, 3, 3), "bias": (width,), "last": (5, width, 1, 1)}  # fmt: skip


def features(ops: Any, pixels: Any, w: Any, config: ToyConfig) -> Any:
    x = ops.conv2d(ops.from_uint8(pixels, -1, 1), w[SHARED], prelu=w["slope"])
    x = ops.conv2d(x, w["wide"], relu=True)
    x = ops.batch_norm(x, *(w[f"norm.{leaf}"] for leaf in ("weight", "bias", "mean", "var")))
    return ops.add(ops.conv2d(x, w["same"], bias=w["bias"]), x, relu=True)


def smooth(ops: Any, pixels: Any, w: Any, config: ToyConfig) -> Any:
    return ops.conv2d(features(ops, pixels, w, config), w["last"])


def mark(ops: Any, pixels: Any, w: Any, config: ToyConfig) -> Any:
    return ops.argmax(smooth(ops, pixels, w, config))


TOY = Network(
    kind="toy",
    title="a toy",
    config=ToyConfig,
    tensors=tensors,
    infer=lambda shapes: ToyConfig(shapes["wide"][0]),
    recognise=lambda shapes: "wide" in shapes,
    functions={
        "smooth": Function(smooth, (Input.PIXELS,), lambda config: ((32, 32, 3),), at_once=2, free=True),
        "mark": Function(mark, (Input.PIXELS,), lambda config: ((32, 32, 3),), free=True),
    },
)
SIDES = (1, 2, 3, 8, 14, 31, 32, 33, 64, 97, 200)


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.NETWORKS, "toy", TOY)


@pytest.fixture
def model() -> Model:
    rng = np.random.default_rng(5)
    made = {}
    for name, shape in tensors(ToyConfig()).items():
        values = rng.standard_normal(shape, dtype=np.float32)
        values /= np.float32(np.prod(shape[1:]) ** 0.5)
        made[name] = np.abs(values) + np.float32(0.5) if name == "norm.var" else values
    return Model(ToyConfig(), made)


def pixels(side: int, batch: int) -> np.ndarray:
    return np.random.default_rng(side).integers(0, 256, (batch, side, max(side - 1, 1), 3), dtype=np.uint8)


def expected(model: Model, function: str, picture: np.ndarray) -> np.ndarray:
    w = {name: torch.from_numpy(array) for name, array in model.tensors.items()}
    result = TOY.function(function).call(ops.reference, torch.from_numpy(picture), w, model.config)
    return (result if result.ndim == 3 else result.permute(0, 2, 3, 1)).numpy()


def backends() -> Iterator[Any]:
    """Every backend that runs on this machine, as (name, how to make it, tolerance)."""
    yield pytest.param(lambda: Reference("cpu", "fp32"), 1e-5, id="reference")
    for isa, precision in kernels():
        tolerance = 2e-5 if precision == "fp32" else 4e-2
        make = functools.partial(native.Native, precision, isa=isa)
        yield pytest.param(make, tolerance, id=f"{isa}-{precision}")
    yield pytest.param(lambda: gather.Gathered(native.Native("fp32"), 4, 0), 2e-5, id="gathered")


@pytest.mark.parametrize(("make", "tolerance"), list(backends()))
def test_a_toy_gives_what_pytorch_gives(make: Callable[[], Any], tolerance: float, model: Model) -> None:
    backend = make()
    rgi = weights.random_model(TINY)
    assert rgi.tensors[SHARED].shape == SHARED_SHAPE
    backend.load("rgi", rgi)
    backend.load("toy", model)
    with torch.inference_mode():
        for side in SIDES:
            for batch in (1, 3):
                picture = pixels(side, batch)
                want = expected(model, "smooth", picture)
                got = backend.run("toy", "smooth", picture)
                assert got.shape == want.shape and got.dtype == np.float32
                assert np.abs(got - want).max() <= tolerance * np.abs(want).max(), side
                if tolerance < 1e-3:
                    marks = backend.run("toy", "mark", picture)
                    assert (
                        marks.dtype == np.uint8 and (marks == expected(model, "mark", picture)).mean() > 0.999
                    )


def test_its_files_are_files_like_any_other(model: Model, tmp_path: Path) -> None:
    file = tmp_path / "toy.safetensors"
    weights.save(model, file)
    opened = weights.open_model(file, "toy")
    assert opened.config == model.config
    backend = native.Native("fp32")
    backend.load("toy", opened)
    picture = pixels(31, 1)  # in another form than the one that was packed: read from the file once more
    want = expected(model, "smooth", picture)
    np.testing.assert_allclose(backend.run("toy", "smooth", picture), want, atol=1e-4)
    torch.save({name: torch.from_numpy(array) for name, array in model.tensors.items()}, tmp_path / "toy.pth")
    assert weights.convert(tmp_path / "toy.pth", tmp_path / "again.safetensors").config == model.config
    assert "smooth: " in backend.describe() and "mark: " in backend.describe()


def test_the_cuda_backend_lays_it_out(model: Model) -> None:
    """No device is needed to see that its plans become launches."""
    from e4s_engine.backends import plans
    from e4s_engine.kernels.launch import Program

    program = Program(plans.example(model.config, "smooth", "bf16", 3))
    assert {launch.kernel for launch in program.launches} >= {"conv2d.conv2d", "affine.affine"}
    assert all(packed.key[0].startswith(("toy/", "filled", "slopes")) for packed in program.packed())
