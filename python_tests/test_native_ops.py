"""Every op on every instruction set and precision against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from cases import CASES, TOLERANCE, Case
from native_tools import EMULATED, expected, kernels, run_case


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
