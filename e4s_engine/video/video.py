"""Swaps of a clip: an iterator of results, which can be saved as a clip."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from e4s_engine.errors import AlignmentError, CancelledError, VideoError
from e4s_engine.faces.face import Detector
from e4s_engine.marks.certificates import Signer
from e4s_engine.marks.statement import Statement
from e4s_engine.photo.images import is_stream
from e4s_engine.video import flow, saving, swapping
from e4s_engine.video.analysis import Analysis, analyse
from e4s_engine.video.clip import Clip, Facts
from e4s_engine.video.frames import Frame
from e4s_engine.video.given import Frames, streamed
from e4s_engine.video.joining import Span
from e4s_engine.video.options import Steady
from e4s_engine.video.swapping import FrameResult, Work
from e4s_engine.video.track import Track

Progress = Callable[[str, int, int | None], object]


class Video:
    """Swaps of the frames of a clip, as `Engine.video` returns it.

    Iterating yields a `FrameResult` for every frame, in order; `save` writes a file. A clip, or a list of
    frames, can be iterated several times; a stream once. `close`, leaving the `with` block, or ending the
    loop ends all threads at once.
    """

    def __init__(
        self,
        frames: Any,
        work: Work,
        detect: Detector | None,
        span: Span,
        rate: float | Fraction | None,
        progress: Progress | None,
        about: dict[str, Any],
    ) -> None:
        """about: what results depend on, for `save(resume=True)`; see `Engine.video` for the others."""
        self._source = source(frames, rate)
        self._work, self._detect, self._span = work, detect, span
        self._progress, self._about = progress, about
        self._analysis: Analysis | None = None
        self._cancelled = threading.Event()
        self._running: list[Iterator[FrameResult]] = []
        if isinstance(self._source, Clip | Frames):
            self._work = dataclasses.replace(work, time_base=float(self._source.facts.time_base))
        elif not span.whole:
            raise VideoError("start, stop: a stream has no times; leave out what is not wanted")

    @property
    def facts(self) -> Facts | None:
        """Properties of the clip; None for a stream."""
        return self._source.facts if isinstance(self._source, Clip | Frames) else None

    @property
    def in_file(self) -> bool:
        """Whether the frames are those of a clip in a file, by which a later run recognises them."""
        return isinstance(self._source, Clip)

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Faces of the clip, followed; found at the first access, by a pass over it."""
        return self.analysis().tracks

    def analysis(self) -> Analysis:
        """Return shots and tracks, found at the first call. Raises VideoError for a stream."""
        if self._analysis is None:
            if not isinstance(self._source, Clip | Frames):
                raise VideoError("frames: the faces of a stream are not known before; pass a list or a clip")
            count = self._source.facts.count if self._span.whole else None
            frames = flow.ahead(swapping.decoded(self._read(None, 0)), swapping.READ_AHEAD)
            try:
                found = analyse(frames, self._detector(), lambda done: self._tell("faces", done, count))
            finally:
                frames.close()
            self.check_cancelled()  # the frames may have ended early
            if not len(found.times):
                raise VideoError(_empty(self._span, self._source.facts))
            self._analysis = found
        return self._analysis

    def __iter__(self) -> Iterator[FrameResult]:
        if isinstance(self._source, Clip | Frames):
            return self.results(0)
        return self._kept(self._counted(swapping.live(self._source, self._detector(), self._work), 0, None))

    def results(self, first: int) -> Iterator[FrameResult]:
        """Yield the results of the frames of a clip from a number on."""
        analysis = self.analysis()
        begin = swapping.first_needed(first, self._work.steady)
        frames = self._read(analysis, begin)
        swaps = swapping.swapped(frames, analysis, first, self._work)
        return self._kept(self._counted(swaps, first, len(analysis.times)))

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        encoder: str = "auto",
        quality: int | None = None,
        audio: bool = True,
        resume: bool = False,
        sign: bool | Signer | None = None,
    ) -> Path:
        """Swap all frames and write them to a file, complete or not at all; return its path.

        Frame times, duration, audio (copied), rotation, colours and depth are the clip's. Samples that no
        paste touches are the decoder's, bit for bit, until they are encoded.

        path: .mp4, .mov, .m4v, .mkv, .webm, .gif, or a name without an ending: a folder of PNG pictures.
        encoder: "auto" (H.264, which plays everywhere; HEVC for 10 bits; VP9 in WebM), "h264", "hevc", "av1",
            "vp9" or "ffv1" (lossless).
        quality: on the encoder's scale, lower is better; None: one at which no loss is seen.
        audio: whether the clip's audio is copied.
        resume: whether to go on with a run that was interrupted; the file is then the same, bit for bit, as
            without the interruption, but for its signature. What was done lies in a folder beside the file,
            named after it.
        sign: whether the file carries a signed C2PA manifest, as in `Result.save`: an MP4, MOV, M4V or GIF,
            or every PNG of a folder.

        The file says that a model changed it, and which faces, as pictures do (docs/marks.md).

        Raises VideoError, OutputError, BackendError, ArgumentError for a certificate that cannot sign;
        CancelledError after `cancel`.
        """
        if not isinstance(self._source, Clip | Frames):
            raise VideoError("frames: a stream cannot be saved; pass a list or a clip, or encode the results")
        if resume and not self.in_file:
            raise VideoError("resume: is for clips in files, which can be recognised")
        return saving.save(self, self._source, Path(path), (encoder, quality), audio, resume, sign)

    def job(self) -> dict[str, Any]:
        """Return what the results depend on, as JSON."""
        stretch = [self._span.start, self._span.stop]
        return {**self._about, "steady": dataclasses.asdict(self._work.steady), "stretch": stretch}

    def frames(self) -> Iterator[Frame]:
        """Yield the frames of the clip as they are."""
        return self._read(None if self._analysis is None else self._analysis, 0)

    @property
    def steady(self) -> Steady:
        """How steady the swaps are."""
        return self._work.steady

    @property
    def chosen(self) -> set[int]:
        """Numbers of the tracks that are swapped."""
        return self._work.cast.numbers(self.tracks)

    @property
    def statement(self) -> Statement | None:
        """What files say was done; None if nobody is swapped."""
        return self._work.statement if self.chosen else None

    @property
    def span(self) -> Span:
        """The stretch of the clip that is wanted."""
        return self._span

    def adopt(self, analysis: Analysis) -> None:
        """Take an analysis that was stored before."""
        self._analysis = analysis

    def cancel(self) -> None:
        """End the work, from any thread: the iterator ends after the next frame, `save` raises."""
        self._cancelled.set()

    def check_cancelled(self) -> None:
        """Raise CancelledError after `cancel`."""
        if self._cancelled.is_set():
            raise CancelledError("video: cancelled")

    def close(self) -> None:
        """End every iteration under way, and its threads."""
        self.cancel()
        while self._running:
            self._running.pop().close()  # type: ignore[attr-defined]

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        facts = self.facts
        what = "a stream" if facts is None else f"{facts.width} x {facts.height} pixels, {facts.count} frames"
        return f"<Video: {what}>"

    def _detector(self) -> Detector:
        if self._detect is None:
            raise AlignmentError(
                "frames: this engine looks for no faces; make it with Engine(landmarks=...), or install a "
                'detector (`pip install "e4s_engine[faces]"`)'
            )
        return self._detect

    def _read(self, analysis: Analysis | None, first: int) -> Iterator[Frame]:
        """Yield the frames of the wanted stretch, numbered from its beginning."""
        assert isinstance(self._source, Clip | Frames)
        facts = self._source.facts
        times = None if analysis is None else analysis.times
        if times is not None:
            begin: int | None = int(times[first])
        else:
            begin = _ticks(self._span.start, facts) if self._span.start > 0 else None
        end = None if self._span.stop is None else _ticks(self._span.stop, facts)
        for frame in self._source.frames(begin if first or self._span.start > 0 else None, first):
            if self._cancelled.is_set() or (end is not None and frame.pts >= end):
                return
            if times is not None and (frame.number >= len(times) or times[frame.number] != frame.pts):
                raise VideoError("frames: the clip gives other frames than before; was it changed?")
            yield frame

    def _counted(self, results: Iterator[FrameResult], done: int, total: int | None) -> Iterator[FrameResult]:
        try:
            for number, result in enumerate(results, done + 1):
                if self._cancelled.is_set():
                    return
                self._tell("frames", number, total)
                yield result
        finally:
            results.close()  # type: ignore[attr-defined]

    def _kept(self, results: Iterator[FrameResult]) -> Iterator[FrameResult]:
        self._running.append(results)
        return results

    def _tell(self, stage: str, done: int, total: int | None) -> None:
        if stage == "faces":
            self.check_cancelled()
        if self._progress is not None:
            self._progress(stage, done, total)


def source(frames: Any, rate: float | Fraction | None) -> Clip | Frames | Iterator[Frame]:
    """Return frames that a caller gave as what reads them. Raises VideoError."""
    if isinstance(frames, (str, os.PathLike)):
        return Clip(frames, "frames", rate)
    if isinstance(frames, (list, tuple)) or (isinstance(frames, np.ndarray) and frames.ndim == 4):
        return Frames(list(frames), rate)
    if isinstance(frames, (bytes, dict, np.ndarray)) or not isinstance(frames, Iterable) or is_stream(frames):
        raise VideoError(
            "frames: expected the path of a clip, a list of frames or an iterator of them, got "
            f"{type(frames).__name__}"
        )
    return streamed(frames)


def _empty(span: Span, facts: Facts) -> str:
    """Return what is wrong with a stretch in which there are no frames."""
    if span.whole:
        return "frames: the clip holds no frame that can be decoded"
    end = "the end" if span.stop is None else f"{span.stop:g} s"
    length = "" if facts.count is None else f"; it is some {float(facts.count / facts.rate):.2f} s long"
    return f"start, stop: the clip has no frame between {span.start:g} s and {end}{length}"


def _ticks(seconds: float, facts: Facts) -> int:
    """Return the time of the clip that lies some seconds after its first frame, rounded up to its unit."""
    return facts.start + int(np.ceil(round(seconds / float(facts.time_base), 6)))
