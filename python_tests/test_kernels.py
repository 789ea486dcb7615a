"""Every Triton kernel against PyTorch, in Triton's interpreter: no GPU is needed.

bf16 is left to GPUs: the interpreter multiplies it as integers. No line of a kernel tells it from fp16.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from cases import CASES, Case, make_labels
from kernel_tools import interpret, run
from native_tools import expected, record_case

from e4s_engine import compose
from e4s_engine.kernels import module
from e4s_engine.kernels.launch import Operand

# Largest error relative to the largest value; fp16 rounds to 11 bits after every step.
TOLERANCE = {"fp32": 2e-5, "fp16": 1e-2}

# The largest shapes take the interpreter ten seconds each: of those, half the variants.
INTERPRETED = [
    case for case in CASES if not re.match(r"regional-(48|64).*-(one|checkerboard)|conv-272.*relu", case.name)
]
# NumPy multiplies 16-bit matrices without BLAS.
SMALL = [case for case in CASES if not re.match(r"regional-(48|64)|conv-272", case.name)]


def check(case: Case, precision: str) -> None:
    got = run(*record_case(case, precision), case.weights)
    want = expected(case)
    assert got.shape == want.shape
    if got.dtype == np.uint8:
        assert (got == want).mean() > (0.999 if precision == "fp32" else 0.95)
        return
    assert np.isfinite(got).all()
    assert np.abs(got - want).max() / max(np.abs(want).max(), 1e-3) < TOLERANCE[precision]


@pytest.mark.parametrize("case", INTERPRETED, ids=str)
def test_agrees_with_reference(case: Case) -> None:
    check(case, "fp32")


@pytest.mark.parametrize("case", SMALL[::9], ids=str)
def test_half_precision(case: Case) -> None:
    check(case, "fp16")


@pytest.mark.parametrize("hair_first", [True, False])
def test_composed_labels(hair_first: bool) -> None:
    rng = np.random.default_rng(3)
    source = np.concatenate([make_labels(kind, 1, 512, rng) for kind in ("twelve", "bands")])
    target = np.concatenate([make_labels(kind, 1, 512, rng) for kind in ("twelve", "checkerboard")])
    launch = module("compose").launch_labels(
        *(Operand(i, "u8") for i in range(4)), batch=2, hair_first=hair_first
    )
    out = interpret(launch, [source, target], [source.size] * 4)
    for i in range(2):
        labels, holes = compose.whole_face_labels(source[i], target[i], hair_first)
        assert np.array_equal(out[2].reshape(source.shape)[i], labels)
        assert np.array_equal(out[3].reshape(source.shape)[i].astype(bool), holes)


@pytest.mark.parametrize("extent", [1.0, 0.25])
def test_composed_styles(extent: float) -> None:
    source, target = np.random.default_rng(4).standard_normal((2, 3, 12, 40)).astype(np.float32)
    source[1, [7, 9]] = 0  # no ears, no inner mouth
    target[2, [1, 4, 9]] = 0
    launch = module("compose").launch_styles(*(Operand(i, "f32") for i in range(3)), 3, 40, extent)
    out = interpret(launch, [source, target], [source.nbytes] * 3)[2].view(np.float32).reshape(source.shape)
    for s, t, got in zip(source, target, out, strict=True):
        want = compose.whole_face_styles(s, t, extent)
        want = compose.complete_styles(want, [(s, (1, 2, 3, 5, 6, 9))], t)
        assert np.allclose(got, want, atol=1e-6)
