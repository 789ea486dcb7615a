"""`e4s swap`, run in this process with the tiny model."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from cli_tools import FIVE, LABELS, done

from e4s_engine import regions
from e4s_engine.photo import align, images
from e4s_engine.pipeline.pipeline import Pipeline


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
        (["--earrings-first"], {"earrings_first": True}),
        (["--no-relight"], {"relight": False}),
        (["--regions", "nose", "--match", "none"], {"regions": ["nose"], "match": "none"}),
        (["--blend", "none"], {"blend": "none"}),
        (["--blend", "multiband"], {"blend": "multiband"}),
        (["--align", "no"], {"align": False}),
        (["--regions", "eyes,nose"], {"regions": ["eyes", "nose"]}),
        (["--regions", "eyes, nose", "inner mouth"], {"regions": ["eyes", "nose", "mouth"]}),
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
    for sources, flags in ((1, []), (2, also)):
        flags = [*flags, "--overwrite"]  # noqa: PLW2901
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
    code, out, err = e4s("swap", "a.png", "photos", "-o", "made", "--regions", "eyes")
    assert (code, err) == (0, "") and "3 of 3" in out
    assert sorted(p.name for p in Path("made").iterdir()) == ["x.bmp", "x.png", "x_2.png"]


def test_one_target_into_a_folder(e4s):
    Path("made").mkdir()
    done(e4s("swap", "a.png", "b.png", "-o", "made", "--regions", "eyes"))
    assert [p.name for p in Path("made").iterdir()] == ["b.png"]


def test_a_bad_photo_among_good_ones(e4s):
    code, out, err = e4s("swap", "a.png", "b.png", "bad.png", "absent.png", "wide.png", "c.png", "-o", "made")
    assert (code, out) == (1, "2 of 5 photos written to made, 3 failed\n")
    lines = err.splitlines()
    assert lines[0].startswith("e4s: error: bad.png: is truncated or damaged")
    assert lines[1] == "e4s: error: absent.png: no such file: absent.png"
    assert lines[2].startswith("e4s: error: wide.png: ")
    # What to do about it is said once for all, after the errors.
    assert all(line.startswith("e4s: hint: ") for line in lines[3:]) and len(lines) == 5
    assert max(map(len, lines[:3])) < 120 and "--target-landmarks" in lines[4]
    assert sorted(p.name for p in Path("made").iterdir()) == ["b.png", "c.png"]


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

    for owner, name in ((images, "read_photo"), (align, "whole"), (align, "crop"), (Pipeline, "_parse")):
        watch(owner, name)
    return counted


def test_every_photo_is_read_aligned_and_parsed_once(e4s, calls):
    done(e4s("parse", "a.png", "-o", "overlay.png", "--save-labels", "found.png"))
    assert calls == {"read_photo": 1, "whole": 1, "_parse": 1}
    calls.clear()
    also = ["--regions", "eyes", "--also", "lips=c.png"]
    done(e4s("swap", "a.png", "b.png", "-o", "out.png", "--explain", "sheet.png", *also))
    assert calls == {"read_photo": 3, "whole": 3, "_parse": 3}
    calls.clear()
    aligned = ["--target-landmarks", "five.json", "--target-labels", "labels.npy"]
    done(e4s("swap", "a.png", "wide.png", "-o", "out2.png", "--explain", "sheet2.png", *aligned))
    assert calls == {"read_photo": 2, "whole": 1, "crop": 1, "_parse": 1}


def test_the_sheet_shows_labels_that_were_passed(e4s):
    labels = ["--source-labels", "labels.npy", "--target-labels", "labels.npy", "--parser", "none"]
    done(e4s("swap", "a.png", "b.png", "-o", "out.png", "--explain", "sheet.png", *labels))
    assert images.read("sheet.png").shape[1] > 4 * 384
