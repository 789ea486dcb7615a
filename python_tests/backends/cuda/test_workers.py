"""Compilation by several processes: what is compiled, what is said, and what happens if a process fails."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import interpreted  # noqa: F401
import pytest

from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.backends.cuda import workers
from e4s_engine.errors import BackendError
from e4s_engine.kernels.launch import Launch, Operand

# A script as users write them: nothing guards it from being run once more by the processes it starts.
SCRIPT = """
import json, sys
from e4s_engine.backends.cuda import workers
from e4s_engine.kernels.launch import Launch, Operand

def launch(block):
    constants = {"ROWS": 100, "X_PIXEL": 4, "BLOCK": block}
    operands = {"x": Operand(0, "f32"), "y": Operand(1, "u8")}
    return Launch("to_uint8.to_uint8", operands, ("y",), constants, (1, 1), 1)

print("started")
workers.cores = lambda: 2
workers.ready([launch(128), launch(256), launch(128)], 90)
workers._Worker = None  # now all are there
workers.ready([launch(128), launch(256)], 90)
print(json.dumps([m["constants"]["BLOCK"] for m in workers.warm([launch(256), launch(128)], 90, 1)]))
"""


def launch(block: int) -> Launch:
    return Launch(
        "to_uint8.to_uint8",
        {"x": Operand(0, "f32"), "y": Operand(1, "u8")},
        ("y",),
        {"ROWS": 100, "X_PIXEL": 4, "BLOCK": block},
        (1, 1),
        1,
    )


def test_a_script_compiles_in_processes(tmp_path: Path) -> None:
    pytest.importorskip("triton", reason="compiling needs Triton (Linux: `pip install triton`)")
    (tmp_path / "script.py").write_text(SCRIPT)
    env = os.environ | {"E4S_CACHE": str(tmp_path)}
    command = [sys.executable, str(tmp_path / "script.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0 and not done.stderr, done.stderr  # no bar, as there is no terminal
    started, blocks = done.stdout.splitlines()
    assert started == "started" and json.loads(blocks) == [256, 128]
    assert len(list((tmp_path / "kernels").glob("*.json"))) == 2


def test_what_fails_in_a_process_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton", reason="compiling needs Triton (Linux: `pip install triton`)")
    monkeypatch.setenv("E4S_CACHE", str(tmp_path))
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    with pytest.raises(BackendError, match="TRITON_INTERPRET is set; unset it"):
        list(workers.warm([launch(128), launch(256)], 90, 2))


def test_a_process_that_dies_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "_COMMAND", "import sys; sys.exit(3)")
    with pytest.raises(BackendError, match=r"to_uint8 ended with status 3; .* --jobs 1"):
        list(workers.warm([launch(128), launch(256), launch(512)], 90, 2))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_on_terminals_alone(
    terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def warm(launches: list[Launch], arch: int, jobs: int) -> Iterator[dict[str, Any]]:
        assert len(launches) == 2 and jobs == min(2, workers.cores())
        yield from ({}, {})

    monkeypatch.setenv("E4S_CACHE", str(tmp_path))
    monkeypatch.setattr(workers, "warm", warm)
    monkeypatch.setattr(workers.language, "triton", object())
    monkeypatch.setattr(sys, "stderr", Terminal() if terminal else io.StringIO())
    with caplog.at_level("INFO", "e4s_engine"):
        workers.ready([launch(128), launch(256), launch(128)], 90)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert ("Compiling for sm_90" in shown) == terminal
    assert "kernels: compiling 2 for sm_90" in caplog.text


def test_nothing_is_compiled_without_triton(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("E4S_CACHE", str(tmp_path))
    monkeypatch.setattr(compiling.language, "triton", None)
    monkeypatch.setattr(workers, "warm", None)
    workers.ready([launch(128)], 90)
