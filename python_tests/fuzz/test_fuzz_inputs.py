"""A bounded part of the fuzzing, the same inputs every time. `make fuzz` runs more of them."""

from __future__ import annotations

import os

import pytest

from fuzz import run

COUNT = int(os.environ.get("E4S_FUZZ_INPUTS", "1500"))


@pytest.mark.parametrize("kind", ["files", "calls"])
def test_no_input_crashes_hangs_or_escapes(kind: str) -> None:
    assert run.run(kind, 0, COUNT if kind == "files" else COUNT // 5) == []
