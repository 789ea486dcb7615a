"""Nothing of the user's is lost: outputs that are inputs, and files that exist, are kept."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from cli_tools import SWAP, done
from PIL import Image

from e4s_engine.photo import images

EDIT = ["edit", "a.png", "b.png", "--regions", "hair"]


def contents():
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("command", "lost"),
    [
        (["swap", "a.png", "b.png", "-o", "b.png"], "b.png"),
        (["swap", "a.png", "b.png", "-o", "a.png"], "a.png"),
        (["swap", "a.png", "b.png", "-o", "./deep/../b.png"], "b.png"),
        (["swap", "a.png", "b.png", "-o", "symbolic.png"], "b.png"),
        (["swap", "a.png", "b.png", "-o", "hard.png"], "b.png"),
        (["swap", "a.png", "symbolic.png", "-o", "b.png"], "symbolic.png"),
        ([*SWAP, "--regions", "eyes", "--also", "hair=c.png", "--explain", "c.png"], "c.png"),
        (["swap", "a.png", "b.png", "-o", "c.png", "--faces", "0", "--put", "1=c.png"], "c.png"),
        ([*SWAP[:3], "-o", "labels.png", "--target-labels", "labels.png"], "labels.png"),
        ([*EDIT, "-o", "a.png"], "a.png"),
        ([*EDIT, "-o", "b.png"], "b.png"),
        (["reconstruct", "a.png", "-o", "a.png"], "a.png"),
        (["parse", "a.png", "-o", "a.png"], "a.png"),
        (["parse", "a.png", "-o", "out.png", "--save-labels", "a.png"], "a.png"),
        (["faces", "a.png", "-o", "a.png"], "a.png"),
        (["convert", "model.safetensors", "model.safetensors"], "model.safetensors"),
        # In a batch the folder holds an input of the same name.
        (["swap", "a.png", "b.png", "c.png", "-o", "."], "b.png"),
        (["swap", "made/b.png", "b.png", "c.png", "-o", "made"], "made/b.png"),
        (["swap", "a.png", "b.png", "c.png", "-o", "made", "--regions", "eyes", "--also", "lips=made/b.png"],
         "made/b.png"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_input_is_not_replaced(fails, command, lost):
    Path("deep").mkdir()
    Path("made").mkdir()
    Path("made/b.png").write_bytes(Path("b.png").read_bytes())
    Path("symbolic.png").symlink_to("b.png")
    os.link("b.png", "hard.png")
    Path("model.safetensors").touch()
    before = contents()
    message = fails(*command, "--weights", "absent.pt", model=False) if command[0] != "convert" else fails(
        *command, model=False
    )  # fmt: skip
    assert f"would replace the input {lost}" in message and "absent.pt" not in message
    assert contents() == before


def test_case_may_not_matter(fails, monkeypatch):
    """On a disk that ignores case, B.png is b.png: both have one inode, as a hard link has here."""
    os.link("b.png", "B.PNG")
    assert "would replace the input b.png (under the name B.PNG)" in fails(*SWAP[:3], "-o", "B.PNG")
    assert "--explain: is the same file as --output" in fails(*SWAP, "--explain", "OUT.png")


@pytest.mark.parametrize(
    "command",
    [
        SWAP,
        [*SWAP, "--explain", "sheet.png"],
        [*EDIT, "-o", "out.png"],
        ["reconstruct", "a.png", "-o", "out.png"],
        ["parse", "a.png", "-o", "out.png"],
        ["parse", "a.png", "-o", "new.png", "--save-labels", "out.png"],
        ["faces", "a.png", "-o", "out.png"],
        ["demo", "-o", "out.png"],
        ["convert", "a.pt", "out.png"],
    ],
    ids=" ".join,
)
def test_a_file_that_exists_is_kept(fails, command):
    Path("out.png").write_bytes(b"of another make")
    before = contents()
    message = fails(*command, model=command[0] != "convert")
    assert "out.png exists already" in message and "--overwrite" in message
    assert contents() == before


def test_overwrite_is_for_those_who_mean_it(e4s, engine):
    expected = engine.swap("a.png", "b.png").image
    done(e4s("swap", "a.png", "b.png", "-o", "b.png", "--overwrite"))
    np.testing.assert_array_equal(images.read("b.png"), expected)
    done(e4s(*EDIT, "-o", "a.png", "--overwrite"))
    assert (images.read("a.png") != images.read("b.png")).any()


def test_overwrite_in_a_batch_replaces_a_photo_by_its_own_result_alone(e4s, engine, fails):
    expected = engine.swap("a.png", "b.png").image
    Path("photos").mkdir()
    Path("photos/b.png").write_bytes(Path("b.png").read_bytes())
    Path("photos/a.png").write_bytes(Path("a.png").read_bytes())
    message = fails("swap", "photos/a.png", "a.png", "b.png", "-o", "photos", "--overwrite")  # the source
    assert "would replace the input photos/a.png; choose another name or folder\n" in message
    code, out, err = e4s("swap", "a.png", "photos", "-o", "photos", "--overwrite")
    assert (code, err) == (0, "") and "2 of 2" in out
    np.testing.assert_array_equal(images.read("photos/b.png"), expected)


def test_a_batch_goes_on_where_it_stopped(e4s, fails):
    batch = ("swap", "a.png", "b.png", "c.png", "-o", "made", "--regions", "eyes")
    assert e4s(*batch)[0] == 0
    first = contents()
    message = fails(*batch)
    assert "2 of 2 results exist already, made/b.png first; --skip-existing" in message
    assert "--overwrite" in message and contents() == first
    Path("made/c.png").unlink()
    Path("made/b.png").write_bytes(b"kept")
    code, out, err = e4s(*batch, "--skip-existing")
    assert (code, out, err) == (0, "1 of 2 photos written to made, 1 kept, as they exist\n", "")
    assert Path("made/b.png").read_bytes() == b"kept"
    assert Path("made/c.png").read_bytes() == first[Path("made/c.png")]
    Path("photos").mkdir()
    for name in ("b", "bad"):
        Path(f"photos/{name}.png").write_bytes(Path(f"{name}.png").read_bytes())
    code, out, err = e4s(
        "swap", "a.png", "photos", "-o", "made", "--skip-existing"
    )  # one is left, and is bad
    assert (code, out) == (1, "0 of 2 photos written to made, 1 kept, as they exist, 1 failed\n")
    assert err.startswith("e4s: error: photos/bad.png: is truncated")
    code, out, err = e4s(*batch, "--skip-existing", "--weights", "absent.pt", model=False)  # nothing is left
    assert (code, out, err) == (0, "0 of 2 photos written to made, 2 kept, as they exist\n", "")


def test_a_result_that_appears_meanwhile_is_kept(e4s, monkeypatch):
    """Stand for a disk that ignores case, where T.png and t.png are one."""
    from e4s_engine.result import Result

    real = Result.save

    def save(self, path, **more):
        real(self, path, **more)
        if Path(path).name == "b.png":
            os.link(path, "made/c.png")

    monkeypatch.setattr(Result, "save", save)
    for more in ([], ["--overwrite"]):
        for path in Path().glob("made/*"):
            path.unlink()
        code, out, err = e4s("swap", "a.png", "b.png", "c.png", "-o", "made", "--regions", "eyes", *more)
        assert code == 1 and "1 of 2" in out
        assert "c.png: --output: made/c.png has appeared meanwhile and is kept" in err


def test_the_demos_own_sheet_is_replaced(e4s, here):
    """`make demo` runs again; a sheet that the user names is kept."""
    Path("out").mkdir()
    Image.new("RGB", (40, 40)).save("out/demo.png")
    done_code, out, err = e4s("demo", "--photos", "photos")
    assert (done_code, err) == (0, "") and "look at out/demo.png" in out
    assert sorted(path.name for path in here.glob("photos/*")) == ["e4s_source.png", "e4s_target.png"]
    assert images.read("out/demo.png").shape[1] > 1000
