"""`e4s encode`, and its files as sources of other commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_tools import done

from e4s_engine.photo import images
from e4s_engine.result import Face

ENCODE = ["encode", "a.png", "--labels", "labels.png", "-o", "ann.face"]
KNOWN = ["--target-labels", "labels.png"]


@pytest.fixture
def ann(e4s):
    done(e4s(*ENCODE, "--consent", "agreed", "--licence", "CC0"))
    return "ann.face"


def test_a_face_file_swaps_like_its_photo(e4s, ann):
    face = Face.load(ann)
    assert (face.consent, face.licence) == ("agreed", "CC0") and face.thumbnail
    done(e4s("swap", ann, "b.png", "-o", "by_file.png", *KNOWN))
    done(e4s("swap", "a.png", "b.png", "-o", "by_photo.png", "--source-labels", "labels.png", *KNOWN))
    np.testing.assert_array_equal(images.read("by_file.png"), images.read("by_photo.png"))


def test_other_places_for_a_face_file(e4s, ann):
    done(e4s("edit", "b.png", ann, "--regions", "hair", "--labels", "labels.png", "-o", "edit.png"))
    also = ["--regions", "eyes", "--also", f"hair={ann}", "--source-labels", "labels.png"]
    done(e4s("swap", "c.png", "b.png", "-o", "also.png", *also, *KNOWN))
    assert Path("edit.png").stat().st_size and Path("also.png").stat().st_size


def test_several_photos_become_one_person(e4s, fails, ann):
    done(e4s("encode", "b.png", "--labels", "labels.png", "-o", "b.face"))
    done(e4s("encode", ann, "b.face", "-o", "mean.face"))
    mean = Face.load("mean.face")
    wanted = (Face.load(ann).styles + Face.load("b.face").styles) / 2
    np.testing.assert_allclose(mean.styles, wanted, atol=1e-5)
    assert mean.consent == "agreed"
    done(e4s("encode", ann, "b.face", "--how", "best", "--consent", "", "-o", "best.face"))
    assert Face.load("best.face").consent == ""
    assert "belong to one photo" in fails("encode", ann, "b.png", "--face", "1", "-o", "x.face", code=2)


def test_no_thumbnail(e4s):
    done(e4s(*ENCODE, "--no-thumbnail"))
    assert Face.load("ann.face").thumbnail is None


def test_what_a_face_file_cannot_do(e4s, fails, ann):
    assert "name the photo itself" in fails(
        "swap", "b.png", ann, "-o", "x.png", "--source-labels", "labels.png"
    )
    assert "leave out the flags" in fails("swap", ann, "b.png", "-o", "x.png", "--source-face", "1", code=2)
    assert "saved faces do not hold" in fails(
        "swap", ann, "b.png", "-o", "x.png", "--explain", "s.png", code=2
    )
    Path("bad.face").write_bytes(b"no face")
    assert "source: bad.face is no saved Face" in fails("swap", "bad.face", "b.png", "-o", "x.png", code=1)


def test_files_are_kept(fails, e4s, ann):
    assert "exists already" in fails(*ENCODE, code=1)
    done(e4s(*ENCODE, "--overwrite"))
    assert "must end in" in fails("encode", "a.png", "-o", "ann.jpg", code=2)
