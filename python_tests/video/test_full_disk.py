"""Saving on a disk that is full: what is said, what stays, and that a later run ends with the same bytes."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import video_tools as tools
from process_tools import script
from video_faces import Painted

from e4s_engine.engine import Engine
from e4s_engine.errors import CancelledError, OutputError
from e4s_engine.video import parts
from e4s_engine.video.analysis import Analysis

FRAMES, PART = 20, 8

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs limits of processes, and /proc")


@pytest.fixture(autouse=True)
def short_parts(monkeypatch):
    monkeypatch.setattr(parts, "LENGTH", PART)


@pytest.fixture(scope="module")
def engine(tiny_weights) -> Engine:
    return Engine(tiny_weights / "model.safetensors", landmarks=Painted(), device="cpu")


@pytest.fixture
def noise(tmp_path) -> Path:
    """Write a clip whose parts are far larger than their ledger."""
    dice = np.random.default_rng(0)
    pictures = [dice.integers(0, 200, (64, 96, 3), dtype=np.uint8) for _ in range(FRAMES)]
    return tools.write(tmp_path / "in.mp4", pictures, audio="aac")


def finished_parts(out: Path) -> int:
    return len(json.loads((out.with_name(f"{out.name}.unfinished") / "ledger.json").read_text())["parts"])


SCRIPT = """
import resource, sys
sys.path.insert(0, {tests!r})
from video_faces import Painted
from e4s_engine.engine import Engine
from e4s_engine.errors import CancelledError, OutputError
from e4s_engine.video import parts
parts.LENGTH = {part}
engine = Engine({weights!r}, landmarks=Painted(), device="cpu")
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    engine.video(None, {clip!r}).save({out!r}, resume=True)
except OutputError as error:
    sys.exit(f"said: {{error}}")
"""


@pytest.mark.parametrize("fits", ["nothing", "the parts"])
def test_a_run_that_may_write_no_more_goes_on_later(engine, tiny_weights, noise, tmp_path, fits):
    whole, out = engine.video(None, noise).save(tmp_path / "whole.mp4"), tmp_path / "out.mp4"
    limit = whole.stat().st_size // 8 if fits == "nothing" else whole.stat().st_size - 1
    names = {"weights": str(tiny_weights / "model.safetensors"), "clip": str(noise), "out": str(out)}
    child = script(SCRIPT.format(tests=str(Path(__file__).parents[1]), part=PART, limit=limit, **names))
    done = 0 if fits == "nothing" else 3
    where = "out.mp4.unfinished/000000.mp4" if fits == "nothing" else "out.mp4"
    assert child.returncode == 1 and child.stderr.startswith("said: output: cannot write "), child.stderr
    assert f"{where}: File too large; {FRAMES if done else 0} finished frames are in " in child.stderr
    assert finished_parts(out) == done and not out.exists()
    assert not list(tmp_path.rglob("*partial*")) and not list(tmp_path.glob(".e4s-*"))
    engine.video(None, noise).save(out, resume=True)
    assert out.read_bytes() == whole.read_bytes()


FULL = errno.ENOSPC, os.strerror(errno.ENOSPC)


class Full:
    """A container that takes nothing more, in the place of another."""

    def __init__(self, container) -> None:
        self.close = container.close

    def mux(self, packet) -> None:
        raise tools.av.error.OSError(*FULL)


@pytest.mark.parametrize("at", ["faces", 1, 9, "ledger", "join"])
def test_a_full_disk_is_told_wherever_it_is_met(engine, noise, tmp_path, monkeypatch, at):
    """at: what is being written then; a number is one of a frame."""
    whole, out = engine.video(None, noise).save(tmp_path / "whole.mp4"), tmp_path / "out.mp4"
    frame = parts.Part.add
    seen: list[int] = []

    def add(self, native, pts):
        seen.append(pts)
        if len(seen) == at:
            self._container = Full(self._container)
        frame(self, native, pts)

    def on_disk(handle):
        path = Path(f"/proc/self/fd/{handle}").readlink()
        met = {
            "faces": path.suffix == ".npz",
            "ledger": path.suffix == ".e4s-new" and bool(seen),
            "join": path.parent == tmp_path and path.suffix == ".mp4",
        }
        if met.get(at):
            raise OSError(*FULL)

    with monkeypatch.context() as patch:
        patch.setattr(parts.Part, "add", add)
        patch.setattr(os, "fsync", on_disk)
        with pytest.raises(OutputError, match=r"output: .*No space left on device; \d+ finished frames"):
            engine.video(None, noise).save(out)
    assert finished_parts(out) == {"faces": 0, 1: 0, 9: 1, "ledger": 0, "join": 3}[at]
    engine.video(None, noise).save(out, resume=True)
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("left", [0, 0.5])
def test_faces_that_are_damaged_are_looked_for_again(engine, noise, tmp_path, caplog, left):
    whole, out = engine.video(None, noise).save(tmp_path / "whole.mp4"), tmp_path / "out.mp4"
    video = engine.video(None, noise, progress=lambda *told: told[:2] == ("frames", 3) and video.cancel())
    with pytest.raises(CancelledError):
        video.save(out)
    faces = tmp_path / "out.mp4.unfinished" / "faces.npz"
    assert len(Analysis.load(faces).times) == FRAMES
    faces.write_bytes(faces.read_bytes()[: round(left * faces.stat().st_size)])
    engine.video(None, noise).save(out, resume=True)
    assert "faces.npz is damaged" in caplog.text and out.read_bytes() == whole.read_bytes()
