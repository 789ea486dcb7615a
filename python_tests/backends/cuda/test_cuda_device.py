"""The table of cases on a real GPU, skipped elsewhere; `python -m benchmarks.gpu` does more."""

from __future__ import annotations

from typing import Any

import pytest
from cases import CASES, Case
from device_tools import error_of, tolerance
from native_tools import expected

from e4s_engine import _native
from e4s_engine.errors import BackendError

try:
    DEVICE: Any = _native.CudaDevice(0)
except BackendError as missing:
    pytest.skip(f"no GPU here: {missing}", allow_module_level=True)

SMALL = [case for case in CASES if max(array.size for array in case.inputs.values()) <= 4096][::9]
SMALL += [case for case in CASES if case.name.startswith("units-48")]  # launches that read what they wrote


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_reference(case: Case, precision: str) -> None:
    error, labels = error_of(DEVICE, case, precision, expected(case))
    assert error <= tolerance(precision, labels)


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_small_ones_for_compute_sanitizer(case: Case) -> None:
    error, labels = error_of(DEVICE, case, "fp16", expected(case))
    assert error <= tolerance("fp16", labels)
