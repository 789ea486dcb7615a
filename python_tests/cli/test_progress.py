"""Progress of commands: lines in a log, a bar in a terminal."""

from __future__ import annotations

import sys
import time

from e4s_engine.cli import progress


def test_a_log_gets_lines_and_no_control_characters(monkeypatch, capsys):
    monkeypatch.setattr(progress, "INTERVAL", 0.02)
    seen = []
    for item in progress.bar(range(6), total=6, unit="photo", desc="again"):
        time.sleep(0.03)
        seen.append(item)
    assert seen == list(range(6))
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("e4s: again: ") and " of 6 photos, " in line for line in lines)
    assert "\r" not in "".join(lines)


def test_a_short_command_leaves_the_log_alone(capsys):
    assert list(progress.bar(range(3), total=3, unit="photo")) == [0, 1, 2]
    with progress.bar(total=3, unit="photo") as bar:
        bar.update(2)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    list(progress.bar(range(3), total=3, unit="photo"))
    assert "3/3" in capsys.readouterr().err
    list(progress.bar(range(3), total=3, unit="photo", hidden=True))
    assert capsys.readouterr().err == ""
