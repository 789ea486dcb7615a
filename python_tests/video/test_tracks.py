"""Shots and tracks: stable numbers, gaps, cuts, faces that cross."""

from __future__ import annotations

import numpy as np
import video_tools as tools
from video_faces import Painted, face

from e4s_engine.video import looking
from e4s_engine.video.analysis import Analysis, analyse
from e4s_engine.video.frames import Frame
from e4s_engine.video.shots import Cuts
from e4s_engine.video.track import Tracker, tracks


def followed(frames, shots=(0,)):
    tracker, sights = Tracker(), {}
    for number, faces in enumerate(frames):
        for track, sight in tracker.update(number, faces, number in shots):
            sights.setdefault(track, []).append(sight)
    return tracks(sights, [*shots, len(frames)])


def test_faces_that_cross_keep_their_numbers():
    """They are one for the detector while they cover each other."""
    frames = []
    for t in range(40):
        left, right = face(100 + 6 * t, 150), face(340 - 6 * t, 150)
        hidden = abs(left.centre[0] - right.centre[0]) < 45
        frames.append([left] if hidden else [left, right])
    a, b = followed(frames)
    assert (a.first, a.stop, b.first, b.stop) == (0, 40, 0, 40)
    assert a.quads[-1].mean(0)[0] > 300 and b.quads[-1].mean(0)[0] < 150
    assert a.shown.all()
    # What covers it is not swapped in its stead.
    assert not b.shown[~b.seen].any() and b.shown[b.seen].all()


def test_short_gaps_are_bridged_and_long_ones_are_not():
    frames = [[face(100 + 2 * t, 90)] for t in range(60)]
    for t in (10, 11, 12, *range(25, 45)):
        frames[t] = []
    (track,) = followed(frames)
    assert track.shown[10:13].all() and not track.shown[25:45].any() and len(track.quads) == 60
    np.testing.assert_allclose(track.quads[11], frames[9][0].quad + np.array([4, 0]))
    assert list(track.runs()) == [(0, 25), (45, 60)]


def test_a_cut_ends_every_track_and_a_new_face_gets_a_new_number():
    frames = [[face(100, 90)] for _ in range(8)] + [[face(102, 90), face(300, 90)] for _ in range(8)]
    found = followed(frames, (0, 8))
    assert [(t.number, t.shot, t.first, t.stop) for t in found] == [
        (0, 0, 0, 8),
        (1, 1, 8, 16),
        (2, 1, 8, 16),
    ]


def test_a_face_of_one_frame_is_a_mistake_but_not_in_a_shot_of_one():
    frames = [[face(100, 90)] for _ in range(9)]
    frames[4] = [face(100, 90), face(300, 200)]
    assert len(followed(frames)) == 1
    assert len(followed(frames[:1])) == 1


def test_cuts_and_no_cuts():
    pan = tools.pictures(12)
    other = [255 - picture for picture in pan]
    cuts = Cuts()
    assert [cuts.begins(picture) for picture in pan + other] == [i == 12 for i in range(24)]


def painted(count, first, step=3):
    """Draw frames in which a square appears late."""
    for number in range(count):
        picture = np.full((240, 320, 3), 60, np.uint8)
        if number >= first:
            left = 60 + step * number
            picture[90:130, left : left + 40] = 255
        yield Frame(number, 10 * number, 10, array=picture)


def test_a_face_that_appears_between_two_looks_is_found_from_its_first_frame():
    detect = Painted()
    found = analyse(painted(30, 11), detect)
    (track,) = found.tracks
    assert (track.first, track.stop) == (11, 30) and track.seen.all()
    centres = track.quads.mean(1)[:, 0]
    np.testing.assert_allclose(np.diff(centres), 3, atol=0.7)
    whole = sum(size == 240 * 320 for size in detect.sizes)
    assert whole <= 2 + 30 // looking.EVERY


def test_an_analysis_is_stored(tmp_path):
    found = analyse(painted(20, 3), Painted())
    found.save(tmp_path / "faces.npz")
    again = Analysis.load(tmp_path / "faces.npz")
    assert (again.shots, again.last_duration) == ((0,), 10)
    np.testing.assert_array_equal(again.times, found.times)
    for a, b in zip(found.tracks, again.tracks, strict=True):
        assert (a.number, a.shot, a.first, a.score) == (b.number, b.shot, b.first, b.score)
        np.testing.assert_array_equal(a.quads, b.quads)
        np.testing.assert_array_equal(a.shown, b.shown)
