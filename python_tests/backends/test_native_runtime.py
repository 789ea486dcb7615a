"""The runtime around the kernels: threads, memory, the choice of kernels, and plans to refuse."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import CASES, REGIONS
from native_tools import EMULATED, SMALL, kernels, make_model, native, record_case

from benchmarks.soak import soak
from e4s_engine import _native, backends, weights
from e4s_engine.backends.plans import example
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, BackendError, WeightsError
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.testing.loaded import loaded

PARSER = ParserConfig(widths=(16, 16, 24, 32, 32), context=16, fusion=32)


@pytest.fixture(scope="module", params=sorted({p for _, p in kernels()}))
def backend(request: pytest.FixtureRequest) -> Any:
    return loaded(native.Native(request.param), make_model(SMALL), make_model(PARSER))


def sample(batch: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        rng.integers(0, 256, (batch, 128, 128, 3)).astype(np.uint8),
        rng.integers(0, REGIONS, (batch, 512, 512)).astype(np.uint8),
        rng.standard_normal((batch, REGIONS, SMALL.style_dim)).astype(np.float32),
    )


def test_batches_agree_with_singles(backend: Any) -> None:
    images, labels, styles = sample(3)
    whole = backend.run("rgi", "encode", images, labels), backend.run("rgi", "decode", styles, labels)
    for i in range(3):
        assert np.array_equal(
            backend.run("rgi", "encode", images[i : i + 1], labels[i : i + 1])[0], whole[0][i]
        )
        assert np.array_equal(
            backend.run("rgi", "decode", styles[i : i + 1], labels[i : i + 1])[0], whole[1][i]
        )


def test_500_swaps_from_four_threads(backend: Any) -> None:
    images, labels, _ = sample(4)
    report = soak(backend, images, labels, 500, 4)
    assert report.wrong == 0
    # Sanitized builds keep freed memory.
    if report.grown_mb is not None and _native.__version__ != "sanitized":
        assert report.grown_mb < 4


def test_threads_store_weights_at_once() -> None:
    """Every call gets a number of its own, with the GIL and without."""
    store, vector = _native.Weights(), np.ones(16, np.float32)
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: store.add_vector(vector), range(2000)))
    assert sorted(numbers) == list(range(2000)) and store.bytes == 2000 * vector.nbytes


def test_arena_shares_memory(backend: Any) -> None:
    plan = example(SMALL, "decode", backend.precision)
    store = native.WeightStore()
    store.add(plan, make_model(SMALL).tensors)
    compiled = native.compile_plan(plan, store)
    assert compiled.arena_bytes < 0.7 * compiled.unshared_bytes
    assert "regional_conv" in str(plan)
    text = backend.describe()
    assert all(word in text for word in ("encode:", "decode:", "parse:", "offset", "without reuse"))


def test_the_table_says_how_convolutions_run() -> None:
    case = next(case for case in CASES if case.name.startswith("conv-64-80-k3s1-16x18"))
    plan = record_case(case, "fp32")[0]
    text = plan.table(form=lambda step: native.WeightStore().form(plan, step))
    assert text.count("winograd") == 1 and "winograd" not in plan.table()


def test_parse_reads_both_sizes(backend: Any) -> None:
    rng = np.random.default_rng(0)
    for side in (512, 1024):
        classes = backend.run("parser", "parse", rng.integers(0, 256, (1, side, side, 3)).astype(np.uint8))
        assert classes.shape == (1, 512, 512) and classes.max() < 19


def test_labels_do_not_depend_on_the_precision(backend: Any) -> None:
    image = np.random.default_rng(1).integers(0, 256, (1, 512, 512, 3)).astype(np.uint8)
    exact = loaded(native.Native("fp32"), make_model(SMALL), make_model(PARSER))
    assert np.array_equal(backend.run("parser", "parse", image), exact.run("parser", "parse", image))


def test_labels_beyond_the_regions_are_refused(backend: Any) -> None:
    images, labels, styles = sample(1)
    labels[0, 3, 4] = REGIONS
    with pytest.raises(ArgumentError, match="labels"):
        backend.run("rgi", "decode", styles, labels)
    with pytest.raises(ArgumentError, match="labels"):
        backend.run("rgi", "encode", images, labels)


def test_choices() -> None:
    model = make_model(SMALL)
    chosen = backends.create([model], "auto", "auto", "auto")
    assert (chosen.name, chosen.device) == ("native", "cpu")
    assert chosen.precision == ("bf16" if _native.kernels("")[1] else "fp32")
    assert native.Native(isa="portable").precision == "fp32"
    for precision in sorted({precision for _, precision in kernels()}):
        assert backends.create([model], "auto", "cpu", precision).precision == precision
    with pytest.raises(BackendError, match="fp16"):
        backends.create([model], "native", "cpu", "fp16")
    with pytest.raises(BackendError, match="bf16"):
        native.Native("bf16", isa="portable")
    with pytest.raises(ArgumentError, match="E4S_ISA"):
        native.Native(isa="sse9")
    assert _native.kernels("")[0] != "amx"  # until it has run on a processor with AMX
    if not _native.cpu_features()["amx_bf16"]:
        with pytest.raises(BackendError, match="amx"):
            native.Native(isa="amx")


def test_networks_on_emulated_amx() -> None:
    images, labels, styles = sample(1)
    exact = loaded(native.Native("fp32", isa="portable"), make_model(SMALL))
    tiles = loaded(native.Native("bf16", isa=EMULATED[0]), make_model(SMALL))
    assert tiles.isa == "amx_emulated"
    for got, want in (
        (tiles.run("rgi", "encode", images, labels), exact.run("rgi", "encode", images, labels)),
        (tiles.run("rgi", "decode", styles, labels), exact.run("rgi", "decode", styles, labels)),
    ):
        assert np.sqrt(np.mean(np.square(got - want))) < 0.03 * np.sqrt(np.mean(np.square(want)))


def test_environment_overrides() -> None:
    code = (
        "from e4s_engine import _native; from native_tools import *;"
        "print(native.Native().isa, _native.threads())"
    )
    env = {**os.environ, "E4S_ISA": "portable", "E4S_THREADS": "3", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["portable", "3"]


def test_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from native_tools import *\n"
        "from e4s_engine.testing.loaded import loaded\n"
        "b = loaded(native.Native(), make_model(SMALL))\n"
        "s = b.run('rgi', 'encode', np.zeros((1, 64, 64, 3), np.uint8), np.zeros((1, 512, 512), np.uint8))\n"
        "print(b.run('rgi', 'decode', s, np.zeros((1, 512, 512), np.uint8)).shape)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "(1, 32, 32, 3)"


@pytest.mark.parametrize("backend_name", backends.BACKENDS[1:])
def test_nan_in_a_tensor_the_runtime_does_not_read(tmp_path: Path, backend_name: str) -> None:
    model = make_model(SMALL)
    name = "encoder.body.0.res_layer.5.fc1.weight"  # it follows a mean of zeros: not part of any plan
    bad = {**model.tensors, name: np.full_like(model.tensors[name], np.nan)}
    weights.save(weights.Model(SMALL, bad), tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=f"weights: .*NaN or infinity in {name}"):
        Engine(tmp_path / "model.safetensors", device="cpu", backend=backend_name)
