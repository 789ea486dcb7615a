"""The runtime around the kernels: threads, memory, choices, and plans that must be refused."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import REGIONS
from native_tools import SMALL, kernels, make_model, native

from e4s_engine import _native, backends, weights
from e4s_engine.config import ParserConfig
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, BackendError, WeightsError

PARSER = ParserConfig(widths=(16, 16, 24, 32, 32), context=16, fusion=32)


@pytest.fixture(scope="module", params=sorted({p for _, p in kernels()}))
def backend(request: pytest.FixtureRequest) -> Any:
    return native.Native(make_model(SMALL), make_model(PARSER), request.param)


def sample(batch: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        rng.integers(0, 256, (batch, 128, 128, 3)).astype(np.uint8),
        rng.integers(0, REGIONS, (batch, 512, 512)).astype(np.uint8),
        rng.standard_normal((batch, REGIONS, SMALL.style_dim)).astype(np.float32),
    )


def test_batches_agree_with_singles(backend: Any) -> None:
    images, labels, styles = sample(3)
    whole = backend.encode(images, labels), backend.decode(styles, labels)
    for i in range(3):
        assert np.array_equal(backend.encode(images[i : i + 1], labels[i : i + 1])[0], whole[0][i])
        assert np.array_equal(backend.decode(styles[i : i + 1], labels[i : i + 1])[0], whole[1][i])


def test_concurrent_runs_are_identical(backend: Any) -> None:
    images, labels, styles = sample(2)
    want = backend.encode(images, labels), backend.decode(styles, labels)
    wrong: list[str] = []

    def work(count: int) -> None:
        for i in range(count):
            batch = 1 + i % 2
            if not np.array_equal(backend.encode(images[:batch], labels[:batch]), want[0][:batch]):
                wrong.append("encode")
            if not np.array_equal(backend.decode(styles[:batch], labels[:batch]), want[1][:batch]):
                wrong.append("decode")

    threads = [threading.Thread(target=work, args=(12,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_arena_shares_memory(backend: Any) -> None:
    plan = native.record_decode(SMALL, backend.precision, 1)
    store = native.WeightStore()
    store.add(plan, make_model(SMALL).tensors)
    compiled = native.compile_plan(plan, store)
    assert compiled.arena_bytes < 0.7 * compiled.unshared_bytes
    assert "regional_conv" in str(plan)
    text = backend.describe()
    assert all(word in text for word in ("encode:", "decode:", "parse:", "offset", "without reuse"))


def test_parse_reads_both_sizes(backend: Any) -> None:
    rng = np.random.default_rng(0)
    for side in (512, 1024):
        classes = backend.parse(rng.integers(0, 256, (1, side, side, 3)).astype(np.uint8))
        assert classes.shape == (1, 512, 512) and classes.max() < 19


def test_labels_do_not_depend_on_the_precision(backend: Any) -> None:
    image = np.random.default_rng(1).integers(0, 256, (1, 512, 512, 3)).astype(np.uint8)
    exact = native.Native(make_model(SMALL), make_model(PARSER), "fp32")
    assert np.array_equal(backend.parse(image), exact.parse(image))


def test_labels_beyond_the_regions_are_refused(backend: Any) -> None:
    images, labels, styles = sample(1)
    labels[0, 3, 4] = REGIONS
    with pytest.raises(ArgumentError, match="labels"):
        backend.decode(styles, labels)
    with pytest.raises(ArgumentError, match="labels"):
        backend.encode(images, labels)


def test_choices() -> None:
    model = make_model(SMALL)
    chosen = backends.create(model, None, "auto", "auto", "auto")
    assert (chosen.name, chosen.device) == ("native", "cpu")
    assert chosen.precision == ("bf16" if _native.kernels("")[1] else "fp32")
    assert native.Native(model, None, isa="portable").precision == "fp32"
    for precision in sorted({precision for _, precision in kernels()}):
        assert backends.create(model, None, "auto", "cpu", precision).precision == precision
    with pytest.raises(BackendError, match="fp16"):
        backends.create(model, None, "native", "cpu", "fp16")
    with pytest.raises(BackendError, match="bf16"):
        native.Native(model, None, "bf16", isa="portable")
    with pytest.raises(ArgumentError, match="E4S_ISA"):
        native.Native(model, None, isa="sse9")
    if not _native.cpu_features()["amx_bf16"]:
        with pytest.raises(BackendError, match="amx"):
            native.Native(model, None, isa="amx")


def test_environment_overrides() -> None:
    code = (
        "from e4s_engine import _native; from native_tools import *;"
        "print(native.Native(make_model(SMALL), None).isa, _native.threads())"
    )
    env = {**os.environ, "E4S_ISA": "portable", "E4S_THREADS": "3", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["portable", "3"]


def test_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from native_tools import *\n"
        "b = native.Native(make_model(SMALL), None)\n"
        "s = b.encode(np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 512, 512), np.uint8))\n"
        "print(b.decode(s, np.zeros((1, 512, 512), np.uint8)).shape)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "(1, 32, 32, 3)"


@pytest.mark.parametrize("backend_name", backends.BACKENDS[1:])
def test_nan_in_a_tensor_the_runtime_does_not_read(tmp_path: Path, backend_name: str) -> None:
    model = make_model(SMALL)
    name = "encoder.body.0.res_layer.5.fc1.weight"  # behind a mean of zeros: not part of any plan
    bad = {**model.tensors, name: np.full_like(model.tensors[name], np.nan)}
    weights.save(weights.Model(SMALL, bad), tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=f"weights: .*NaN or infinity in {name}"):
        Engine(tmp_path / "model.safetensors", device="cpu", backend=backend_name)


def described() -> tuple[list[dict[str, Any]], list[dict[str, Any]], Any, list[np.ndarray]]:
    """A whole decode plan as the binding takes it, its weights and arrays to run it on."""
    plan = native.record_decode(SMALL, "fp32", 1)
    store = native.WeightStore()
    store.add(plan, make_model(SMALL).tensors)
    buffers = [dict(vars(buffer)) for buffer in plan.buffers]
    steps = [
        {"kind": s.kind, "buffers": dict(s.buffers), "numbers": {k: float(v) for k, v in s.numbers.items()},
         "weights": {k: [store.number(w) for w in ws] for k, ws in s.weights.items()}}
        for s in plan.steps
    ]  # fmt: skip
    _, labels, styles = sample(1)
    return buffers, steps, store.packed, [styles, labels, np.empty((1, 32, 32, 3), np.float32)]


def mutate(rng: np.random.Generator, buffers: list[dict[str, Any]], steps: list[dict[str, Any]]) -> None:
    kind = rng.integers(0, 5)
    buffer, step = buffers[rng.integers(len(buffers))], steps[rng.integers(len(steps))]
    if kind == 0:
        shape = list(buffer["shape"])
        shape[rng.integers(4)] = int(rng.choice([-1, 0, 1, 2, 3, 16, 33, 64, 1 << 21]))
        buffer["shape"] = tuple(shape)
    elif kind == 1:
        field = str(rng.choice(["type", "halo", "external", "limit"]))
        buffer[field] = (
            str(rng.choice(["f32", "bf16", "u8"])) if field == "type" else int(rng.integers(-2, 20))
        )
    elif kind == 2 and step["buffers"]:
        step["buffers"][str(rng.choice(list(step["buffers"])))] = int(rng.integers(-1, len(buffers) + 1))
    elif kind == 3 and step["weights"]:
        listed = step["weights"][str(rng.choice(list(step["weights"])))]
        listed[rng.integers(len(listed))] = int(rng.integers(-1, 80))
    elif step["numbers"]:
        step["numbers"][str(rng.choice(list(step["numbers"])))] = float(
            rng.choice([-1, 0, 0.5, 1, 2, 1e9, np.nan])
        )


def test_broken_plans_are_refused_or_harmless() -> None:
    count = int(os.environ.get("E4S_FUZZ", "1500"))
    rng = np.random.default_rng(0)
    buffers, steps, weights, arrays = described()
    refused = 0
    for _ in range(count):
        broken = copy.deepcopy((buffers, steps))
        for _ in range(rng.integers(1, 3)):
            mutate(rng, *broken)
        try:
            _native.Plan(*broken, weights, guard=True).run(arrays)
        except ArgumentError as error:
            assert "beyond" not in str(error)
            refused += 1
    assert refused > count // 2


def test_wrong_arrays_are_refused() -> None:
    buffers, steps, weights, arrays = described()
    plan = _native.Plan(buffers, steps, weights)
    plan.run(arrays)
    for broken in (
        arrays[:2],
        [arrays[0][:, :5], *arrays[1:]],
        [arrays[0], arrays[1].transpose(0, 2, 1), arrays[2]],
        [arrays[0].astype(np.float64), *arrays[1:]],
    ):
        with pytest.raises((ArgumentError, TypeError)):
            plan.run(broken)
    arrays[2].flags.writeable = False
    with pytest.raises(ArgumentError, match="read-only"):
        plan.run(arrays)
