"""One stem finds all of a step: its kind, its factory in C++, its kernels and their launches."""

from __future__ import annotations

from pathlib import Path

import pytest

from e4s_engine import kernels
from e4s_engine.errors import ArgumentError
from e4s_engine.plan.fuse import RUNTIME

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", sorted(RUNTIME))
def test_every_backend_has_the_step_under_its_name(kind: str) -> None:
    native = pytest.importorskip("e4s_engine._native", reason="the compiled extension is not built")
    step = {"kind": kind, "buffers": {}, "weights": {}, "numbers": {}}
    with pytest.raises(ArgumentError, match=rf"step {kind}: .* is missing"):
        native.Plan([], [step], native.Weights())
    assert hasattr(kernels.module(kind), f"launch_{kind}")


def test_files_and_tables_name_the_same_steps() -> None:
    assert kernels.STEPS == RUNTIME
    if not (ROOT / "csrc").is_dir():
        pytest.skip("the sources are not here")
    for kind in RUNTIME:
        assert (ROOT / "csrc" / "ops" / f"{kind}.cpp").is_file(), kind
        assert (ROOT / "kernels" / f"{kind}.py").is_file(), kind
