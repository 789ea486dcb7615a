"""The command line, run in this process with the tiny model: its files, messages and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY_PARSER
from PIL import Image

from e4s_engine import cli, regions, weights
from e4s_engine.photo import align, images
from e4s_engine.pipeline.pipeline import Pipeline
from e4s_engine.testing.portraits import portrait

SIDE = 96
LABELS = portrait(0)[1]
FIVE = [[38, 40], [58, 40], [48, 52], [40, 62], [56, 62]]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Enter a folder of photos: a.png to c.png, wide.png, bad.png, labels and landmarks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("E4S_WEIGHTS", raising=False)
    for seed, name in enumerate("abc"):
        noise = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        images.write(noise, f"{name}.png")
    images.write(np.full((64, 96, 3), 90, np.uint8), "wide.png")
    Path("bad.png").write_bytes(Path("a.png").read_bytes()[:500])
    np.save("labels.npy", LABELS)
    images.write(LABELS, "labels.png")
    Path("five.json").write_text(json.dumps(FIVE))
    return tmp_path


@pytest.fixture
def e4s(here, tiny_weights, capsys):
    """Return a function that runs a command with the tiny weights: exit code, stdout, stderr."""

    def run(*arguments, model=True):
        given = ["--weights", str(tiny_weights / "model.safetensors")] if model else []
        code = cli.main([*map(str, arguments), *given])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def fails(e4s):
    """Return a function that runs a command that fails: exit code 1, and one line on stderr, its result."""

    def run(*arguments, model=True):
        code, out, err = e4s(*arguments, model=model)
        assert code == 1
        assert err.startswith("e4s: error: ") and err.endswith("\n") and err.count("\n") == 1, err
        assert not out
        return err

    return run


def done(outcome):
    code, _, err = outcome
    assert (code, err) == (0, "")


# e4s swap


def test_swap_is_what_the_engine_does(e4s, engine):
    done(e4s("swap", "a.png", "b.png", "-o", "out.png"))
    np.testing.assert_array_equal(images.read("out.png"), engine.swap("a.png", "b.png").image)


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        (["--regions", "eyes", "lips"], {"regions": ["eyes", "lips"]}),
        (["--regions", "face", "--extent", "0.5"], {"regions": ["face"], "extent": 0.5}),
        (["--regions", "hair", "--no-shape"], {"regions": ["hair"], "shape": False}),
        (["--regions", "hair", "--no-texture"], {"regions": ["hair"], "texture": False}),
        (["--hair-last"], {"hair_first": False}),
        (["--no-relight"], {"relight": False}),
        (["--blend", "none"], {"blend": "none"}),
        (["--blend", "multiband"], {"blend": "multiband"}),
        (["--align", "no"], {"align": False}),
        (["--regions"], {"regions": []}),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_swap_options(e4s, engine, flags, options):
    done(e4s("swap", "a.png", "b.png", "-o", "out.png", *flags))
    np.testing.assert_array_equal(images.read("out.png"), engine.swap("a.png", "b.png", **options).image)


@pytest.mark.parametrize("name", ["labels.png", "labels.npy"])
def test_swap_with_labels(e4s, engine, name):
    labels = ["--source-labels", name, "--target-labels", name]
    done(e4s("swap", "a.png", "b.png", "-o", "out.png", "--parser", "none", *labels))
    expected = engine.swap("a.png", "b.png", source_labels=LABELS, target_labels=LABELS).image
    np.testing.assert_array_equal(images.read("out.png"), expected)


@pytest.mark.parametrize("convention", ["celebamask_hq", "bisenet"])
def test_swap_with_19_labels(e4s, engine, convention):
    many = np.random.default_rng(0).integers(0, 19, (64, 64), dtype=np.uint8)
    images.write(many, "many.png")
    labels = ["--source-labels", "many.png", "--target-labels", "many.png", "--label-format", convention]
    done(e4s("swap", "a.png", "b.png", "-o", "out.png", *labels))
    twelve = regions.from_19(many, convention)
    expected = engine.swap("a.png", "b.png", source_labels=twelve, target_labels=twelve).image
    np.testing.assert_array_equal(images.read("out.png"), expected)


@pytest.mark.parametrize("kind", ["json", "npy", "txt", "commas"])
def test_swap_with_landmarks(e4s, engine, kind):
    np.save("five.npy", np.array(FIVE, float))
    Path("five.txt").write_text("\n".join(f"{x} {y}" for x, y in FIVE) + "\n\n")
    Path("five.commas").write_text("\n".join(f"{x}, {y}" for x, y in FIVE))
    landmarks = ["--target-landmarks", f"five.{kind}"]
    done(e4s("swap", "a.png", "wide.png", "-o", "out.png", *landmarks))
    expected = engine.swap("a.png", "wide.png", target_landmarks=FIVE).image
    np.testing.assert_array_equal(images.read("out.png"), expected)


def test_swap_from_several_people(e4s, engine):
    done(
        e4s(
            "swap",
            "a.png",
            "b.png",
            "-o",
            "out.png",
            "--regions",
            "eyes",
            "nose",
            "--also",
            "hair,lips=c.png",
        )
    )
    expected = engine.swap({("eyes", "nose"): "a.png", ("hair", "lips"): "c.png"}, "b.png").image
    np.testing.assert_array_equal(images.read("out.png"), expected)


def test_explain(e4s):
    also = ["--regions", "eyes", "--also", "lips=c.png"]
    for sources, flags in ((1, []), (2, also), (1, ["--regions"])):
        done(e4s("swap", "a.png", "b.png", "-o", "out.png", "--explain", "sheet.png", *flags))
        sheet = images.read("sheet.png")
        panels = sources + 3  # the target, the face as generated, the result
        assert sheet.shape[1] > panels * 384 and sheet.shape[0] > 2 * 384
        assert len(np.unique(sheet.reshape(-1, 3), axis=0)) > 1000


def test_several_targets(e4s, engine):
    code, out, err = e4s("swap", "a.png", "b.png", "c.png", "-o", "made/deep")
    assert (code, err) == (0, "") and "2 of 2 photos written to made/deep" in out
    for name in "bc":
        expected = engine.swap("a.png", f"{name}.png").image
        np.testing.assert_array_equal(images.read(f"made/deep/{name}.png"), expected)


def test_a_folder_and_names_that_collide(e4s):
    for name in ("photos/x.png", "photos/x.bmp", "photos/x_2.png", "more/x.png"):
        Path(name).parent.mkdir(exist_ok=True)
        images.write(images.read("b.png"), name)
    Path("photos/notes.txt").write_text("no photo")
    Path("photos/folder.png").mkdir()
    code, out, err = e4s("swap", "a.png", "photos", "more/x.png", "-o", "made", "--regions", "eyes")
    assert (code, err) == (0, "") and "4 of 4" in out
    assert sorted(p.name for p in Path("made").iterdir()) == ["x.png", "x_2.png", "x_2_2.png", "x_3.png"]


def test_one_target_into_a_folder(e4s):
    Path("made").mkdir()
    done(e4s("swap", "a.png", "b.png", "-o", "made", "--regions", "eyes"))
    assert [p.name for p in Path("made").iterdir()] == ["b.png"]


def test_a_bad_photo_among_good_ones(e4s):
    code, out, err = e4s("swap", "a.png", "b.png", "bad.png", "absent.png", "wide.png", "c.png", "-o", "made")
    assert code == 1 and "2 of 5 photos written" in out
    lines = err.splitlines()
    assert len(lines) == 3 and all(line.startswith("e4s: error: ") for line in lines), err
    assert "bad.png" in lines[0] and "truncated" in lines[0]
    assert "absent.png" in lines[1] and "no such file" in lines[1]
    assert "wide.png" in lines[2] and "landmarks" in lines[2]
    assert sorted(p.name for p in Path("made").iterdir()) == ["b.png", "c.png"]


# The other commands


def test_edit(e4s, engine):
    done(e4s("edit", "a.png", "b.png", "--regions", "hair", "lips", "--extent", "0.4", "-o", "out.png"))
    expected = engine.edit("a.png", "b.png", ["hair", "lips"], 0.4).image
    np.testing.assert_array_equal(images.read("out.png"), expected)


def test_reconstruct(e4s, engine):
    done(e4s("reconstruct", "a.png", "--labels", "labels.png", "-o", "out.png"))
    np.testing.assert_array_equal(images.read("out.png"), engine.reconstruct("a.png", LABELS).image)


def test_parse(e4s, engine):
    done(e4s("parse", "a.png", "-o", "overlay.png", "--save-labels", "found.png"))
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
    assert "the native one does" in fails("info", "--plan", "--backend", "reference")


def test_landmarks_of_a_single_photo(e4s, engine):
    five = ("--image-landmarks", "five.json", "-o", "out.png")
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


# Errors

SWAP = ["swap", "a.png", "b.png", "-o", "out.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["swap", "absent.png", "b.png", "-o", "out.png"], ["no such file", "absent.png"]),
        (["swap", "bad.png", "b.png", "-o", "out.png"], ["truncated or damaged"]),
        (["swap", "five.json", "b.png", "-o", "out.png"], ["not an image"]),
        (["swap", "a.png", "absent.png", "-o", "out.png"], ["target", "no such file"]),
        (["swap", "a.png", "x" * 5000, "-o", "out.png"], ["too long"]),
        (["swap", "a.png", "empty", "-o", "out.png"], ["target: the folder empty holds no pictures"]),
        (["swap", "a.png", "wide.png", "-o", "out.png"], ["landmarks", "square aligned portrait"]),
        ([*SWAP, "--align", "yes"], ["align=True needs landmarks"]),
        (
            [*SWAP, "--regions", "eys"],
            ["--regions: unknown region 'eys'", "did you mean 'eyes'", "Known are"],
        ),
        ([*SWAP, "--extent", "2"], ["extent: expected a number in [0, 1]", "2.0"]),
        ([*SWAP, "--extent", "nan"], ["extent: expected a number in [0, 1]"]),
        ([*SWAP, "--also", "hair=c.png"], ["--also: needs --regions"]),
        ([*SWAP, "--regions", "eyes", "--also", "c.png"], ["--also: expected REGION[,REGION...]=IMAGE"]),
        ([*SWAP, "--regions", "eyes", "--also", "eyes=c.png"], ["eyes given by two sources"]),
        ([*SWAP, "--regions", "eyes", "--also", "face=c.png"], ["eyes given by two sources"]),
        ([*SWAP, "--regions", "--also", "hair=c.png"], ["names no region"]),
        ([*SWAP, "--regions", "eyes", "--also", "hiar=c.png"], ["unknown region 'hiar'", "'hair'"]),
        ([*SWAP, "--regions", "eyes", "--also", "hair="], ["not a file"]),
        (["swap", "a.png", "b.png", "-o", "no/such/out.png"], ["--output: the folder", "create it first"]),
        (["swap", "a.png", "b.png", "-o", "out.xyz"], ["--output: unknown picture format '.xyz'", ".png"]),
        (["swap", "a.png", "b.png", "-o", "out"], ["--output: unknown picture format ''", ".png"]),
        (["swap", "a.png", "b.png", "c.png", "-o", "a.png"], ["--output: ", "expected a folder"]),
        (["swap", "a.png", "b.png", "c.png", "-o", "new.png"], ["--output: ", "expected a folder"]),
        (["swap", "a.png", "b.png", "c.png", "-o", "a.png/made"], ["--output: cannot make the folder"]),
        (["swap", "a.png", "b.png", "c.png", "-o", "."], ["--output: would write over the target photo"]),
        (["swap", "a.png", ".", "-o", "."], ["--output: would write over the target photo"]),
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
        ([*SWAP, "--parser", "none"], ["no parser", "pass labels"]),
        ([*SWAP, "--parser", "absent.safetensors"], ["parser: no such file"]),
        ([*SWAP, "--landmarks", "no_such_module:find"], ["landmarks: cannot import"]),
        ([*SWAP, "--device", "tpu"], ["device: expected"]),
        ([*SWAP, "--device", "cpu", "--precision", "fp16"], ["precision: fp16 needs a GPU"]),
        (["edit", "a.png", "b.png", "--regions", "eys", "-o", "out.png"], ["unknown region", "did you mean"]),
        (["edit", "a.png", "b.png", "--regions", "eyes", "--extent", "-1", "-o", "out.png"], ["extent: "]),
        (["edit", "a.png", "b.png", "--regions", "eyes", "-o", "no/out.png"], ["--output: "]),
        (["reconstruct", "bad.png", "-o", "out.png"], ["image: ", "truncated"]),
        (["reconstruct", "a.png", "-o", "out.xyz"], ["--output: "]),
        (["parse", "bad.png", "-o", "out.png"], ["image: ", "truncated"]),
        (
            ["parse", "a.png", "-o", "out.png", "--save-labels", "labels.jpg"],
            ["--save-labels: ", "write .png"],
        ),
        (["parse", "a.png", "-o", "out.png", "--save-labels", "no/l.png"], ["--save-labels: ", "create it"]),
        (["parse", "a.png", "-o", "out.png", "--save-labels", "l.npy"], ["--save-labels: ", ".png"]),
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
        (["absent.pt", "o.safetensors"], ["official_pt: no such file"]),
        (["a.png", "o.safetensors"], ["official_pt: ", "must end in"]),
        (["evil.pt", "o.safetensors"], ["official_pt: ", "damaged"]),
        (["evil.pt", "o.bin"], ["out_safetensors: ", ".safetensors"]),
        (["evil.pt", "no/o.safetensors"], ["out_safetensors: ", "create it first"]),
    ],
)
def test_bad_conversions(fails, arguments, words):
    Path("evil.pt").write_bytes(b"\x80\x02cos\nsystem\nX\x05\0\0\0touch\x85R.")
    message = fails("convert", *arguments, model=False)
    assert all(word in message for word in words), message


def test_weights_from_the_environment(e4s, fails, tiny_weights, monkeypatch):
    monkeypatch.setenv("E4S_WEIGHTS", "absent.pt")
    message = fails(*SWAP, model=False)
    assert "weights: " in message and "absent.pt" in message
    monkeypatch.setenv("E4S_WEIGHTS", str(tiny_weights / "model.safetensors"))
    done(e4s(*SWAP, "--regions", "eyes", model=False))


def test_the_bundled_model_says_what_it_is_for(e4s, monkeypatch):
    monkeypatch.delenv("E4S_WEIGHTS", raising=False)
    code, _, err = e4s("parse", "a.png", "-o", "parsed.png", model=False)
    assert code == 0 and "rendered faces only" in err
    assert "rendered" not in e4s("parse", "a.png", "-o", "parsed.png")[2]


def test_an_existing_output_survives_a_failure(fails, monkeypatch):
    Path("out.png").write_bytes(b"precious")
    fails("swap", "a.png", "bad.png", "-o", "out.png")

    def full(self, path, **options):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    assert "No space left" in fails(*SWAP)
    assert Path("out.png").read_bytes() == b"precious"
    assert not [p for p in Path().iterdir() if p.name.startswith(".")]


def test_a_read_only_output_is_found_before_the_work(fails, monkeypatch):
    Path("out.png").write_bytes(b"precious")
    real = os.access
    monkeypatch.setattr(os, "access", lambda p, mode: Path(p).name != "out.png" and real(p, mode))
    assert "--output: " in fails(*SWAP, "--weights", "absent.pt", model=False)
    assert "read-only" in fails(*SWAP)


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
        ["bench", "--repeat", "0"],
        ["bench", "--repeat", "x"],
        ["info", "--precision", "int8"],
    ],
)
def test_wrong_usage(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert "usage: e4s" in capsys.readouterr().err


@pytest.mark.parametrize("command", [*cli.COMMANDS, "train"])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    assert f"usage: e4s {command}" in capsys.readouterr().out


def test_an_interruption_is_no_traceback(e4s, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("e4s_engine.cli.swap._swap_one", interrupt)
    assert e4s(*SWAP) == (130, "", "e4s: interrupted\n")


def test_as_a_program_of_its_own(here, tiny_weights):
    def e4s(*arguments):
        command = [sys.executable, "-m", "e4s_engine.cli", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    model = str(tiny_weights / "model.safetensors")
    good = e4s(*SWAP, "--weights", model, "--regions", "eyes", "nose")
    assert (good.returncode, good.stderr) == (0, "")
    assert images.read("out.png").shape == (SIDE, SIDE, 3)
    bad = e4s("swap", "a.png", "bad.png", "-o", "out.png", "--weights", model)
    assert bad.returncode == 1 and "Traceback" not in bad.stderr and bad.stderr.count("\n") == 1


@pytest.fixture
def calls(monkeypatch):
    """Count the reads, alignments and parses of photos."""
    counted = Counter()

    def watch(owner, name):
        real = getattr(owner, name)

        def counting(*arguments):
            counted[name] += 1
            return real(*arguments)

        monkeypatch.setattr(owner, name, counting)

    for owner, name in ((images, "read"), (align, "whole"), (align, "crop"), (Pipeline, "_parse")):
        watch(owner, name)
    return counted


def test_every_photo_is_read_aligned_and_parsed_once(e4s, calls):
    done(e4s("parse", "a.png", "-o", "overlay.png", "--save-labels", "labels.png"))
    assert calls == {"read": 1, "whole": 1, "_parse": 1}
    calls.clear()
    also = ["--regions", "eyes", "--also", "lips=c.png"]
    done(e4s("swap", "a.png", "b.png", "-o", "out.png", "--explain", "sheet.png", *also))
    assert calls == {"read": 3, "whole": 3, "_parse": 3}
    calls.clear()
    aligned = ["--target-landmarks", "five.json", "--target-labels", "labels.npy"]
    done(e4s("swap", "a.png", "wide.png", "-o", "out.png", "--explain", "sheet.png", *aligned))
    assert calls == {"read": 2, "whole": 1, "crop": 1, "_parse": 1}


def test_the_sheet_shows_labels_that_were_passed(e4s):
    labels = ["--source-labels", "labels.npy", "--target-labels", "labels.npy", "--parser", "none"]
    done(e4s("swap", "a.png", "b.png", "-o", "out.png", "--explain", "sheet.png", *labels))
    assert images.read("sheet.png").shape[1] > 4 * 384
