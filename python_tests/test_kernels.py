"""Every Triton kernel against PyTorch, in Triton's interpreter: no GPU is needed.

bf16 is left to GPUs: the interpreter multiplies it as integers. No line of a kernel tells it from fp16.
"""

from __future__ import annotations

import numpy as np
import pytest
from cases import CASES, Case
from kernel_tools import run
from native_tools import expected, record_case

# Largest error relative to the largest value; fp16 rounds to 11 bits after every step.
TOLERANCE = {"fp32": 2e-5, "fp16": 1e-2}


def check(case: Case, precision: str) -> None:
    got = run(*record_case(case, precision), case.weights)
    want = expected(case)
    assert got.shape == want.shape
    if got.dtype == np.uint8:
        assert (got == want).mean() > (0.999 if precision == "fp32" else 0.95)
        return
    assert np.isfinite(got).all()
    assert np.abs(got - want).max() / max(np.abs(want).max(), 1e-3) < TOLERANCE[precision]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_reference(case: Case) -> None:
    check(case, "fp32")


@pytest.mark.parametrize("case", CASES[::9], ids=str)
def test_half_precision(case: Case) -> None:
    check(case, "fp16")
