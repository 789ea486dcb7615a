"""`e4s faces`, and the faces of a target that `e4s swap` chooses; run in this process with the tiny model."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from cli_tools import done

from e4s_engine.engine import Engine
from e4s_engine.photo import images

UNIT = np.array([[-0.5, 0], [0.5, 0], [0, 0.6], [-0.4, 1.1], [0.4, 1.1]])
FACES = [UNIT * 20 + (160, 60), UNIT * 24 + (60, 60), UNIT * 6 + (250, 60)]
MODEL = ["--landmarks", f"{__name__}:find"]


def find(image: np.ndarray) -> list[np.ndarray]:
    """Find three faces in the group and one in any other photo."""
    return FACES if image.shape[1] == 310 else [UNIT * 20 + (48, 40)]


@pytest.fixture
def group(here) -> np.ndarray:
    photo = np.random.default_rng(9).integers(0, 256, (150, 310, 3), dtype=np.uint8)
    images.write(photo, "group.png")
    return photo


@pytest.fixture(scope="module")
def finding(tiny_weights) -> Any:
    with Engine(tiny_weights / "model.safetensors", landmarks=find, device="cpu") as engine:
        yield engine


def test_faces_are_listed_and_drawn(e4s, group) -> None:
    code, out, err = e4s("faces", "group.png", "-o", "overlay.png", *MODEL)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("0: at 60,63, crop 96 wide, turned 0 degrees, score 1.00")
    assert lines[2].endswith("(the face is about 12 pixels wide, below 40: a swap will be blurred)")
    assert lines[3] == f"3 faces by {__name__}:find"
    drawn = images.read("overlay.png")
    assert drawn.shape == group.shape and (drawn != group).any()


def test_faces_as_json(e4s, group, finding) -> None:
    _, out, _ = e4s("faces", "group.png", "--json", *MODEL)
    listed = [json.loads(line) for line in out.splitlines()]
    assert [face["number"] for face in listed] == [0, 1, 2]
    np.testing.assert_allclose(listed[1]["points"], finding.faces(group)[1].points)
    assert listed[0]["warning"] is None and "12 pixels" in listed[2]["warning"]


@pytest.mark.parametrize(
    ("flags", "faces"),
    [
        ([], "largest"), (["--faces", "all"], "all"), (["--faces", "right"], "right"), (["--faces", "1"], 1),
        (["--faces", "2,0"], [2, 0]), (["--faces", "0", "--explain", "sheet.png"], 0),
    ],
)  # fmt: skip
def test_swap_into_faces(e4s, group, finding, flags, faces) -> None:
    code, _, _ = e4s("swap", "a.png", "group.png", "-o", "out.png", *flags, *MODEL)
    assert code == 0
    expected = finding.swap("a.png", "group.png", faces=faces).image
    np.testing.assert_array_equal(images.read("out.png"), expected)


def test_several_people_into_one_photo(e4s, group, finding) -> None:
    flags = ["--faces", "2", "--put", "0=b.png", "--put", "1=c.png", "--regions", "eyes"]
    code, _, _ = e4s("swap", "a.png", "group.png", "-o", "out.png", *flags, *MODEL)
    assert code == 0
    expected = finding.swap({2: "a.png", 0: "b.png", 1: "c.png"}, "group.png", ["eyes"]).image
    np.testing.assert_array_equal(images.read("out.png"), expected)


def test_a_face_of_a_single_photo(e4s, group, finding) -> None:
    done(e4s("parse", "group.png", "-o", "out.png", "--save-labels", "found.png", "--face", "1", *MODEL))
    np.testing.assert_array_equal(images.read("found.png")[..., 0], finding.parse("group.png", face=1))
    code, _, _ = e4s("reconstruct", "group.png", "-o", "again.png", "--face", "right", *MODEL)
    assert code == 0  # with a note that the face is small
    expected = finding.reconstruct("group.png", face="right").image
    np.testing.assert_array_equal(images.read("again.png"), expected)
    code, _, err = e4s("parse", "group.png", "-o", "x.png", "--face", "9", *MODEL)
    assert code == 1 and "there is no face number 9" in err


def test_a_face_of_the_source(e4s, group, finding) -> None:
    done(e4s("swap", "group.png", "a.png", "-o", "out.png", "--source-face", "left", *MODEL))
    expected = finding.swap(finding.portrait("group.png", face="left"), "a.png").image
    np.testing.assert_array_equal(images.read("out.png"), expected)


@pytest.mark.parametrize("which", ["both", "0,0", "1.5", "", "0,left"])
def test_other_choices_are_wrong_usage(e4s, group, which, capsys) -> None:
    with pytest.raises(SystemExit):
        e4s("swap", "a.png", "group.png", "-o", "out.png", "--faces", which, *MODEL)
    assert "--faces: faces: expected 'largest', 'all', 'left', 'right', a number" in capsys.readouterr().err
