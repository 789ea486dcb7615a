"""Every op against PyTorch, on every instruction set and in every precision."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from cases import CASES, TOLERANCE, Case
from native_tools import EMULATED, expected, kernels, record_case, run_case

from e4s_engine import _native
from e4s_engine.backends import native
from e4s_engine.errors import ArgumentError


@pytest.mark.parametrize(("isa", "precision"), [*kernels(), EMULATED])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_reference(case: Case, isa: str, precision: str) -> None:
    got, want = run_case(case, isa, precision), expected(case)
    assert got.shape == want.shape
    if got.dtype == np.uint8:
        agreement = (got == want).mean()
        assert agreement > (0.999 if precision == "fp32" else 0.8)
        return
    assert np.isfinite(got).all()
    error = np.abs(got - want).max() / max(np.abs(want).max(), 1e-3)
    assert error < TOLERANCE[precision]


@pytest.mark.parametrize("precision", sorted({p for _, p in kernels()}))
def test_threads_do_not_change_results(precision: str) -> None:
    for case in CASES[::7]:
        isa = next(i for i, p in reversed(kernels()) if p == precision)
        assert np.array_equal(run_case(case, isa, precision, 1), run_case(case, isa, precision, 0))


WIDE = [case for case in CASES if re.match(r"conv-64-80-k3s1-16x18|regional-64-64-16-", case.name)]


@pytest.mark.parametrize(("isa", "precision"), [*kernels(), EMULATED])
@pytest.mark.parametrize("case", WIDE, ids=str)
def test_winograds_tiles_make_the_same_pictures(case: Case, isa: str, precision: str) -> None:
    """They agree with the direct form to rounding, and bit for bit on any number of threads."""
    direct, tiled = run_case(case, isa, precision, direct=True), run_case(case, isa, precision)
    assert 0 < np.abs(direct - tiled).max() < TOLERANCE[precision] * np.abs(direct).max()
    assert np.array_equal(run_case(case, isa, precision, 1), tiled)


@pytest.mark.parametrize(
    ("changes", "form"),
    [
        ({}, "winograd"),
        ({"precision": "bf16"}, "winograd"),
        ({"isa": "amx-emulated"}, "winograd"),
        ({"isa": "amx-emulated", "precision": "bf16"}, "direct"),
        ({"kernel": (64, 64, 1, 1)}, "direct"),
        ({"kernel": (31, 64, 3, 3)}, "direct"),
        ({"kernel": (64, 16, 3, 3)}, "direct"),
        ({"kernel": (64, 72, 3, 3)}, "direct"),
        ({"first": 64}, "direct"),
        ({"x": (1, 32, 32, 64)}, "direct"),
        ({"x": (1, 16, 15, 64), "y": (1, 16, 15, 64)}, "direct"),
        ({"x": (1, 14, 18, 64), "y": (1, 14, 18, 64)}, "direct"),
        ({"x": (1, 32, 32, 64), "y": (1, 32, 32, 64), "wide": True}, "winograd4"),
        ({"kernel": (19, 64, 3, 3), "x": (1, 32, 32, 64), "y": (1, 32, 32, 64), "wide": True}, "winograd4"),
        ({"kernel": (64, 64, 7, 7), "x": (1, 32, 32, 64), "y": (1, 32, 32, 64), "wide": True}, "winograd4"),
        ({"kernel": (64, 64, 7, 7), "x": (1, 32, 32, 64), "y": (1, 32, 32, 64)}, "direct"),
        ({"kernel": (64, 64, 5, 5), "x": (1, 32, 32, 64), "y": (1, 32, 32, 64), "wide": True}, "direct"),
        ({"x": (1, 32, 34, 64), "y": (1, 32, 34, 64), "wide": True}, "winograd"),
        ({"x": (1, 32, 32, 64), "y": (1, 32, 32, 64), "wide": True, "precision": "bf16"}, "winograd"),
        ({"wide": True}, "winograd"),
    ],
)
def test_the_runtime_chooses_a_convolutions_form(changes: dict[str, Any], form: str) -> None:
    """Winograd's tiles need even sides and whole vectors, 32 channels and 256 pixels, and no AMX.

    Those of 4 x 4 pixels must be allowed, and need sides of whole tiles and 1024 pixels.
    """
    step = {"isa": "portable", "kernel": (64, 64, 3, 3), "precision": "f32", "first": 0, "wide": False}
    step |= {"x": (1, 16, 16, 64), "y": (1, 16, 16, 64)}
    assert _native.conv_form(**(step | changes)) == form


def test_impossible_convolutions_have_no_form() -> None:
    with pytest.raises(ArgumentError, match="impossible shape"):
        _native.conv_form("", (64, 64, 3, 3), "f32", (1, 0, 16, 64), (1, 16, 16, 64), 0, False)
    with pytest.raises(ArgumentError, match="unknown type"):
        _native.conv_form("", (64, 64, 3, 3), "f16", (1, 16, 16, 64), (1, 16, 16, 64), 0, False)


def test_winograds_form_is_refused_where_it_does_not_fit() -> None:
    packed = _native.Weights()
    with pytest.raises(ArgumentError, match="3 x 3"):
        packed.add_conv(np.ones((4, 4, 5, 5), np.float32), None, None, "f32", "winograd")
    with pytest.raises(ArgumentError, match="form direct, winograd or winograd4"):
        packed.add_conv(np.ones((4, 4, 3, 3), np.float32), None, None, "f32", "fourier")
    for kernel, precision in (((16, 16, 3, 3), "bf16"), ((16, 8, 3, 3), "f32")):
        with pytest.raises(ArgumentError, match="winograd4 is for f32 and whole vectors"):
            packed.add_conv(np.ones(kernel, np.float32), None, None, precision, "winograd4")
    case = next(case for case in CASES if case.name.startswith("conv-16-130-k3s2"))
    plan, _ = record_case(case, "fp32")
    store = native.WeightStore()
    store.add(plan, case.weights)
    buffers, steps = native.described(plan, store)
    halving = next(step for step in steps if step["numbers"].get("stride") == 2)
    for form in ("winograd", "winograd4"):
        tiled = store.packed.add_conv(case.weights["w"], None, None, "f32", form)
        halving["weights"]["kernel"] = [tiled]
        with pytest.raises(ArgumentError, match="Winograd"):
            _native.Plan(buffers, steps, store.packed)
