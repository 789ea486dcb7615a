"""The other commands, run in this process with the tiny model."""

from __future__ import annotations

import json
import re

import numpy as np
import torch
from cli_tools import FIVE, LABELS, done
from PIL import Image
from tiny_tools import TINY_PARSER

from e4s_engine import weights
from e4s_engine.photo import images


def test_edit(e4s, engine):
    done(e4s("edit", "a.png", "b.png", "--regions", "hair", "lips", "--extent", "0.4", "-o", "out.png"))
    expected = engine.edit("a.png", "b.png", ["hair", "lips"], 0.4).image
    np.testing.assert_array_equal(images.read("out.png"), expected)


def test_reconstruct(e4s, engine):
    done(e4s("reconstruct", "a.png", "--labels", "labels.png", "-o", "out.png"))
    np.testing.assert_array_equal(images.read("out.png"), engine.reconstruct("a.png", LABELS).image)


def test_parse(e4s, engine):
    done(e4s("parse", "a.png", "-o", "overlay.png", "--save-labels", "found.png"))
    done(e4s("parse", "a.png", "-o", "again.png", "--save-labels", "found.npy"))
    np.testing.assert_array_equal(np.load("found.npy"), engine.parse("a.png"))
    with Image.open("found.png") as found:
        np.testing.assert_array_equal(np.asarray(found), engine.parse("a.png"))
    overlay = images.read("overlay.png").astype(int)
    assert overlay.shape == (1024, 1024, 3)
    assert np.abs(overlay - engine.crop("a.png")).mean() > 5  # coloured


def test_info_prints_the_plan(e4s, fails):
    code, out, err = e4s("info", "--plan")
    assert (code, err) == (0, "")
    for word in ("encode: ", "decode: ", "arena", "without reuse", "regional_conv", "GFLOP", "offset"):
        assert word in out
    shares = {name: float(share) for name, share in re.findall(r"(\w+) ([\d.]+)%", out.splitlines()[-1])}
    assert 0 < shares["eyes"] < shares["nose"] < shares["face"] < 100
    _, out, _ = e4s("info", "--plan", "--regions", "eyes,nose")
    assert shares["nose"] < float(re.findall(r"eyes, nose ([\d.]+)%", out)[0]) < shares["face"]
    assert "pass --plan as well" in fails("info", "--regions", "eyes")
    assert "the native one does" in fails("info", "--plan", "--backend", "reference")


def test_landmarks_of_a_single_photo(e4s, engine):
    five = ("--image-landmarks", "five.json", "-o", "out.png", "--overwrite")
    done(e4s("reconstruct", "wide.png", *five))
    expected = engine.reconstruct("wide.png", landmarks=FIVE).image
    np.testing.assert_array_equal(images.read("out.png"), expected)
    done(e4s("edit", "wide.png", "b.png", "--regions", "hair", *five))
    expected = engine.edit("wide.png", "b.png", ["hair"], landmarks=FIVE).image
    np.testing.assert_array_equal(images.read("out.png"), expected)
    done(e4s("parse", "wide.png", *five))
    assert images.read("out.png").shape == (1024, 1024, 3)


def test_saved_labels_can_be_given_again(e4s):
    done(e4s("parse", "a.png", "-o", "overlay.png", "--save-labels", "found.png"))
    done(e4s("reconstruct", "a.png", "-o", "parsed.png"))
    done(e4s("reconstruct", "a.png", "-o", "given.png", "--labels", "found.png", "--parser", "none"))
    np.testing.assert_array_equal(images.read("parsed.png"), images.read("given.png"))


def test_convert(e4s):
    model = weights.random_model(TINY_PARSER, 1)
    state = {name: torch.from_numpy(t) for name, t in model.tensors.items()}
    torch.save({**state, "aux.weight": torch.zeros(3)}, "79999_iter.pth")
    code, out, err = e4s("convert", "79999_iter.pth", "parser.safetensors", model=False)
    assert (code, err) == (0, "")
    assert "parser.safetensors: parser, " in out and "aux.weight" in out
    assert weights.load("parser.safetensors", "parser").config == TINY_PARSER


def test_info(e4s, monkeypatch):
    code, out, err = e4s("info", "--json")
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert report["parser"] == "network" and report["backend"] == "native" and "64" in report["model"]
    monkeypatch.delenv("E4S_WEIGHTS", raising=False)
    code, out, err = e4s("info", model=False)
    assert (code, err) == (0, "") and "cpu features:" in out and "demo.safetensors" in out


def test_bench(e4s):
    code, out, err = e4s("bench", "--repeat", "1", "--json")
    seconds = json.loads(out.splitlines()[-1])
    assert (code, err) == (0, "")
    assert set(seconds) == {
        f"{stage}_s" for stage in ("read", "encode", "compose", "decode", "blend", "total")
    }
    assert all(value > 0 for value in seconds.values())
    code, out, err = e4s("bench", "--repeat", "1")
    assert (code, err) == (0, "") and "total" in out and "ms" in out
