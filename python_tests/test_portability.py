"""Check what differs between systems, in the package's code and by taking calls away that others lack."""

from __future__ import annotations

import ast
import fcntl
import io
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from e4s_engine import cli
from e4s_engine.photo import files
from e4s_engine.training import faces

PACKAGE = Path(__file__).parents[1] / "e4s_engine"
SOURCES = sorted(PACKAGE.rglob("*.py"))
# Of these Windows has none, and macOS lacks some.
POSIX_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
POSIX_CALLS = {
    "chown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getloadavg", "getpgid", "getpgrp",
    "getpriority", "getuid", "killpg", "mkfifo", "nice", "openpty", "posix_fadvise", "posix_fallocate",
    "posix_spawn", "pread", "pwrite", "register_at_fork", "sched_getaffinity", "sched_setaffinity",
    "sendfile", "setpgid", "setpriority", "setsid", "statvfs", "sync", "sysconf", "uname", "wait", "wait4",
}  # fmt: skip
BARE_SIGNALS = {"SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGCHLD", "SIGPIPE", "SIGQUIT"}


def nodes() -> Iterator[tuple[str, str, ast.AST]]:
    """Yield place, text of the file and node of everything in the package's code."""
    for path in SOURCES:
        text = path.read_text("utf-8")
        for node in ast.walk(ast.parse(text)):
            place = f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}"
            yield place, text, node


def test_text_files_name_their_encoding() -> None:
    """Windows would take the machine's, in which most names of files cannot be written."""
    calls = [(place, node) for place, _, node in nodes() if isinstance(node, ast.Call)]
    wrong = [place for place, call in calls if opens_text(call) and not names_encoding(call)]
    assert not wrong
    assert sum(map(opens_text, (call for _, call in calls))) > 20


def called(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def opens_text(call: ast.Call) -> bool:
    """Return whether a call reads or writes text. One of `open` without a mode is of another library."""
    if called(call) in ("read_text", "write_text"):
        return True
    words = [*call.args, *(word.value for word in call.keywords if word.arg == "mode")]
    modes = [word.value for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str)]
    is_clip = ast.unparse(call.func).startswith(("av.", "pyav()."))
    return called(call) == "open" and not is_clip and any(mode in ("r", "w", "a", "x") for mode in modes)


def names_encoding(call: ast.Call) -> bool:
    return any(word.arg == "encoding" for word in call.keywords) or (
        called(call) == "read_text" and bool(call.args)
    )


def test_calls_that_other_systems_lack_are_asked_for_first() -> None:
    wrong = []
    for place, text, node in nodes():
        if isinstance(node, ast.Import) and POSIX_MODULES & {alias.name for alias in node.names}:
            wrong.append(place)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, name = node.value.id, node.attr
            if module == "signal" and name in BARE_SIGNALS:
                wrong.append(f"{place} {name}")
            if module == "os" and name in POSIX_CALLS and f'hasattr(os, "{name}")' not in text:
                wrong.append(f"{place} {name}")
    assert not wrong


def test_a_file_is_synced_through_a_handle_that_may_write(tmp_path, monkeypatch) -> None:
    """Windows refuses to flush another."""
    modes = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: (modes.append(fcntl.fcntl(handle, fcntl.F_GETFL)), real(handle))
    )
    path = tmp_path / "part.bin"
    path.write_bytes(b"whole")
    files.sync(path)
    assert [mode & os.O_ACCMODE for mode in modes] == [os.O_RDWR]
    assert path.read_bytes() == b"whole"


@pytest.mark.parametrize("patience", [0.0, 60.0])
def test_a_file_that_is_open_elsewhere_is_replaced_later(tmp_path, monkeypatch, patience) -> None:
    """Windows refuses to replace a file that anyone has open."""
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_bytes(b"new")
    old.write_bytes(b"old")
    real, calls = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) <= 3:
            raise PermissionError(13, "Access denied")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(files, "_PATIENCE", patience)
    if patience:
        files.rename(new, old)
        assert (len(calls), old.read_bytes()) == (4, b"new")
    else:
        with pytest.raises(PermissionError):
            files.rename(new, old)
        assert (len(calls), old.read_bytes()) == (1, b"old")


def test_workers_start_where_processes_have_no_niceness(monkeypatch) -> None:
    monkeypatch.delattr(os, "nice")
    before = signal.getsignal(signal.SIGINT)
    try:
        faces._behave()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
@pytest.mark.parametrize(
    ("name", "encoding", "printed"),
    [("名.png", "cp1252", b"\\u540d.png: "), (os.fsdecode(b"\xff.png"), "utf-8", b"\xff.png: ")],
)
def test_names_that_stdout_cannot_encode_are_printed(
    tmp_path, monkeypatch, name, encoding, printed, errors
) -> None:
    """A pipe on Windows takes the machine's code page; names on Linux may be no text at all."""
    from e4s_engine.photo import images
    from e4s_engine.testing.portraits import portrait

    path = tmp_path / name
    images.write(portrait(0)[0], path)
    stdout = io.TextIOWrapper(io.BytesIO(), encoding, errors=errors)
    monkeypatch.setattr(sys, "stdout", stdout)
    cli.main(["verify", str(path)])
    stdout.flush()
    assert printed in stdout.buffer.getvalue()
