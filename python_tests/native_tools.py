"""Helpers of the native tests: kernels that this machine runs, small models, goldens."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import REGIONS, Case

from benchmarks.soak import SMALL  # noqa: F401  (tests import it from here)
from e4s_engine.networks import registry
from e4s_engine.networks.bisenet.config import infer_parser
from e4s_engine.networks.network import Config
from e4s_engine.networks.rgi.config import infer_model
from e4s_engine.plan import Plan
from e4s_engine.plan.fuse import fuse
from e4s_engine.weights import Model

native = pytest.importorskip("e4s_engine.backends.native", reason="the compiled extension is not built")


EMULATED = ("amx-emulated", "bf16")  # the kernel for AMX's tiles, with the tiles in plain C++


def kernels() -> list[tuple[str, str]]:
    """Return each (instruction set, precision) that this machine can run; "portable" is always among them."""
    from e4s_engine import _native
    from e4s_engine.errors import BackendError

    pairs = []
    for isa in ("portable", "avx2", "avx512", "amx"):
        try:
            _, has_bf16 = _native.kernels(isa)
        except BackendError:
            continue
        pairs += [(isa, "fp32"), (isa, "bf16")] if has_bf16 else [(isa, "fp32")]
    return pairs


def record_case(case: Case, precision: str) -> tuple[Plan, list[np.ndarray]]:
    """Record a case's plan; return it and the inputs in the order of its externals."""
    plan = Plan(precision)
    symbols: dict[str, Any] = {}
    for name, array in case.inputs.items():
        if name == "pixels":
            symbols[name] = plan.pixels(*array.shape[:3])
        elif name.startswith("labels"):
            symbols[name] = plan.labels(*array.shape, REGIONS)
        else:
            symbols[name] = plan.vectors(*array.shape)
    out = case.network(
        _ops().record, symbols, plan.weights({k: v.shape for k, v in case.weights.items()}, "case")
    )
    plan.output(out)
    return fuse(plan), list(case.inputs.values())


def ready_case(case: Case, precision: str, direct: bool = False) -> tuple[Plan, Any, list[np.ndarray]]:
    """Return a case's plan, its weights, and its inputs followed by an array for the result."""
    plan, inputs = record_case(case, precision)
    store = native.WeightStore(direct=direct)
    store.add(plan, case.weights)
    buffer = plan.buffers[-1]
    result = (
        np.empty(buffer.shape, np.uint8) if buffer.type == "u8" else np.full(buffer.shape, np.nan, np.float32)
    )
    return plan, store, [*inputs, result]


def run_case(case: Case, isa: str, precision: str, threads: int = 0, direct: bool = False) -> np.ndarray:
    """Record and run a case in memory that starts as NaN, with guard bytes after every buffer."""
    plan, store, arrays = ready_case(case, precision, direct)
    compiled = native.compile_plan(plan, store, isa, guard=True, poison=True, threads=threads)
    for _ in range(2):  # the second run starts with the memory that the first left
        compiled.run(arrays)
    return arrays[-1]


def expected(case: Case) -> np.ndarray:
    """Run a case in PyTorch; return [N,H,W,C], [N,1,R,C] or classes [N,H,W,1]."""
    torch = pytest.importorskip("torch", reason="the reference needs PyTorch")
    inputs = {name: torch.from_numpy(array) for name, array in case.inputs.items()}
    weights = {name: torch.from_numpy(array) for name, array in case.weights.items()}
    with torch.inference_mode():
        y = case.network(_ops().reference, inputs, weights)
    if y.dtype == torch.uint8:
        return y.unsqueeze(-1).numpy()
    return y.permute(0, 2, 3, 1).numpy() if y.ndim == 4 else y.unsqueeze(1).numpy()


def _ops() -> Any:
    from e4s_engine import ops

    return ops


def make_model(cfg: Config, seed: int = 0) -> Model:
    """Make a model with random weights that keep activations in range."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in registry.tensors(cfg).items():
        value = rng.standard_normal(shape, dtype=np.float32)
        if name.endswith("running_var"):
            value = 1 + np.abs(value)
        elif len(shape) == 4 and not name.startswith("G."):
            value /= np.float32(np.sqrt(np.prod(shape[1:])))
        elif name.endswith("noise.weight"):
            value *= np.float32(0.1)
        tensors[name] = value
    return Model(cfg, tensors)


def golden_folder() -> Path:
    """Return the folder of the goldens; skip the test if there is none."""
    named = os.environ.get("E4S_GOLDEN")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "golden"
    if not (folder / "recipe.py").is_file():
        pytest.skip(f"no goldens at {folder}; set E4S_GOLDEN")
    return folder


@functools.lru_cache(maxsize=1)
def golden_model(size: int, seed: int) -> Model:
    folder = golden_folder()
    spec = importlib.util.spec_from_file_location("golden_recipe", folder / "recipe.py")
    assert spec is not None and spec.loader is not None
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    name = f"rgi_{size}_keys.json" if size else "bisenet_keys.json"
    shapes = {k: tuple(v) for k, v in json.loads((folder / name).read_text()).items()}
    if size:
        shapes["latent_avg"] = (18, 512)
    cfg = infer_model(shapes) if size else infer_parser(shapes)
    return Model(cfg, {k: recipe.tensor(k, shape, seed) for k, shape in registry.tensors(cfg).items()})
