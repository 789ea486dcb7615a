"""Helpers that run the table's cases on a GPU, for the tests there and for `benchmarks.gpu`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import Case
from native_tools import record_case

from e4s_engine import kernels
from e4s_engine.backends.cuda.backend import Linker, run_program
from e4s_engine.kernels.launch import Program

# Sizes from which on steps take other forms.
LIMITS = (("winograd", "LEAST_CHANNELS", 16), ("winograd", "LEAST_PIXELS", 4), ("spread", "LEAST", 1),
          ("patches", "LEAST", 1))  # fmt: skip
_LARGEST = {"fp32": 1e-4, "fp16": 1e-2, "bf16": 4e-2}  # largest error, relative to the largest value
_WRONG = {"fp32": 0.001, "fp16": 0.2, "bf16": 0.2}  # largest share of labels or 8-bit values that differ


def tolerance(precision: str, labels: bool) -> float:
    """Return the largest value that `error_of` may have."""
    return (_WRONG if labels else _LARGEST)[precision]


def programs_of(case: Case, precision: str) -> list[Any]:
    """Return the case's kernels as a program, and as one with the forms that larger maps would take."""
    plan = record_case(case, precision)[0]
    programs = [Program(plan)]
    with pytest.MonkeyPatch.context() as patch:
        for name, limit, least in LIMITS:
            patch.setattr(kernels.module(name), limit, least)
        other = Program(plan)
    if {one.kernel for one in other.launches} != {one.kernel for one in programs[0].launches}:
        programs.append(other)
    return programs


def error_of(device: Any, case: Case, precision: str, want: np.ndarray) -> tuple[float, bool]:
    """Return the device's distance from `want`, and whether it is a share of labels or 8-bit values."""
    linker, errors = Linker(device), []
    for program in programs_of(case, precision):
        linker.add(program, case.weights)
        got = run_program(linker, program, list(case.inputs.values()))
        assert got.shape == want.shape
        if got.dtype == np.uint8:
            errors.append(float((got != want).mean()))
        else:
            errors.append(float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-3)))
    return max(errors), got.dtype == np.uint8
