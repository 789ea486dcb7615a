"""Fixtures of the CUDA engine's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from e4s_engine.backends.cuda import archive


@pytest.fixture(autouse=True)
def nothing_ships(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the archive that `make kernels` has left in this checkout."""
    monkeypatch.setattr(archive, "SHIPPED", tmp_path / "none.zip")
