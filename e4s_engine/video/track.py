"""Tracks: the faces of a clip followed from frame to frame, each with a number that stays."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from e4s_engine.faces.face import DetectedFace
from e4s_engine.photo.align import Points
from e4s_engine.video.looking import side
from e4s_engine.video.steady import AXES_SIGMA, CENTRE_SIGMA, smooth_quads

MEMORY = 30  # frames for which a face that is not seen keeps its number
BRIDGED = 8  # frames without the face over which a swap goes on
_SHORTEST = 3  # frames of a track; shorter ones in longer shots are mistakes of the detector
_FAR = 0.5  # largest distance of a face from where it is expected, in sides of its crop
_FARTHER = 0.03  # and by so much more for every frame that it was not seen
_SIZES = 0.35  # largest difference of the logarithms of sides
_OVER = 0.35  # distance of centres in sides at which one face covers the other


@dataclasses.dataclass
class Sight:
    """A face in a frame. quad: corners of its crop [4, 2]."""

    frame: int
    quad: Points
    score: float


@dataclasses.dataclass
class _Open:
    """A track that may go on. speed: pixels per frame of the crop's centre."""

    number: int
    sights: list[Sight]
    speed: Points

    def expected(self, frame: int) -> Points:
        last = self.sights[-1]
        return last.quad.mean(0) + self.speed * min(frame - last.frame, BRIDGED)

    def cost(self, face: DetectedFace, frame: int) -> float:
        """Return how badly a face fits, from 0; above 1 it is another."""
        last = self.sights[-1]
        own = side(last.quad)
        reach = _FAR + _FARTHER * (frame - last.frame - 1)
        apart = float(np.hypot(*(face.centre - self.expected(frame)))) / own / reach
        return max(apart, abs(np.log(face.side / own)) / _SIZES)

    def add(self, sight: Sight) -> None:
        last = self.sights[-1]
        step = (sight.quad.mean(0) - last.quad.mean(0)) / (sight.frame - last.frame)
        self.speed = step if len(self.sights) == 1 else 0.6 * self.speed + 0.4 * step
        self.sights.append(sight)


class Tracker:
    """Follows faces frame by frame, from what came before alone."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._next = 0

    def update(self, frame: int, faces: Sequence[DetectedFace], cut: bool) -> list[tuple[int, Sight]]:
        """Return the faces of the next frame with the numbers of their tracks. cut: a shot begins."""
        if cut:
            self._open.clear()
        self._open = [track for track in self._open if frame - track.sights[-1].frame <= MEMORY]
        pairs = sorted(
            (track.cost(face, frame), i, j)
            for i, track in enumerate(self._open)
            for j, face in enumerate(faces)
        )
        taken: dict[int, _Open] = {}
        for cost, i, j in pairs:
            if cost < 1 and j not in taken and self._open[i] not in taken.values():
                taken[j] = self._open[i]
        numbered = []
        for j, face in enumerate(faces):
            sight = Sight(frame, np.array(face.quad), face.score)
            if j in taken:
                taken[j].add(sight)
            else:
                taken[j] = _Open(self._next, [sight], np.zeros(2))
                self._open.append(taken[j])
                self._next += 1
            del taken[j].sights[:-1]
            numbered.append((taken[j].number, sight))
        return numbered

    def expected(self, frame: int) -> list[Points]:
        """Return where the crops [4, 2] of faces that were just seen are expected."""
        recent = [track for track in self._open if frame - track.sights[-1].frame <= BRIDGED]
        return [
            track.sights[-1].quad + track.expected(frame) - track.sights[-1].quad.mean(0) for track in recent
        ]


@dataclasses.dataclass(frozen=True, eq=False)
class Track:
    """One face through one shot.

    number: from 0, in the order of appearance. shot: number of its shot. first: number of its first frame.
    quads: corners of its crops [frames, 4, 2], without gaps in time. seen: frames in which it was found, bool
    [frames]. shown: frames in which it is swapped: those, and short gaps between them. score: the detector's,
    at best.
    """

    number: int
    shot: int
    first: int
    quads: npt.NDArray[np.float64]
    seen: npt.NDArray[np.bool_]
    shown: npt.NDArray[np.bool_]
    score: float

    @property
    def stop(self) -> int:
        """Number of the frame after its last."""
        return self.first + len(self.quads)

    @property
    def side(self) -> float:
        """Median side of its crops, in pixels."""
        return float(np.median(np.hypot(*(self.quads[:, 3] - self.quads[:, 0]).T)))

    @property
    def weight(self) -> float:
        """How prominent it is: the sum of its sides."""
        return float(np.hypot(*(self.quads[self.shown, 3] - self.quads[self.shown, 0]).T).sum())

    def steadied(self, centre_sigma: float = CENTRE_SIGMA, axes_sigma: float = AXES_SIGMA) -> Track:
        """Return the track with crops smoothed over every run of frames in which it is shown."""
        quads = self.quads.copy()
        for first, stop in self.runs():
            quads[first:stop] = smooth_quads(quads[first:stop], (), centre_sigma, axes_sigma)
        return dataclasses.replace(self, quads=quads)

    def runs(self) -> Iterator[tuple[int, int]]:
        """Yield first and stop, counted in the track, of each run of frames in which it is shown."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], self.shown, [False]]).astype(np.int8)))
        yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def tracks(sights: dict[int, list[Sight]], shots: Sequence[int]) -> list[Track]:
    """Return finished tracks from what a Tracker gave.

    sights: of each number, in order. shots: first frames of the shots, 0 first, and at last the number of all
    frames.
    """
    long_enough = []
    for listed in sights.values():
        shot = int(np.searchsorted(shots, listed[0].frame, "right")) - 1
        if len(listed) >= min(_SHORTEST, shots[shot + 1] - shots[shot]):
            long_enough.append((listed, shot))
    ordered = sorted(long_enough, key=lambda item: (item[0][0].frame, -side(item[0][0].quad)))
    filled = [_filled(number, *item) for number, item in enumerate(ordered)]
    return [_uncovered(track, filled) for track in filled]


def _filled(number: int, listed: list[Sight], shot: int) -> Track:
    """Return a track whose gaps are filled linearly; long ones are not shown."""
    frames = np.array([sight.frame for sight in listed])
    corners = np.stack([sight.quad for sight in listed]).reshape(len(listed), 8)
    every = np.arange(frames[0], frames[-1] + 1)
    quads = np.stack([np.interp(every, frames, column) for column in corners.T], 1).reshape(-1, 4, 2)
    seen = np.isin(every, frames)
    shown = seen.copy()
    for a, b in pairwise(frames):
        if 1 < b - a <= BRIDGED + 1:
            shown[a - frames[0] : b - frames[0]] = True
    best = max(sight.score for sight in listed)
    return Track(number, shot, int(frames[0]), quads, seen, shown, best)


def _uncovered(track: Track, others: Sequence[Track]) -> Track:
    """Return a track that is not shown where another face covers it: there nothing of it is seen."""
    shown = track.shown.copy()
    for other in others:
        first, stop = max(track.first, other.first), min(track.stop, other.stop)
        if other is track or first >= stop:
            continue
        own = slice(first - track.first, stop - track.first)
        theirs = slice(first - other.first, stop - other.first)
        apart = np.hypot(*(track.quads[own].mean(1) - other.quads[theirs].mean(1)).T)
        sides = np.hypot(*(track.quads[own, 3] - track.quads[own, 0]).T)
        shown[own] &= track.seen[own] | ~other.seen[theirs] | (apart >= _OVER * sides)
    return dataclasses.replace(track, shown=shown)
