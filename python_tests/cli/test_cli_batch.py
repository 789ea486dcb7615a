"""Batches: names of results, folders, formats, files beside the targets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from cli_tools import FIVE, LABELS, done
from PIL import Image

from e4s_engine.cli.targets import name_of
from e4s_engine.photo import images, opening


def test_an_output_that_ends_in_a_slash_is_a_folder(e4s):
    done(e4s("swap", "a.png", "b.png", "-o", "new/", "--regions", "eyes"))
    assert [path.name for path in Path("new").iterdir()] == ["b.png"]


@pytest.mark.parametrize(
    ("photo", "form", "name"),
    [
        ("t.jpg", None, "t.jpg"),
        ("t.png", None, "t.png"),
        ("sub/IMG_1.JPEG", None, "sub/IMG_1.JPEG"),
        ("t.gif", None, "t.gif.png"),
        ("t.heic", None, "t.heic.png"),
        ("t.jpg", "png", "t.jpg.png"),
        ("t.png", "png", "t.png"),
        ("t.jpeg", "jpg", "t.jpeg"),
        ("t.tif", "tiff", "t.tif"),
        ("t.old.webp", "jpg", "t.old.webp.jpg"),
    ],
)
def test_a_name_is_a_function_of_the_photo_alone(photo, form, name):
    assert name_of(Path(photo), form) == Path(name)


def made():
    return sorted(str(path.relative_to("made")) for path in Path("made").rglob("*") if path.is_file())


def test_every_kind_of_picture_in_a_folder_is_taken(e4s):
    """The kinds are those that can be read; hidden and AppleDouble files are no photos."""
    Path("photos").mkdir()
    photo = Image.open("b.png")
    for name in ("t.jpg", "t.png", "t.gif", "t.ppm", "t.BMP", "t.webp", "t.tif"):
        photo.save(f"photos/{name}")
    for name in ("._t.jpg", ".hidden.png", "notes.txt"):
        Path("photos", name).write_bytes(b"\0\5\x16\7")
    code, out, err = e4s("swap", "a.png", "photos", "-o", "made", "--regions", "eyes")
    assert code == 0 and "7 of 7" in out
    assert err.count("\n") == err.count(".bmp holds no metadata"), err
    assert made() == ["t.BMP", "t.gif.png", "t.jpg", "t.png", "t.ppm.png", "t.tif", "t.webp"]
    before = images.read("made/t.png")
    shutil.rmtree("made")
    Path("photos/t.jpg").unlink()  # the others keep their names
    e4s("swap", "a.png", "photos", "-o", "made", "--regions", "eyes")
    assert made() == ["t.BMP", "t.gif.png", "t.png", "t.ppm.png", "t.tif", "t.webp"]
    np.testing.assert_array_equal(images.read("made/t.png"), before)


def test_one_list_says_which_files_are_pictures():
    for name in ("a.avif", "a.heic", "a.ppm", "a.jpg", "a.HEIF"):
        assert Path(name).suffix.lower() in opening.SUFFIXES
    assert set(opening.DECODERS) == {"JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "HEIF"}
    assert images.FORMATS <= opening.SUFFIXES  # what is written can be read


def test_recursive(e4s, fails):
    for name in ("photos/x.png", "photos/sub/x.png", "photos/sub/.trash/y.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy("b.png", name)
    batch = ("swap", "a.png", "photos", "--regions", "eyes")
    assert "written" not in e4s(*batch, "-o", "flat")[1]  # a single photo needs no summary
    assert [path.name for path in Path("flat").iterdir()] == ["x.png"]
    code, _, err = e4s(*batch, "-o", "made", "--recursive")
    assert (code, err) == (0, "") and made() == ["sub/x.png", "x.png"]
    # An output folder inside is no folder of targets, at the second time either.
    for _ in range(2):
        code, out, err = e4s(*batch, "-o", "photos/made", "--recursive", "--overwrite")
        assert (code, err) == (0, "") and "2 of 2" in out
    Path("empty/sub").mkdir(parents=True)
    assert "--recursive looks into its folders" in fails("swap", "a.png", "empty", "-o", "made")


def test_results_that_would_be_one_file_are_refused(fails):
    for name in ("x", "y"):
        Path(name).mkdir()
        shutil.copy("b.png", f"{name}/t.png")
    message = fails("swap", "a.png", "x/t.png", "y/t.png", "-o", "made")
    assert "x/t.png and y/t.png would both become made/t.png" in message and "--recursive" in message


def test_format_and_quality(e4s, fails):
    Image.open("b.png").save("t.jpg", quality=50)
    batch = ("swap", "a.png", "c.png", "t.jpg", "--regions", "eyes")
    code, _, err = e4s(*batch, "-o", "made", "--format", "jpg", "--quality", "30")
    assert (code, err) == (0, "") and made() == ["c.png.jpg", "t.jpg"]
    with Image.open("made/t.jpg") as small:
        buffer = small.quantization
    Image.open("b.png").save("thirty.jpg", quality=30)
    with Image.open("thirty.jpg") as thirty:
        assert buffer == thirty.quantization
    assert "--quality: .png is lossless" in fails(*batch, "-o", "new", "--format", "png", "--quality", "30")
    assert "--quality: expected an integer from 1 to 100" in fails(*batch, "-o", "new", "--quality", "0")
    assert "--format: is for folders" in fails("swap", "a.png", "b.png", "-o", "o.png", "--format", "jpg")
    done(e4s("edit", "a.png", "b.png", "--regions", "eyes", "-o", "e.jpg", "--quality", "30"))
    with Image.open("e.jpg") as edited:
        assert edited.quantization == buffer


def test_landmarks_of_several_targets(e4s, engine, fails):
    """Refuse one set of landmarks for all: it would put a miniature face on a forehead."""
    shutil.copy("wide.png", "also.png")
    batch = ("swap", "a.png", "wide.png", "also.png", "-o", "made", "--target-landmarks")
    assert "--target-landmarks: five.json is one file for 2 targets; give a folder" in fails(
        *batch, "five.json"
    )
    Path("points").mkdir()
    Path("points/wide.json").write_text(json.dumps(FIVE))
    message = fails(*batch, "points")
    assert "points holds no file for also.png; expected also.json, also.npy, also.txt" in message
    moved = [[x - 8, y + 3] for x, y in FIVE]
    Path("points/also.png.json").write_text(json.dumps(moved))
    code, _, err = e4s(*batch, "points")
    assert (code, err) == (0, "")
    for name, points in (("wide", FIVE), ("also", moved)):
        expected = engine.swap("a.png", "wide.png", target_landmarks=points).image
        np.testing.assert_array_equal(images.read(f"made/{name}.png"), expected)


def test_labels_of_several_targets(e4s, engine, fails):
    batch = ("swap", "a.png", "b.png", "c.png", "-o", "made", "--parser", "none",
             "--source-labels", "labels.png", "--target-labels")  # fmt: skip
    assert "--target-labels: labels.png is one file for 2 targets" in fails(*batch, "labels.png")
    Path("maps").mkdir()
    other = np.rot90(LABELS).copy()
    images.write(LABELS, "maps/b.png")
    np.save("maps/c.npy", other + 12)
    assert "--target-labels: values must be 0..11" in fails(*batch, "maps")  # before anything is written
    np.save("maps/c.npy", other)
    assert e4s(*batch, "maps")[0] == 0
    for name, labels in (("b", LABELS), ("c", other)):
        expected = engine.swap("a.png", f"{name}.png", source_labels=LABELS, target_labels=labels).image
        np.testing.assert_array_equal(images.read(f"made/{name}.png"), expected)
