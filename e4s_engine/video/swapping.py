"""Swaps of the frames of a clip, in order: read, prepared, swapped in batches, all at the same time."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Generator, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from e4s_engine.faces.face import Detector
from e4s_engine.marks.statement import Statement
from e4s_engine.options import SwapOptions
from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline.guarding import Guard, ask_jobs
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.pipeline import Pipeline
from e4s_engine.result import Result
from e4s_engine.video import flow
from e4s_engine.video.analysis import Analysis
from e4s_engine.video.choice import Cast
from e4s_engine.video.frames import Frame
from e4s_engine.video.lines import Line, portrait
from e4s_engine.video.live import LiveFaces, LiveLine
from e4s_engine.video.options import Steady
from e4s_engine.video.track import Track

BATCH = 8  # frames that go through the networks together
READ_AHEAD = 8
_AT_ONCE = 2  # batches: one is pasted while the networks run on the other


@dataclasses.dataclass(frozen=True, eq=False)
class FrameResult:
    """One frame of a swapped clip. Compares by identity.

    number: of the frame in the clip, from 0. time: seconds from the clip's beginning. frame: as it was.
    tracks: numbers of the tracks that were swapped. result: the swap, its `faces` numbered by track; None
    where nobody was swapped.
    """

    number: int
    time: float
    frame: Frame = dataclasses.field(repr=False)
    tracks: tuple[int, ...] = ()
    result: Result | None = dataclasses.field(default=None, repr=False)

    @property
    def image(self) -> Pixels:
        """The finished frame, uint8 [H, W, 3]."""
        return self.frame.pixels if self.result is None else self.result.image

    @property
    def changed(self) -> npt.NDArray[np.bool_]:
        """Where a face was pasted, bool [H, W]."""
        if self.result is None:
            return np.zeros(self.frame.pixels.shape[:2], np.bool_)
        return self.result.changed


Ready = tuple[Frame, list[Portrait]]


@dataclasses.dataclass(frozen=True)
class Work:
    """Hold what all frames of a call share. statement: what was done, without the clip and its faces."""

    pipeline: Pipeline
    cast: Cast
    options: SwapOptions
    steady: Steady
    time_base: float
    statement: Statement
    guard: Guard | None = None

    def admit(self, target: Portrait) -> None:
        """Ask the engine's guard about a face that appears. Raises RefusedError."""
        ask_jobs(self.guard, [self.cast.job(target)])

    def swap(self, batch: list[Ready]) -> list[FrameResult]:
        """Swap the faces of some frames together."""
        groups = [[self.cast.job(one) for one in people] for _, people in batch]
        results = iter(self.pipeline.swap_groups([group for group in groups if group], self.options))
        return [
            FrameResult(
                frame.number,
                frame.pts * self.time_base,
                frame,
                tuple(one.number for one in people if one.number is not None),
                next(results) if people else None,
            )
            for frame, people in batch
        ]


def swapped(frames: Iterable[Frame], analysis: Analysis, first: int, work: Work) -> Iterator[FrameResult]:
    """Yield the results of frames from number `first` on.

    frames: those of the clip from `first_needed` on.
    """
    read = flow.ahead(decoded(frames), READ_AHEAD)
    ready = flow.ahead(_prepared(read, analysis, first, work), 1)
    batches = flow.side_by_side(work.swap, _batches(ready), _AT_ONCE)
    try:
        for batch in batches:
            yield from batch
    finally:
        batches.close()
        ready.close()
        read.close()


def first_needed(first: int, steady: Steady) -> int:
    """Return the number of the first frame on which frame `first` depends."""
    return max(0, first - steady.ahead)


def decoded(frames: Iterable[Frame]) -> Generator[Frame, None, None]:
    """Yield frames whose pixels are there."""
    for frame in frames:
        _ = frame.pixels
        yield frame


def _batches(ready: Iterable[Ready]) -> Generator[list[Ready], None, None]:
    """Yield frames in batches that end at fixed numbers, wherever the work began."""
    batch: list[Ready] = []
    for item in ready:
        batch.append(item)
        if item[0].number % BATCH == BATCH - 1:
            yield batch
            batch = []
    if batch:
        yield batch


def _prepared(
    frames: Iterable[Frame], analysis: Analysis, first: int, work: Work
) -> Generator[Ready, None, None]:
    """Yield frames with the Portraits of their faces, which later frames help to steady."""
    lines = _Lines(analysis, work)
    waiting: deque[Frame] = deque()
    for frame in frames:
        lines.add(frame)
        waiting.append(frame)
        while waiting and waiting[0].number + work.steady.ahead <= frame.number:
            yield from lines.emit(waiting.popleft(), first)
    while waiting:
        yield from lines.emit(waiting.popleft(), first)


class _Lines:
    """Lines of the chosen tracks, one for every run of frames in which a track is shown."""

    def __init__(self, analysis: Analysis, work: Work) -> None:
        self._tracks = [track.steadied(work.steady.centre, work.steady.axes) for track in analysis.tracks]
        self._chosen = work.cast.numbers(self._tracks)
        self._lines: dict[tuple[int, int], Line] = {}
        self._work = work

    def add(self, frame: Frame) -> None:
        shown = self._shown(frame.number)
        for track in shown:
            if track.number not in self._chosen:
                continue
            quads = [other.quads[frame.number - other.first] for other in shown if other is not track]
            quad = track.quads[frame.number - track.first]
            one = portrait(frame.pixels, quad, track.number, quads)
            known = len(self._lines)
            line = self._line(track, frame.number)
            if len(self._lines) > known:
                self._work.admit(one)
            line.add(frame.number, one)

    def emit(self, frame: Frame, first: int) -> Iterator[Ready]:
        """Yield the frame, unless it only helps those after it."""
        chosen = [track for track in self._shown(frame.number) if track.number in self._chosen]
        lines = [self._line(track, frame.number) for track in chosen]
        if frame.number >= first:
            yield frame, [line.ready(frame.number) for line in lines]
        for line in lines:
            line.forget(frame.number + 1 - self._work.steady.ahead)
        for key in [key for key, line in self._lines.items() if line.stop <= frame.number]:
            del self._lines[key]

    def _shown(self, number: int) -> list[Track]:
        return [
            track
            for track in self._tracks
            if track.first <= number < track.stop and track.shown[number - track.first]
        ]

    def _line(self, track: Track, number: int) -> Line:
        begin, stop = next(
            (track.first + begin, track.first + stop)
            for begin, stop in track.runs()
            if begin <= number - track.first < stop
        )
        key = track.number, begin
        if key not in self._lines:
            self._lines[key] = Line(begin, stop, self._work.pipeline, self._work.steady)
        return self._lines[key]


def live(frames: Iterable[Frame], detect: Detector, work: Work) -> Iterator[FrameResult]:
    """Yield the results of a stream's frames, each as soon as it is done."""
    faces = LiveFaces(detect, work.steady)
    lines: dict[int, LiveLine] = {}
    leader: int | None = None
    for frame in frames:
        quads, begins = faces.add(frame, frame.number)
        if begins:
            lines.clear()
        if leader not in quads:
            leader = max(quads, key=lambda number: _side(quads[number]), default=None)
        ready = []
        for number in _meant(work.cast, list(quads), leader):
            others = [quad for other, quad in quads.items() if other != number]
            one = portrait(frame.pixels, quads[number], number, others)
            if number not in lines:
                work.admit(one)
                lines[number] = LiveLine(work.pipeline, work.steady)
            ready.append(lines[number].ready(one))
        yield from work.swap([(frame, ready)])


def _meant(cast: Cast, numbers: list[int], leader: int | None) -> list[int]:
    """Return which of the tracks in a stream's frame are swapped."""
    if cast.people or cast.anyone is None:
        return [number for number in numbers if number in cast.people]
    if cast.which == "largest":
        return [] if leader is None else [leader]
    if cast.which == "all":
        return numbers
    wanted = [cast.which] if isinstance(cast.which, int) else list(cast.which)  # type: ignore[arg-type]
    return [number for number in numbers if number in wanted]


def _side(quad: npt.NDArray[np.float64]) -> float:
    return float(np.hypot(*(quad[3] - quad[0])))
