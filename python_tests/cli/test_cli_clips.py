"""Clips among the targets of `e4s batch`: swapped as `e4s video` does, locally and on a cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("av")

from video_faces import clip, drawn

from e4s_engine import cli, verify
from e4s_engine.errors import DeviceMemoryError
from e4s_engine.photo import images
from e4s_engine.video import joining, ledger, parts

TESTS = Path(__file__).parents[1]
HOW = ("--landmarks", "video_faces:PAIR", "--device", "cpu", "--every", "3")


@pytest.fixture
def targets(here):
    """Make a folder of two clips, what an interrupted run has left of one, and a photo; return its names."""
    folder = here / "in"
    (folder / "z.mp4.unfinished").mkdir(parents=True)
    clip(folder / "a.mp4", 5, 1, audio="aac")
    clip(folder / "z.mov", 2)
    clip(folder / "z.mp4.unfinished" / "000000.mp4", 2)
    images.write(drawn(1)[0], folder / "b.png")
    images.write(drawn(1)[0], "ann.png")
    return ["a.mp4", "b.png", "z.mov"]


@pytest.fixture
def run(here, tiny_weights, capsys):
    """Return a function that runs a command with a detector of white squares."""

    def run(command, *arguments):
        code = cli.main(
            [command, *map(str, arguments), "--weights", str(tiny_weights / "model.safetensors"), *HOW]
        )
        return code, *capsys.readouterr()

    return run


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_folder_of_clips_and_photos(run, here, targets):
    code, out, err = run("batch", "ann.png", "in", "-o", "out", "--recursive")
    assert (code, out, err) == (0, "3 of 3 files written to out\n", "")
    assert sorted(files(here / "out")) == targets
    assert run("video", "ann.png", "in/a.mp4", "-o", "wanted.mp4")[0] == 0
    assert (here / "out" / "a.mp4").read_bytes() == (here / "wanted.mp4").read_bytes()
    code, out, _ = run("batch", "ann.png", "in", "-o", "out", "--skip-existing")
    assert code == 0 and "3 kept" in out
    assert "exist already" in run("batch", "ann.png", "in", "-o", "out")[2]


def test_a_list_may_name_clips_and_regions(run, here, targets):
    Path("list.csv").write_text(
        "source,target,regions,name\nann.png,in/z.mov,eyes,one\nann.png,in/b.png,,two\n"
    )
    assert run("batch", "--list", "list.csv", "-o", "out")[0] == 0
    assert run("video", "ann.png", "in/z.mov", "-o", "wanted.mov", "--regions", "eyes")[0] == 0
    assert (here / "out" / "one.mov").read_bytes() == (here / "wanted.mov").read_bytes()
    assert (here / "out" / "two.png").exists()


def test_one_clip_goes_into_a_folder_or_a_file(run, here, targets):
    assert run("batch", "ann.png", "in/z.mov", "-o", "out")[0] == 0
    assert run("batch", "ann.png", "in/z.mov", "-o", "one.mov")[0] == 0
    assert (here / "out" / "z.mov").read_bytes() == (here / "one.mov").read_bytes()


def test_an_interrupted_clip_is_gone_on_with(run, here, targets, monkeypatch):
    """It is tried again, in the same run or in the next."""
    monkeypatch.setattr(parts, "LENGTH", 2)
    plain, fails = joining.join, [DeviceMemoryError("device: too little memory")] * 2

    def once_short_of_memory(*arguments):
        if fails:
            raise fails.pop()
        return plain(*arguments)

    monkeypatch.setattr(joining, "join", once_short_of_memory)
    code, _, err = run("batch", "ann.png", "in/a.mp4", "-o", "out/", "--retries", "0")
    assert code == 1 and "in/a.mp4: --device: too little memory" in err
    left = ledger.folder_of(here / "out" / "a.mp4")
    assert len(list(left.glob("*.mp4"))) == 3
    monkeypatch.setattr(parts.Part, "add", None)  # no frame is encoded again
    assert run("batch", "ann.png", "in/a.mp4", "-o", "out/", "--retries", "1")[0] == 0
    assert not left.exists() and (here / "out" / "a.mp4").exists()


def test_an_unfinished_run_of_something_else(run, here, targets):
    """It is told, and --overwrite begins anew."""
    left = ledger.folder_of(here / "out" / "z.mov")
    left.mkdir(parents=True)
    (left / "note.txt").write_text("mine")
    code, _, err = run("batch", "ann.png", "in/z.mov", "-o", "out/")
    assert code == 1 and "no ledger is in it" in err
    assert run("batch", "ann.png", "in/z.mov", "-o", "out/", "--overwrite")[0] == 0


def test_clips_are_signed(run, targets, here):
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    assert run("batch", "ann.png", "in/a.mp4", "-o", "out/", "--sign")[0] == 0
    assert verify("out/a.mp4").signature == "valid"
    (here / "in" / "a.mp4").rename(here / "in" / "a.mkv")
    code, _, err = run("batch", "ann.png", "in/a.mkv", "-o", "out/", "--sign")
    assert code == 2 and "--sign: .mkv holds no C2PA manifest" in err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--align", "no"], "--align: is for photos, and in/a.mp4 is a clip"),
        (["--target-labels", "labels.png"], "--target-labels: is for photos"),
        (["--pixel-mark"], "--pixel-mark: is for photos"),
        (["--faces", "left"], "in/a.mp4: --faces: in a clip expected 'largest'"),
        (["--encoder", "x"], "in/a.mp4: --encoder: expected auto, h264"),
    ],
)
def test_flags_that_clips_do_not_have(run, targets, flags, words):
    code, _, err = run("batch", "ann.png", "in/a.mp4", "-o", "out/", *flags)
    assert code in (1, 2) and words in err, err


def test_a_clip_that_cannot_be_read_stops_no_other(run, here, targets):
    (here / "in" / "a.mp4").write_bytes(b"no clip")
    code, out, err = run("batch", "ann.png", "in", "-o", "out", "--failures", "f.csv")
    assert code == 1 and out == "2 of 3 files written to out, 1 failed\n"
    assert "error: in/a.mp4: is no clip that can be read" in err, err
    assert "target: in/a.mp4" in Path("f.csv").read_text()


@pytest.mark.slow
def test_workers_of_a_cluster_give_the_same_bytes(run, here, targets, tiny_weights):
    """Two workers, which find the detector as the command does: in its folder."""
    pytest.importorskip("ray.data")
    assert run("batch", "ann.png", "in", "-o", "serial")[0] == 0
    for name in ("video_faces.py", "video_tools.py"):
        (here / name).write_bytes((TESTS / name).read_bytes())
    command = [
        sys.executable,
        "-m",
        "e4s_engine.cli",
        "batch",
        "ann.png",
        "in",
        "-o",
        "out",
        "--ray",
        "--workers",
        "2",
    ]
    command += ["--weights", str(tiny_weights / "model.safetensors"), *HOW]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0 and "3 of 3 files" in done.stdout, done.stderr
    assert files(here / "out") == files(here / "serial")


def test_what_an_interrupted_run_left_cannot_be_deleted(run, here, targets):
    """A file has the ledger's name: nothing is swapped, and it stays."""
    left = ledger.folder_of(here / "out" / "z.mov")
    left.parent.mkdir(exist_ok=True)
    left.write_text("mine")
    for command in (("batch", "-o", "out/"), ("video", "-o", "out/z.mov")):
        code, out, err = run(command[0], "ann.png", "in/z.mov", *command[1:], "--overwrite")
        assert code == 1 and not out and err.count("\n") == 1, err
        assert "--overwrite: cannot delete" in err and "delete it by hand" in err
    assert left.read_text() == "mine" and not (here / "out" / "z.mov").exists()
