"""Callers' own landmark models and parsers raise: their exceptions pass, with a note that says whose."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from e4s_engine.engine import Engine
from e4s_engine.errors import WeightsError

PICTURE = np.zeros((96, 96, 3), np.uint8)


def failing(*_):
    raise ZeroDivisionError("theirs")


def failing_later(*_):
    yield [[0, 0]] * 5
    raise TypeError("theirs")


@pytest.mark.parametrize(
    ("option", "function", "error"),
    [
        ("landmarks", failing, ZeroDivisionError),
        ("landmarks", failing_later, TypeError),
        ("parser", failing, ZeroDivisionError),
    ],
)
def test_exceptions_of_callables_pass_with_a_note(tiny_weights, option, function, error):
    with (
        Engine(tiny_weights / "model.safetensors", device="cpu", **{option: function}) as engine,
        pytest.raises(error, match="theirs") as caught,
    ):
        engine.parse(PICTURE)
    (note,) = caught.value.__notes__
    assert "raised by " in note and ("landmark" if option == "landmarks" else "parser") in note


def test_weights_with_an_endless_header(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes((9 << 20).to_bytes(8, "little") + b"{}")
    with pytest.raises(WeightsError, match="its header has 9437184 bytes"):
        Engine(path)


def test_archives_that_expand(tmp_path):
    path = tmp_path / "model.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1 << 20))
    with pytest.raises(WeightsError, match="claim 1048576 bytes"):
        Engine(path)
