"""The command line's own words: flags in errors, lists of regions, modules beside the user."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_tools import SWAP, done

from e4s_engine.cli import flags, words
from e4s_engine.cli.commands import joined
from e4s_engine.options import SwapOptions
from e4s_engine.photo import images

ROOT = Path(__file__).parents[2] / "e4s_engine"
PYTHON = re.compile(r"Engine\(|\b[a-z_]+=(?:True|False|None|\.\.\.|[A-Z])")
# About calls that commands never make: dicts of sources are built from --also and --put, results are saved
# while their engine is open, a target is a file.
NEVER = (
    "regions=None beside it",
    "Engine(landmarks=None)",
    "only its pasted part was generated",
    "a Face, which",
)


def messages():
    """Return the texts of all errors that the library raises below the commands, placeholders as <>."""
    for path in sorted(ROOT.rglob("*.py")):
        if path.relative_to(ROOT).parts[0] in ("cli", "training", "synth", "testing"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                parts = [
                    part.value if isinstance(part, ast.Constant) else "<>"
                    for inner in [node.exc.args[0]]
                    for part in (inner.values if isinstance(inner, ast.JoinedStr) else [inner])
                ]
                yield "".join(map(str, parts))


def test_no_error_speaks_python():
    texts = [text for text in messages() if PYTHON.search(text) and not any(n in text for n in NEVER)]
    assert len(texts) >= 4
    wrong = [words.spoken(text) for text in texts if PYTHON.search(words.spoken(text))]
    assert not wrong


@pytest.mark.parametrize(
    ("message", "spoken"),
    [
        ("extent: expected a number", "--extent: expected a number"),
        (
            "recolor: expected 'auto', True, False or a number in [0, 1], got nan",
            "--recolor: expected auto, yes, no or a number in [0, 1], got nan",
        ),
        ("weights: no such file: x", "--weights: no such file: x"),
        ("E4S_WEIGHTS: no such file: x", "E4S_WEIGHTS: no such file: x"),
        ("source: no such file: x", "source: no such file: x"),
        ("target landmarks: the face's centre", "--target-landmarks: the face's centre"),
        ("image labels: values must be", "--labels: values must be"),
        ("reference labels: values", "--reference-labels: values"),
        (
            "target: labels describe one crop, but faces names 3",
            "target: labels describe one crop, but --faces names 3",
        ),
        ("source: faces names 3", "source: --source-face names 3"),
        ("hair_first: expected", "--hair-last: expected"),
        ("two\nlines", "two lines"),
    ],
)
def test_words(message, spoken):
    assert words.spoken(message) == spoken


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--regions eyes nose S.png T.png -o x.png", "--regions eyes,nose S.png T.png -o x.png"),
        ("--regions eyes, nose a.png", "--regions eyes,nose a.png"),
        ("--regions eyes,nose a.png", "--regions eyes,nose a.png"),
        ("--regions eyes nos a.png", "--regions eyes,nos a.png"),
        ("--regions a.png", "--regions a.png"),
        ("--regions eyes ../photos/ann T", "--regions eyes ../photos/ann T"),
        ("--reg eyes nose -o x", "--reg eyes,nose -o x"),
        ("--regions=eyes nose.png", "--regions=eyes nose.png"),
        ("S T --regions hair --extent 0.5", "S T --regions hair --extent 0.5"),
        ("-- --regions eyes nose", "-- --regions eyes nose"),
        ("--recursive eyes nose", "--recursive eyes nose"),
        ("--faces 0 2 S.png T.png", "--faces 0,2 S.png T.png"),
        ("--source-face 1 S.png T.png", "--source-face 1 S.png T.png"),
        ("S T --faces 0, 1 -o x", "S T --faces 0,1 -o x"),
        ("--faces all 3", "--faces all 3"),
        ("--faces 0 7", "--faces 0 7"),
    ],
)
def test_a_list_of_regions_ends_where_the_photos_begin(tmp_path, monkeypatch, given, expected):
    monkeypatch.chdir(tmp_path)
    Path("7").touch()
    assert joined(given.split()) == expected.split()


def test_regions_before_the_photos(e4s, engine, fails):
    expected = engine.swap("a.png", "b.png", ["eyes", "nose"]).image
    Path("b.png").rename("ann")  # no suffix: it exists
    for number, names in enumerate((["eyes", "nose"], ["eyes,nose"], ["eyes,", "nose"], ["eyes , nose"])):
        done(e4s("swap", "--regions", *names, "a.png", "ann", "-o", f"{number}.png"))
        np.testing.assert_array_equal(images.read(f"{number}.png"), expected)
    message = fails("swap", "--regions", "eyes", "nos", "a.png", "ann", "-o", "x.png")
    assert "--regions: unknown region 'nos'; did you mean 'nose'?" in message
    done(e4s("edit", "--regions", "hair", "lips", "a.png", "c.png", "-o", "edited.png"))


def test_the_right_argument_is_named(fails):
    assert "source: no such file: absent.png" in fails("swap", "absent.png", "b.png", "-o", "out.png")
    assert "reference: no such file" in fails("edit", "a.png", "no.png", "--regions", "eyes", "-o", "o.png")
    assert "--also hair: no such file: no.png" in fails(*SWAP, "--regions", "eyes", "--also", "hair=no.png")
    assert "--put 1: no such file: no.png" in fails(*SWAP, "--faces", "0", "--put", "1=no.png")


def test_a_landmark_model_lies_beside_the_user(here, tiny_weights):
    """An installed command does not look into the folder in which it is run; `python -m` does."""
    Path("mydet.py").write_text(
        "def find(image):\n    return [[[38, 40], [58, 40], [48, 52], [40, 62], [56, 62]]]\n"
    )
    script = "import sys; from e4s_engine.cli import main; sys.path.remove(''); sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, *SWAP, "--landmarks", "mydet:find"]
    command += ["--weights", str(tiny_weights / "model.safetensors")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


@dataclasses.dataclass(frozen=True)
class Options:
    on: bool = dataclasses.field(
        default=True, metadata={"meaning": "it is on", "flag": "--no-on", "off": "not"}
    )
    off: bool = dataclasses.field(default=False, metadata={"meaning": "do it", "flag": "--off"})


def test_options_that_are_off_can_be_switched_on():
    parser = argparse.ArgumentParser()
    flags.add_options(parser, options=Options)
    assert flags.chosen(parser.parse_args([]), Options) == {"on": True, "off": False}
    assert flags.chosen(parser.parse_args(["--no-on", "--off"]), Options) == {"on": False, "off": True}
    assert "do it" in parser.format_help() and "not" in parser.format_help()


def test_edit_has_every_option_that_is_one_there(capsys):
    from e4s_engine.cli import main
    from e4s_engine.options import SwapOptions

    with pytest.raises(SystemExit):
        main(["edit", "--help"])
    text = capsys.readouterr().out
    for field in dataclasses.fields(SwapOptions):
        assert (field.metadata["flag"] in text) == (field.name not in ("shape", "texture", "hair_first"))


def test_every_choice_of_an_option_can_be_given() -> None:
    """Give modes by their names, True and False as yes and no."""
    command = argparse.ArgumentParser()
    flags.add_options(command)
    for field in dataclasses.fields(SwapOptions):
        flag = field.metadata["flag"]
        if "choices" in field.metadata:
            for mode in field.metadata["choices"]:
                assert getattr(command.parse_args([flag, mode]), field.name) == mode
        elif field.default == "auto":
            given = [getattr(command.parse_args([flag, word]), field.name) for word in ("auto", "yes", "no")]
            assert given == ["auto", True, False]
