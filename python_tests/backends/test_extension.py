"""A compiled extension that does not fit the package is named, with what to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import e4s_engine
from e4s_engine import _native, backends, cli
from e4s_engine.errors import BackendError


def test_all_that_python_uses_is_checked() -> None:
    used = set()
    for path in Path(e4s_engine.__file__).parent.rglob("*.py"):
        used |= set(re.findall(r"\b_native\.([A-Za-z]\w*)", path.read_text()))
    assert used == set(backends._EXTENSION)
    backends.check_extension()


def test_an_extension_of_older_sources(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.delattr(_native, "conv_form")
    with pytest.raises(
        BackendError, match=r"_native.*is older than the package \(it has no conv_form\).*pip"
    ):
        e4s_engine.Engine(device="cpu")
    assert cli.main(["info"]) == 1
    assert "make install" in capsys.readouterr().err
