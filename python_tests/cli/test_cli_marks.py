"""Marks on the command line: `e4s verify` and its exit codes, the guard, the notice."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from cli_tools import SWAP, done

import e4s_engine
from e4s_engine.cli import marking

EYES = [*SWAP, "--regions", "eyes"]


@pytest.fixture(autouse=True)
def own_settings(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


def test_verify_says_what_is_claimed_by_exit_codes_too(e4s) -> None:
    done(e4s(*EYES))
    code, out, err = e4s("verify", "out.png", model=False)
    assert (code, err) == (0, "") and "claimed: XMP: made with e4s_engine" in out
    code, out, _ = e4s("verify", "out.png", "a.png", model=False)
    assert code == 3 and "a.png: no mark of a model, which proves nothing" in out
    Path("broken.png").write_bytes(Path("out.png").read_bytes().replace(b"</rdf:RDF>", b"</rdf:rdf>"))
    assert e4s("verify", "broken.png", "a.png", model=False)[0] == 4
    code, _, err = e4s("verify", "none.png", "out.png", model=False)
    assert code == 1 and err.count("\n") == 1
    Path("note.txt").write_text("Dear Ann")
    for name in ("note.txt", "."):
        code, out, err = e4s("verify", name, "a.png", model=False)
        assert code == 1 and "FILE: " in err and "a.png: no mark" in out
    assert e4s("verify", "--trust", "note.txt", "out.png", model=False)[0] == 2
    code, out, _ = e4s("verify", "--json", "out.png", model=False)
    assert code == 0 and json.loads(out)["xmp"]["e4s:Operation"] == "swap"


def test_every_command_that_generates_marks_its_files(e4s, tiny_weights) -> None:
    done(e4s(*EYES, "--explain", "sheet.png"))
    done(e4s("edit", "a.png", "b.png", "--regions", "hair", "-o", "edit.jpg", "--quality", "80"))
    done(e4s("reconstruct", "a.png", "-o", "again.webp"))
    e4s("swap", "a.png", "b.png", "c.png", "-o", "made", "--regions", "eyes")
    for name in ("sheet.png", "edit.jpg", "again.webp", "made/b.png", "made/c.png"):
        assert e4s_engine.verify(name).ours, name
    assert "reconstruct" in str(e4s_engine.verify("again.webp").claimed)


def test_the_guard_refuses_by_name(fails, e4s) -> None:
    Path("consent.py").write_text("def ask(target, source):\n    return 'no consent on file'\n")
    try:
        assert "no consent on file" in fails(*EYES, "--guard", "consent:ask")
    finally:
        sys.modules.pop("consent", None)
    assert not Path("out.png").exists()
    assert "cannot import" in fails(*EYES, "--guard", "consent:none")


def test_a_certificate_is_checked_before_any_work(fails, monkeypatch) -> None:
    monkeypatch.setattr("e4s_engine.engine.Engine", None)
    assert "goes with --c2pa-key" in fails(*EYES, "--c2pa-cert", "a.png")
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    assert "certificate" in fails(*EYES, "--c2pa-cert", "a.png", "--c2pa-key", "b.png")


def test_signed_from_the_command_line(e4s) -> None:
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    done(e4s(*EYES, "--sign"))
    code, out, _ = e4s("verify", "out.png", model=False)
    assert code == 0 and "certain: C2PA: the file is as it was signed" in out
    data = bytearray(Path("out.png").read_bytes())
    data[-100] ^= 1
    Path("out.png").write_bytes(data)
    assert e4s("verify", "out.png", model=False)[0] == 4


def test_the_notice_ends_when_it_is_acknowledged(e4s, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    marking.notice()
    assert "e4s acknowledge" in capsys.readouterr().err
    code, out, _ = e4s("acknowledge", model=False)
    assert code == 0 and "Not for:" in out
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    marking.notice()
    assert capsys.readouterr().err == ""
    Path("file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(Path("file").absolute()))
    code, _, err = e4s("acknowledge", model=False)
    assert code == 1 and "cannot note in" in err


def test_a_read_only_file_stays(fails) -> None:
    Path("out.png").write_bytes(b"mine")
    Path("out.png").chmod(0o400)
    assert "out.png" in fails(*EYES)
    assert Path("out.png").read_bytes() == b"mine"


def test_marks_that_are_switched_off_are_warned_about(e4s, monkeypatch) -> None:
    monkeypatch.setenv("E4S_MARKS", "off")
    code, _, err = e4s(*EYES)
    assert code == 0 and err.count("\n") == 1 and "e4s: note: E4S_MARKS=off" in err
    assert not e4s_engine.verify("out.png").marked
