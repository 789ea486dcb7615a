"""`e4s video`."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import video_tools as tools
from api_tools import LABELS, A
from video_faces import clip, drawn

from e4s_engine import cli, verify
from e4s_engine.engine import Engine
from e4s_engine.photo import images


@pytest.fixture
def video(here, tiny_weights, capsys):
    """Return a function that runs `e4s video` with a detector of white squares."""
    clip(here / "in.mp4", 8, 2, audio="aac")
    images.write(drawn(1)[0], "ann.png")

    def run(*arguments):
        engine = ("--weights", str(tiny_weights / "model.safetensors"), "--landmarks", "video_faces:PAIR")
        code = cli.main(["video", *map(str, arguments), *engine])
        return code, *capsys.readouterr()

    return run


def test_a_clip_is_swapped_and_explained(video, here):
    swap = ("ann.png", "in.mp4", "-o", "out.mp4", "--every", "3", "--to", "0:00.25")
    code, out, _ = video(*swap, "--explain", "sheet.jpg")
    assert (code, out) == (0, "8 frames written to out.mp4\n")
    assert tools.times(here / "out.mp4") == tools.times(here / "in.mp4")
    assert tools.packets(here / "out.mp4") != [] and (here / "sheet.jpg").exists()
    code, _, err = video(*swap)
    assert code == 1 and "--output: out.mp4 exists already" in err
    code, _, err = video("ann.png", "in.mp4", "-o", "in.mp4", "--overwrite", "--to", "0.1", "--quality", "99")
    assert code == 2 and "--quality: expected 0 (best) to 51" in err


def test_clips_are_signed_and_their_sheets_marked(video, here, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(here / "settings"))
    swap = ("ann.png", "in.mp4", "-o", "out.mp4", "--to", "0:00.25")
    code, _, err = video(*swap, "--c2pa-cert", "ann.png")
    assert code == 2 and "--c2pa-cert: goes with --c2pa-key" in err
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    code, _, err = video(*swap[:3], "out.mkv", "--sign")
    assert code == 2 and "--sign: .mkv holds no C2PA manifest" in err
    code, _, _ = video(*swap[:3], "nobody.mp4", "--sign", "--to", "0:00.05")
    assert code == 0 and "sign: nobody was swapped" in caplog.text and not verify("nobody.mp4").marked
    code, _, _ = video(*swap, "--sign", "--explain", "sheet.png")
    assert code == 0 and verify("out.mp4").signature == "valid" and verify("sheet.png").ours


def test_the_guard_of_a_clip_refuses(video, here, monkeypatch):
    (here / "consent_of_clips.py").write_text("def ask(target, source):\n    return 'no consent on file'\n")
    monkeypatch.delitem(sys.modules, "consent_of_clips", raising=False)
    code, _, err = video("ann.png", "in.mp4", "-o", "out.mp4", "--guard", "consent_of_clips:ask")
    assert code == 1 and "no consent on file" in err and not (here / "out.mp4").exists()


def test_one_person_goes_into_several_tracks(video, here):
    """A cut begins new tracks, whoever is in them."""
    bright = drawn(2)
    dark = [np.where(picture == 255, picture, picture // 3) for picture in bright]
    tools.write(here / "cuts.mp4", [*bright, *dark, *bright, *dark])
    images.write(drawn(1)[0][..., ::-1], "bob.png")
    listed = video("--faces", "cuts.mp4")[1].splitlines()
    assert [line[:9] for line in listed[:4]] == [f"{i}: shot {i}" for i in range(4)]
    assert listed[4:] == [
        "--track N,N names those of SOURCE, --put N,N=IMAGE those of another person",
        "4 faces in 8 frames and 4 shots by video_faces:PAIR",
    ]
    swap = ("ann.png", "cuts.mp4", "--encoder", "ffv1", "-o")
    assert video(*swap, "alone.mkv", "--track", "all")[0] == 0
    assert video(*swap, "both.mkv", "--track", "0,2", "--put", "1,3=bob.png")[0] == 0
    alone, both = (tools.planes(here / name) for name in ("alone.mkv", "both.mkv"))
    same = [np.array_equal(one, other) for one, other in zip(alone, both, strict=True)]
    assert same == [True, True, False, False] * 2


def test_a_saved_face_is_a_source(video, here, tiny_weights):
    with Engine(tiny_weights / "model.safetensors", landmarks=None, device="cpu") as engine:
        engine.encode(A, LABELS, align=False).save(here / "ann.face")
    assert video("ann.face", "in.mp4", "-o", "out.mp4", "--to", "0.2")[0] == 0
    code, _, err = video("ann.face", "in.mp4", "-o", "out2.mp4", "--source-face", "1")
    assert code == 2 and "ann.face is a saved face" in err


def test_faces_are_listed_with_a_sheet(video, here):
    code, out, _ = video("--faces", "in.mp4", "-o", "faces.png")
    assert code == 0 and (here / "faces.png").exists()
    first, last = out.splitlines()
    assert first.startswith("0: shot 0, frames 2-7 (0.07-0.23 s), crop ")
    assert last == "1 face in 8 frames and 1 shot by video_faces:PAIR"
    code, out, _ = video("--faces", "in.mp4", "--json")
    assert code == 0 and json.loads(out)["first"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["in.mp4", "-o", "out.mp4"], "SOURCE: give the photo"),
        (["ann.png", "in.mp4"], "--output: name the file to write"),
        (["ann.png", "in.mp4", "-o", "out.mp4", "--json"], "--json: lists faces"),
        (["ann.png", "absent.mp4", "-o", "out.mp4"], "CLIP: no such file: absent.mp4"),
        (["ann.png", "in.mp4", "-o", "out.webm"], "--output: .webm files do not hold audio in aac"),
        (["ann.png", "in.mp4", "-o", "out.avi"], "--output: expected a file that ends in .mp4"),
        (["ann.png", "in.mp4", "-o", "out.mp4", "--track", "5"], "CLIP: there is no track number 5"),
        (["ann.png", "in.mp4", "-o", "out.mp4", "--put", "1=ann.png"], "--put: give --track the number"),
        (
            ["ann.png", "in.mp4", "-o", "out.mp4", "--put", "x=a.png", "--track", "0"],
            "--put: expected numbers",
        ),
        (
            ["ann.png", "in.mp4", "-o", "out.mp4", "--put", "1,0=ann.png", "--track", "0"],
            "--put: track 0 is given",
        ),
        (
            ["ann.png", "in.mp4", "-o", "out.mp4", "--from", "9"],
            "--from, --to: the clip has no frame between 9 s",
        ),
        (
            ["ann.png", "in.mp4", "-o", "out.mp4", "--from", "0.1", "--to", "0.1"],
            "--to: expected seconds after",
        ),
        (["ann.png", "in.mp4", "-o", "in.mp4"], "--output: would replace the input in.mp4"),
        (["ann.png", "in.mp4", "-o", "."], "--output: . is no name of a new folder"),
        (["ann.png", "in.mp4", "-o", "full"], "--output: full exists and is no empty folder"),
        (["ann.png", "in.mp4", "-o", "out.mp4", "--encoder", "x"], "--encoder: expected auto, h264"),
    ],
)
def test_mistakes_are_told_in_one_line(video, here, arguments, message):
    (here / "full").mkdir()
    (here / "full" / "a.png").touch()
    code, out, err = video(*arguments)
    assert code in (1, 2) and not out
    assert err.count("\n") == 1 and message in err, err
    assert not list(here.glob("out*"))


def test_an_unfinished_run_is_gone_on_with_or_begun_anew(video, here):
    swap = ("ann.png", "in.mp4", "-o", "out.mp4")
    (here / "out.mp4.unfinished").mkdir()
    code, _, err = video(*swap)
    assert code == 1 and "--resume goes on with it, --overwrite begins anew" in err
    code, _, _ = video(*swap, "--resume")
    assert code == 0 and not (here / "out.mp4.unfinished").exists()
