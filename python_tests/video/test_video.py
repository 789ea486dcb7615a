"""`Engine.video`: results of frames, streams, files, interrupted runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from itertools import count, islice
from pathlib import Path

import numpy as np
import pytest
import video_tools as tools
from api_tools import LABELS, A
from PIL import Image, ImageSequence
from video_faces import Painted, clip, drawn

from e4s_engine import Steady, verify, weights
from e4s_engine.engine import Engine
from e4s_engine.errors import (
    AlignmentError,
    ArgumentError,
    CancelledError,
    RefusedError,
    UnmarkedWarning,
    VideoError,
)
from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig
from e4s_engine.photo import packets
from e4s_engine.video import lines, parts
from e4s_engine.video.clip import Clip

QUICK = Steady(every=4)


@pytest.fixture(scope="module")
def swapper(tiny_weights) -> Engine:
    return Engine(tiny_weights / "model.safetensors", landmarks=Painted(), device="cpu")


@pytest.fixture(scope="module")
def pair(tiny_weights) -> Engine:
    return Engine(tiny_weights / "model.safetensors", landmarks=Painted(2), device="cpu")


@pytest.fixture(scope="module")
def source(swapper):
    return swapper.encode(A, LABELS, align=False)


@pytest.fixture(autouse=True)
def short_parts(monkeypatch):
    monkeypatch.setattr(parts, "LENGTH", 8)


def threads() -> int:
    return sum(thread.name.startswith("e4s-video") for thread in threading.enumerate())


def test_frames_without_a_face_stay_and_the_others_change_where_a_face_is_pasted(swapper, source):
    frames = drawn(10, 6)
    results = list(swapper.video(source, frames, steady=QUICK))
    assert [one.number for one in results] == list(range(10))
    assert [one.tracks for one in results] == [()] * 6 + [(0,)] * 4
    for result, frame in zip(results, frames, strict=True):
        np.testing.assert_array_equal(result.image[~result.changed], frame[~result.changed])
        assert result.changed.any() == bool(result.tracks)
    assert results[7].time == pytest.approx(7 / 25)
    (swapped,) = results[7].result.faces
    assert swapped.number == 0 and swapped.quad.shape == (4, 2)
    assert threads() == 0


def test_without_steadying_frames_are_swapped_as_photos(swapper, source):
    frames = drawn(3)
    results = list(swapper.video(source, frames, steady=Steady.off()))
    for number in (0, 2):  # these are looked at as a whole; windows place a face a little apart
        np.testing.assert_array_equal(results[number].image, swapper.swap(source, frames[number]).image)


def test_where_the_work_begins_changes_nothing(swapper, source):
    frames = drawn(21, 3)
    video = swapper.video(source, frames, steady=QUICK)
    whole = list(video)
    for first in (8, 16):
        for a, b in zip(whole[first:], video.results(first), strict=True):
            np.testing.assert_array_equal(a.image, b.image)


def test_several_people_in_several_tracks(pair, source):
    frames = drawn(6, squares=2)
    other = pair.encode(255 - A, LABELS, align=False)
    video = pair.video({0: source, 1: other}, frames, steady=QUICK)
    assert [(track.number, track.side > 100) for track in video.tracks] == [(0, True), (1, False)]
    both = list(video)[4]
    assert both.tracks == (0, 1) and [one.number for one in both.result.faces] == [0, 1]
    single = [list(pair.video(source, frames, steady=QUICK, faces=which))[4] for which in ("largest", 1)]
    assert [one.tracks for one in single] == [(0,), (1,)]
    assert not (single[0].changed & single[1].changed & both.changed).all()
    with pytest.raises(AlignmentError, match="no track number 7, the clip has 2"):
        list(pair.video(source, frames, faces=7))
    with pytest.raises(ArgumentError, match="faces: in a clip expected 'largest'"):
        pair.video(source, frames, faces="left")


def test_the_source_is_driven_to_every_frame(tiny_weights, tmp_path):
    config = FaceVid2VidConfig(
        points=5, depth=2, features=4, widest=16, mixed=4, first=(4, 4, 8), width=8, out=4, middle=1,
        hidden=4, bins=6, pose=4, blocks=(1, 1, 1, 1),
    )  # fmt: skip
    weights.save(weights.random_model(config), tmp_path / "facevid2vid.safetensors")
    for name in ("model", "parser"):
        (tmp_path / f"{name}.safetensors").write_bytes((tiny_weights / f"{name}.safetensors").read_bytes())
    with Engine(tmp_path, landmarks=Painted(), device="cpu") as engine:
        video = engine.video(A, drawn(2), steady=QUICK, align=False, reenact=True, restore=False)
        for frame in video:
            (driven,) = frame.result.faces[0].driven
            assert driven.reenacted.shape == (256, 256, 3)


def test_a_stream_is_swapped_as_it_comes(swapper, source):
    frames = drawn(12, 5)
    given = []

    def camera():
        for number in count():
            given.append(number)
            yield frames[number % 12]

    results = swapper.video(source, camera())
    first = list(islice(results, 8))
    assert given == list(range(8))
    assert [one.tracks for one in first] == [()] * 6 + [(0,)] * 2
    results.close()
    with pytest.raises(VideoError, match="a stream cannot be saved"):
        results.save("out.mp4")


def test_a_loop_that_is_left_and_a_closed_video_leave_no_threads(swapper, source):
    video = swapper.video(source, drawn(40), steady=QUICK)
    for result in video:
        if result.number == 2:
            break
    video.close()
    assert threads() == 0
    assert list(video) == []


def test_errors_of_frames_reach_the_caller(swapper, source):
    frames = [*drawn(3), np.zeros((50, 60, 3), np.uint8)]
    with pytest.raises(VideoError, match=r"frames\[3\]: 60 x 50 pixels, the first has 240 x 160"):
        list(swapper.video(source, frames))
    with pytest.raises(VideoError, match="expected the path of a clip"):
        swapper.video(source, 5)
    assert threads() == 0


@pytest.mark.parametrize("bad", [{"every": 0}, {"labels": -1}, {"centre": float("nan")}, {"every": 2.5}])
def test_steady_is_checked(bad):
    with pytest.raises(ArgumentError, match=f"{next(iter(bad))}: expected"):
        Steady(**bad)


def test_a_saved_clip_keeps_what_is_not_swapped(swapper, source, tmp_path):
    path = clip(tmp_path / "in.mkv", 12, 7, codec="ffv1", pix_fmt="yuv420p10le", audio="aac")
    seen = []
    video = swapper.video(source, path, steady=QUICK, progress=lambda *told: seen.append(told))
    out = video.save(tmp_path / "out.mkv", encoder="ffv1")
    before, after = tools.planes(path), tools.planes(out)
    same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert same == [True] * 7 + [False] * 5
    for a, b in zip(before, after, strict=True):
        assert (a != b).mean() < 0.6
    assert tools.packets(out) == tools.packets(path)
    assert tools.times(out) == tools.times(path)
    assert seen[0][:2] == ("faces", 1) and seen[-1] == ("frames", 12, 12)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.mkv", "out.mkv"]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_a_swapped_clip_is_marked_and_another_is_not(swapper, source, tmp_path, suffix):
    path = clip(tmp_path / "in.mp4", 3)
    out = swapper.video(source, path, steady=QUICK).save(tmp_path / f"out{suffix}")
    assert verify(out).ours and verify(out).marked and not verify(out).problems
    assert len(tools.times(out)) == 3
    plain = swapper.video(None, path).save(tmp_path / f"plain{suffix}")
    assert not verify(plain).marked


def test_a_swapped_gif_is_marked_and_plays_as_before(swapper, source, tmp_path, monkeypatch):
    monkeypatch.setattr(packets, "_BLOCK", 1000)
    path = clip(tmp_path / "in.mp4", 3)
    out = swapper.video(source, path, steady=QUICK).save(tmp_path / "out.gif")
    plain = swapper.video(None, path).save(tmp_path / "plain.gif")
    assert verify(out).ours and not verify(plain).marked
    monkeypatch.setenv("E4S_MARKS", "off")
    with pytest.warns(UnmarkedWarning):
        unmarked = swapper.video(source, path, steady=QUICK).save(tmp_path / "unmarked.gif")
    assert not verify(unmarked).marked
    assert frames_of(out) == frames_of(unmarked)
    assert tools.times(out) == tools.times(plain)


def frames_of(gif: Path) -> list[tuple[int, bytes]]:
    """Return duration and pixels of every frame as Pillow reads them."""
    with Image.open(gif) as opened:
        assert opened.info["loop"] == 0
        frames = ImageSequence.Iterator(opened)
        return [(frame.info["duration"], frame.convert("RGB").tobytes()) for frame in frames]


def test_the_guard_sees_every_face_that_appears(tiny_weights, source):
    seen = []

    def guard(target, person):
        seen.append(target.shape)
        return "not this one"

    with Engine(tiny_weights / "model.safetensors", landmarks=Painted(), device="cpu", guard=guard) as engine:
        with pytest.raises(RefusedError, match="not this one"):
            list(engine.video(source, drawn(3), steady=QUICK))
        with pytest.raises(RefusedError, match="not this one"):
            list(engine.video(source, iter(drawn(3)), steady=QUICK))
    assert seen == [(160, 240, 3)] * 2 and threads() == 0


def test_a_stretch_has_its_own_sound(swapper, source, tmp_path):
    path = clip(tmp_path / "in.mp4", 30, audio="aac")
    out = swapper.video(source, path, steady=QUICK, start=0.3, stop=0.6).save(tmp_path / "out.mp4")
    step = tools.STEP * tools.BASE
    wanted = [i for i in range(30) if 0.3 <= i * step < 0.6]
    assert tools.times(out) == [(i - wanted[0]) * step for i in wanted]
    sound, all_of_it = tools.packets(out), dict(map(reversed, tools.packets(path)))
    for time_, data in sound:
        assert abs(float(all_of_it[data] - wanted[0] * step - time_)) < 1 / 48_000
    assert float(sound[0][0]) < 1024 / 48_000 and float(sound[-1][0]) < 0.3 < float(sound[-1][0]) + 0.05


def test_the_sound_ends_with_the_stretch(swapper, tmp_path):
    path = clip(tmp_path / "in.mp4", 60, 99, audio="aac")
    out = swapper.video(None, path, stop=0.5).save(tmp_path / "out.mp4")
    sound = tools.packets(out)
    assert len(tools.times(out)) == 15 and sound == tools.packets(path)[: len(sound)]
    assert 0.45 < float(sound[-1][0]) < 0.5005


def test_a_clip_without_faces_stays(swapper, source, tmp_path):
    path = clip(tmp_path / "in.mkv", 10, 99, codec="ffv1")
    out = swapper.video(source, path).save(tmp_path / "out.mkv", encoder="ffv1")
    for a, b in zip(tools.planes(path), tools.planes(out), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_list_becomes_a_clip(swapper, tmp_path):
    frames = drawn(6)
    out = swapper.video(None, frames, rate=12.5).save(tmp_path / "out.mp4")
    found = Clip(out)
    assert found.facts.rate == 12.5 and found.facts.colours.matrix == 1
    for a, b in zip(found.frames(), frames, strict=True):
        assert np.abs(a.pixels.astype(int) - b).mean() < 3


def test_pictures_out(swapper, source, tmp_path):
    frames = drawn(5, 3)
    out = swapper.video(source, frames, steady=QUICK).save(tmp_path / "frames")
    found = [frame.pixels for frame in Clip(out).frames()]
    for picture, result in zip(found, swapper.video(source, frames, steady=QUICK), strict=True):
        np.testing.assert_array_equal(picture, result.image)


class StopError(Exception):
    pass


def test_an_interrupted_run_goes_on_to_the_same_bytes(swapper, source, tmp_path):
    path = clip(tmp_path / "in.mp4", 21, 5, audio="aac")
    whole = swapper.video(source, path, steady=QUICK).save(tmp_path / "whole.mp4")
    out = tmp_path / "out.mp4"

    def stop_at(frame):
        def tell(stage, done, _):
            if stage == "frames" and done == frame:
                raise StopError

        return tell

    for frame in (10, 18):
        with pytest.raises(StopError):
            swapper.video(source, path, steady=QUICK, progress=stop_at(frame)).save(out, resume=frame > 10)
        assert not out.exists() and threads() == 0
    with pytest.raises(VideoError, match="holds an unfinished run; resume=True"):
        swapper.video(source, path, steady=QUICK).save(out)
    with pytest.raises(VideoError, match=r"of something else \(.*every"):
        swapper.video(source, path).save(out, resume=True)
    changed = swapper.encode(255 - A, LABELS, align=False)
    with pytest.raises(VideoError, match=r"of something else \(source"):
        swapper.video(changed, path, steady=QUICK).save(out, resume=True)
    damaged = tmp_path / "out.mp4.unfinished" / "000001.mp4"
    damaged.write_bytes(damaged.read_bytes()[:-7])
    swapper.video(source, path, steady=QUICK).save(out, resume=True)
    assert out.read_bytes() == whole.read_bytes()
    assert not (tmp_path / "out.mp4.unfinished").exists()


def test_an_interrupted_list_leaves_nothing_in_the_way(swapper, tmp_path):
    """No later run could tell that its frames are the same."""

    def stop(stage, done, _):
        if (stage, done) == ("frames", 10):
            raise StopError

    frames = drawn(12)
    with pytest.raises(StopError):
        swapper.video(None, frames, progress=stop).save(tmp_path / "out.mp4")
    assert not list(tmp_path.iterdir())
    assert len(tools.times(swapper.video(None, frames).save(tmp_path / "out.mp4"))) == 12


def test_cancelling_keeps_what_is_done(swapper, source, tmp_path):
    path = clip(tmp_path / "in.mp4", 20)
    video = swapper.video(
        source,
        path,
        steady=QUICK,
        progress=lambda *told: told[:2] == ("frames", 12) and video.cancel(),
    )
    with pytest.raises(CancelledError):
        video.save(tmp_path / "out.mp4")
    assert len(tools.times(tmp_path / "out.partial.mp4")) == 8
    assert not (tmp_path / "out.mp4").exists()
    swapper.video(source, path, steady=QUICK).save(tmp_path / "out.mp4", resume=True)
    assert len(tools.times(tmp_path / "out.mp4")) == 20


@pytest.mark.parametrize(("at", "stays"), [(("faces", 3), False), (("frames", 3), True)])
def test_an_early_end_keeps_what_is_worth_it(swapper, tmp_path, caplog, at, stays):
    path = clip(tmp_path / "in.mp4", 10)
    video = swapper.video(None, path, progress=lambda *told: told[:2] == at and video.cancel())
    with pytest.raises(CancelledError):
        video.save(tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4.unfinished").exists() == stays
    assert ("output: 0 frames are finished; resume=True goes on" in caplog.text) == stays
    assert not list(tmp_path.glob("*partial*"))


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from api_tools import LABELS, A
from video_faces import Painted
from e4s_engine import Steady, verify, weights
from e4s_engine.engine import Engine
from e4s_engine.video import parts
parts.LENGTH = 8
engine = Engine({weights!r}, landmarks=Painted(), device="cpu")
source = engine.encode(A, LABELS, align=False)
engine.video(source, {clip!r}, steady=Steady(every=4)).save({out!r}, resume=True)
"""


def test_a_killed_run_goes_on(swapper, source, tiny_weights, tmp_path):
    path = clip(tmp_path / "in.mp4", 30, 5)
    whole = swapper.video(source, path, steady=QUICK).save(tmp_path / "whole.mp4")
    out = tmp_path / "out.mp4"
    tests = str(Path(__file__).parents[1])
    weights = str(tiny_weights / "model.safetensors")
    script = SCRIPT.format(tests=tests, weights=weights, clip=str(path), out=str(out))
    child = subprocess.Popen([sys.executable, "-c", script])
    second = tmp_path / "out.mp4.unfinished" / "000001.mp4"
    while child.poll() is None and not second.exists():
        time.sleep(0.005)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL and not out.exists()
    swapper.video(source, path, steady=QUICK).save(out, resume=True)
    for a, b in zip(tools.planes(out), tools.planes(whole), strict=True):
        np.testing.assert_array_equal(a, b)


def test_neighbours_vote():
    own = np.array([[1, 1, 1, 2]], np.uint8)
    others = [np.array([[1, 2, 2, 3]], np.uint8), np.array([[3, 3, 2, 4]], np.uint8)]
    np.testing.assert_array_equal(lines.vote(own, others), [[1, 1, 2, 2]])
    np.testing.assert_array_equal(lines.vote(own, others[:1]), own)


def test_style_vectors_between_two():
    a, b = np.ones((3, 2), np.float32), np.full((3, 2), 3, np.float32)
    a[1], b[2] = 0, 0
    np.testing.assert_array_equal(lines.between(a, b, 0.25), [[1.5, 1.5], [3, 3], [1, 1]])
