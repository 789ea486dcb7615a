"""The command line on bad input: one line, exit codes, nothing written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_tools import LABELS, SIDE, SWAP, done
from PIL import Image

from e4s_engine import cli
from e4s_engine.photo import images


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["swap", "absent.png", "b.png", "-o", "out.png"], ["no such file", "absent.png"]),
        (["swap", "bad.png", "b.png", "-o", "out.png"], ["truncated or damaged"]),
        (["swap", "five.json", "b.png", "-o", "out.png"], ["not an image"]),
        (["swap", "a.png", "absent.png", "-o", "out.png"], ["target", "no such file"]),
        (["swap", "a.png", "x" * 5000, "-o", "out.png"], ["too long"]),
        (["swap", "a.png", "empty", "-o", "out.png"], ["target: the folder empty holds no pictures"]),
        (["swap", "https://x.org/a.jpg", "b.png", "-o", "out.png"], ["source: ", "is a URL, nothing is"]),
        (["swap", "a.png", "page.jpg", "-o", "out.png"], ["target: page.jpg is a web page"]),
        (
            ["swap", "a.png", "wide.png", "-o", "out.png", "--landmarks", "none"],
            ["(--target-landmarks FILE)", "not an aligned square portrait", "leave out --landmarks none"],
        ),
        (
            [*SWAP, "--align", "yes", "--landmarks", "none"],
            ["source: --align yes needs landmarks", "--source-landmarks"],
        ),
        ([*SWAP, "--put", "b.png"], ["--put: expected NUMBER=IMAGE"]),
        ([*SWAP, "--put", "0=c.png"], ["--put: face 0 is given to two people"]),
        ([*SWAP, "--put", "1=c.png", "--faces", "all"], ["--put: give --faces the number"]),
        ([*SWAP, "--faces", "all", "--explain", "s.png"], ["--explain: shows one swap"]),
        (
            ["faces", "a.png", "--landmarks", "none"],
            ["image: this engine looks for no faces; leave out --landmarks none"],
        ),
        (
            [*SWAP, "--regions", "eys"],
            ["--regions: unknown region 'eys'", "did you mean 'eyes'", "Known are"],
        ),
        ([*SWAP, "--extent", "2"], ["--extent: expected a number in [0, 1]", "2.0"]),
        ([*SWAP, "--extent", "nan"], ["extent: expected a number in [0, 1]"]),
        ([*SWAP, "--also", "hair=c.png"], ["--also: needs --regions"]),
        ([*SWAP, "--regions", "eyes", "--also", "c.png"], ["--also: expected REGION[,REGION...]=IMAGE"]),
        ([*SWAP, "--regions", "eyes", "--also", "eyes=c.png"], ["--also: eyes given by two sources"]),
        ([*SWAP, "--regions", "eyes", "--also", "face=c.png"], ["--also: eyes given by two sources"]),
        ([*SWAP, "--regions", "eyes", "--also", "hiar=c.png"], ["--also: unknown region 'hiar'", "'hair'"]),
        ([*SWAP, "--regions", "eyes", "--also", "hair="], ["not a file"]),
        (["swap", "a.png", "b.png", "-o", "no/such/out.png"], ["--output: the folder", "create it first"]),
        (["swap", "a.png", "b.png", "-o", "out.xyz"], ["--output: unknown picture format '.xyz'", ".png"]),
        (["swap", "a.png", "b.png", "-o", "out"], ["--output: unknown picture format ''", ".png"]),
        (["swap", "a.png", "b.png", "c.png", "-o", "a.png"], ["--output: ", "expected a folder"]),
        (["swap", "a.png", "b.png", "c.png", "-o", "new.png"], ["--output: ", "expected a folder"]),
        (["swap", "a.png", "b.png", "c.png", "-o", "a.png/made"], ["--output: cannot make the folder"]),
        (["swap", "a.png", "b.png", "c.png", "-o", "."], ["--output: would replace the input b.png"]),
        (["swap", "a.png", ".", "-o", "."], ["--output: would replace the input a.png"]),
        (
            ["swap", "a.png", "b.png", "c.png", "-o", "made", "--explain", "s.png"],
            ["--explain: ", "one target"],
        ),
        ([*SWAP, "--explain", "sheet.xyz"], ["--explain: unknown picture format"]),
        ([*SWAP, "--explain", "no/sheet.png"], ["--explain: the folder", "create it first"]),
        ([*SWAP, "--explain", "./out.png"], ["--explain: ", "same file"]),
        ([*SWAP, "--source-labels", "absent.png"], ["--source-labels: absent.png", "No such file"]),
        ([*SWAP, "--source-labels", "a.png"], ["--source-labels: ", "one channel", "coloured"]),
        ([*SWAP, "--target-labels", "large.png"], ["--target-labels: ", "0..11", "12"]),
        (
            [*SWAP, "--target-labels", "large.png", "--label-format", "bisenet"],
            ["--target-labels: ", "0..18"],
        ),
        ([*SWAP, "--target-labels", "float.npy"], ["--target-labels: ", "integer labels"]),
        ([*SWAP, "--target-labels", "bits.png"], ["--target-labels: ", "integer labels"]),
        ([*SWAP, "--target-labels", "archive.npy"], ["--target-labels: ", "an archive"]),
        ([*SWAP, "--target-labels", "objects.npy"], ["--target-labels: ", "cannot be read"]),
        ([*SWAP, "--target-labels", "bad.png"], ["--target-labels: ", "cannot be read"]),
        ([*SWAP, "--target-labels", "photo.jpg"], ["--target-labels: ", "one-channel png"]),
        ([*SWAP, "--target-labels", "huge.npy"], ["--target-labels: ", "cannot be read"]),
        ([*SWAP, "--target-landmarks", "absent.json"], ["--target-landmarks: ", "No such file"]),
        ([*SWAP, "--target-landmarks", "labels.npy"], ["--target-landmarks: ", "[68, 2] or [5, 2]"]),
        ([*SWAP, "--target-landmarks", "deep.json"], ["--target-landmarks: ", "cannot be read"]),
        ([*SWAP, "--target-landmarks", "big.json"], ["--target-landmarks: ", "[68, 2] or [5, 2]"]),
        ([*SWAP, "--target-landmarks", "words.txt"], ["--target-landmarks: ", "lines of x y"]),
        ([*SWAP, "--target-landmarks", "empty.txt"], ["--target-landmarks: ", "[68, 2] or [5, 2]"]),
        ([*SWAP, "--target-landmarks", "a.png"], ["--target-landmarks: ", "cannot be read"]),
        ([*SWAP, "--parser", "none"], ["no parser", "give labels (--source-labels FILE)", "--parser FILE"]),
        ([*SWAP, "--parser", "absent.safetensors"], ["--parser: no such file"]),
        ([*SWAP, "--landmarks", "no_such_module:find"], ["--landmarks: cannot import"]),
        ([*SWAP, "--device", "tpu"], ["--device: expected"]),
        ([*SWAP, "--device", "cpu", "--precision", "fp16"], ["--precision: fp16 needs a GPU"]),
        (["edit", "a.png", "b.png", "--regions", "eys", "-o", "out.png"], ["unknown region", "did you mean"]),
        (["edit", "a.png", "b.png", "--regions", "eyes", "--extent", "-1", "-o", "out.png"], ["--extent: "]),
        (["edit", "a.png", "b.png", "--regions", "eyes", "-o", "no/out.png"], ["--output: "]),
        (["reconstruct", "bad.png", "-o", "out.png"], ["image: ", "truncated"]),
        (["reconstruct", "a.png", "-o", "out.xyz"], ["--output: "]),
        (["parse", "bad.png", "-o", "out.png"], ["image: ", "truncated"]),
        (
            ["parse", "a.png", "-o", "out.png", "--save-labels", "labels.jpg"],
            ["--save-labels: ", "write .png"],
        ),
        (["parse", "a.png", "-o", "out.png", "--save-labels", "no/l.png"], ["--save-labels: ", "create it"]),
    ],
    ids=lambda v: " ".join(v)[:60] if "-o" in v else "",
)
def test_one_line_for_bad_input(fails, arguments, words):
    images.write(np.full((8, 8), 19, np.uint8) + np.eye(8, dtype=np.uint8), "large.png")
    if "--label-format" not in arguments:
        images.write(np.full((8, 8), 12, np.uint8), "large.png")
    np.save("float.npy", LABELS / 2)
    np.savez("archive.npz", LABELS)
    Path("archive.npz").rename("archive.npy")
    np.save("objects.npy", np.full((4, 4), None), allow_pickle=True)
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 4)}" % 2**62
    Path("huge.npy").write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + header.ljust(0x75) + b"\n")
    Image.fromarray(LABELS > 3).save("bits.png")
    Image.fromarray(LABELS).save("photo.jpg")
    Path("deep.json").write_text("[" * 100_000)
    Path("big.json").write_text(json.dumps([[10**400, 1]] * 5))
    Path("words.txt").write_text("left eye\n")
    Path("empty.txt").touch()
    Path("empty").mkdir()
    Path("page.jpg").write_text("<!DOCTYPE html><html></html>")
    before = {p.name: p.read_bytes() for p in Path().iterdir() if p.is_file()}
    message = fails(*arguments)
    assert all(word in message for word in words), message
    assert before == {p.name: p.read_bytes() for p in Path().iterdir() if p.is_file()}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent.safetensors", ["weights: no such file"]),
        ("a.png", ["weights: ", "must end in"]),
        ("half.safetensors", ["damaged or half-written"]),
        ("half.pt", ["damaged", "never executed"]),
    ],
)
def test_bad_weights(fails, tiny_weights, name, words):
    whole = (tiny_weights / "model.safetensors").read_bytes()
    Path("half.safetensors").write_bytes(whole[: len(whole) // 2])
    Path("half.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    for command in (SWAP, ["parse", "a.png", "-o", "out.png"], ["info"], ["bench", "--repeat", "1"]):
        message = fails(*command, "--weights", name, model=False)
        assert all(word in message for word in words), message
    assert not Path("out.png").exists()


def test_the_wrong_kind_of_weights(fails, tiny_weights):
    parser = tiny_weights / "parser.safetensors"
    assert "expected 'rgi'" in fails(*SWAP, "--weights", parser, model=False)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.pt", "o.safetensors"], ["OFFICIAL: no such file"]),
        (["a.png", "o.safetensors"], ["OFFICIAL: ", "must end in"]),
        (["evil.pt", "o.safetensors"], ["OFFICIAL: ", "never executed"]),
        (["evil.pt", "o.bin"], ["OUT: ", ".safetensors"]),
        (["evil.pt", "no/o.safetensors"], ["OUT: ", "create it first"]),
    ],
)
def test_bad_conversions(fails, arguments, words):
    Path("evil.pt").write_bytes(b"\x80\x02cos\nsystem\nX\x05\0\0\0touch\x85R.")
    message = fails("convert", *arguments, model=False)
    assert all(word in message for word in words), message


def test_weights_from_the_environment(e4s, fails, tiny_weights, monkeypatch):
    monkeypatch.setenv("E4S_WEIGHTS", "absent.pt")
    message = fails(*SWAP, model=False)
    assert "E4S_WEIGHTS: no such file: absent.pt" in message
    monkeypatch.setenv("E4S_WEIGHTS", str(tiny_weights / "model.safetensors"))
    done(e4s(*SWAP, "--regions", "eyes", model=False))


def test_the_bundled_model_says_what_it_is_for(e4s, monkeypatch):
    monkeypatch.delenv("E4S_WEIGHTS", raising=False)
    code, _, err = e4s("parse", "a.png", "-o", "parsed.png", model=False)
    assert code == 0 and err.count("\n") == 1
    assert err.startswith("e4s: note: the bundled demo model was trained on rendered faces only")
    assert "give --weights" in err
    assert "rendered" not in e4s("parse", "a.png", "-o", "other.png")[2]


def test_an_existing_output_survives_a_failure(fails, monkeypatch):
    Path("out.png").write_bytes(b"precious")
    fails("swap", "a.png", "bad.png", "-o", "out.png", "--overwrite")

    def full(self, path, **options):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    assert "No space left" in fails(*SWAP, "--overwrite")
    assert Path("out.png").read_bytes() == b"precious"
    assert not [p for p in Path().iterdir() if p.name.startswith(".")]


def test_a_read_only_output_is_found_before_the_work(fails, monkeypatch):
    Path("out.png").write_bytes(b"precious")
    real = os.access
    monkeypatch.setattr(os, "access", lambda p, mode: Path(p).name != "out.png" and real(p, mode))
    assert "--output: " in fails(*SWAP, "--overwrite", "--weights", "absent.pt", model=False)
    assert "read-only" in fails(*SWAP, "--overwrite")


def test_wrong_choices_are_found_before_the_model_is_loaded(fails):
    for flags in (["--regions", "eys"], ["--extent", "2"]):
        message = fails(*SWAP, *flags, "--weights", "absent.pt", model=False)
        assert "absent.pt" not in message
    message = fails("swap", "a.png", "b.png", "c.png", "-o", "made", "--extent", "2")  # once, not per photo
    assert "extent" in message and not Path("made").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["swop"],
        ["swap"],
        ["swap", "a.png"],
        ["swap", "a.png", "b.png"],
        ["swap", "a.png", "b.png", "-o", "o.png", "--extent", "much"],
        ["swap", "a.png", "b.png", "-o", "o.png", "--blend", "poisson"],
        ["swap", "a.png", "b.png", "-o", "o.png", "--unknown"],
        ["edit", "a.png", "b.png", "-o", "o.png"],
        ["edit", "a.png", "b.png", "-o", "o.png", "--regions"],
        ["edit", "a.png", "b.png", "-o", "o.png", "--regions", "eyes", "--no-shape"],
        ["swap", "a.png", "b.png", "-o", "o.png", "--regions"],
        ["swap", "--regions", "-o", "o.png", "a.png", "b.png"],
        ["swap", "a.png", "b.png", "-o", "o.png", "--regions", ","],
        ["swap", "a.png", "b.png", "-o", "o.png", "--align", "perhaps"],
        ["swap", "--regions", "eyes", "a.png", "b.png", "-o", "o.png", "--regions", "nose"],
        ["edit", "a.png", "b.png", "-o", "o.png", "--regions", "eyes", "--no-texture"],
        ["bench", "--repeat", "0"],
        ["bench", "--repeat", "x"],
        ["info", "--precision", "int8"],
    ],
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("usage: e4s") and "-h" in message and message.count("\n") == 2


def test_a_misspelt_flag_is_answered_by_the_nearest(capsys):
    with pytest.raises(SystemExit):
        cli.main([*SWAP, "--overwritten"])
    assert "unrecognized arguments: --overwritten; did you mean --overwrite?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "flags"),
    [
        (2, ["--regions", "eys"]), (2, ["--regions", "12"]), (2, ["--extent", "2"]), (2, ["--quality", "0"]),
        (2, ["--put", "x"]), (2, ["--skip-existing", "--overwrite"]), (2, ["--also", "hair=c.png"]),
        (1, ["--source-labels", "absent.png"]), (1, ["--source-landmarks", "absent.json"]),
        (1, ["--target-labels", "wide.png"]),
    ],
)  # fmt: skip
def test_wrong_usage_and_failures_have_codes_of_their_own(fails, code, flags):
    fails("swap", "a.png", "b.png", "-o", "out.jpg", *flags, code=code)
    fails("swap", "a.png", "bad.png", "-o", "out.jpg", code=1)


@pytest.mark.parametrize("command", [*cli.COMMANDS, "train"])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: e4s {command}" in capsys.readouterr().out


def test_an_interruption_is_no_traceback(e4s, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("e4s_engine.cli.swap._people", interrupt)
    assert e4s(*SWAP) == (130, "", "e4s: interrupted\n")


def test_as_a_program_of_its_own(here, tiny_weights):
    def e4s(*arguments):
        command = [sys.executable, "-m", "e4s_engine.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    model = str(tiny_weights / "model.safetensors")
    good = e4s(*SWAP, "--weights", model, "--align", "no", "--regions", "eyes", "nose")
    assert (good.returncode, good.stderr) == (0, "")
    assert images.read("out.png").shape == (SIDE, SIDE, 3)
    bad = e4s("swap", "a.png", "bad.png", "-o", "out.png", "--weights", model)
    assert bad.returncode == 1 and "Traceback" not in bad.stderr and bad.stderr.count("\n") == 1
