"""First pass over a clip: times of its frames, shots, and the tracks of its faces."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from e4s_engine.faces.face import DetectedFace, Detector
from e4s_engine.photo.files import replacing
from e4s_engine.video import looking, track
from e4s_engine.video.frames import Frame
from e4s_engine.video.shots import Cuts
from e4s_engine.video.track import Sight, Track, Tracker

Tick = Callable[[int], object]  # takes the number of finished frames


@dataclasses.dataclass(frozen=True, eq=False)
class Analysis:
    """What a first pass finds.

    times: pts of the frames, int64 [frames]. last_duration: of the last frame, in the same units. shots:
    first frames of the shots, 0 first.
    """

    times: npt.NDArray[np.int64]
    last_duration: int
    shots: tuple[int, ...]
    tracks: tuple[Track, ...]

    def save(self, path: Path) -> None:
        """Write it as .npz; a file that is there is complete at every moment."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "times": self.times,
            "last_duration": np.array(self.last_duration),
            "shots": np.array(self.shots),
        }
        for one in self.tracks:
            facts = np.array([one.number, one.shot, one.first])
            name = f"track{one.number}"
            arrays |= {name: facts, f"{name}_quads": one.quads, f"{name}_seen": one.seen}
            arrays |= {f"{name}_shown": one.shown, f"{name}_score": np.array(one.score)}
        with replacing(path, "output") as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())

    @classmethod
    def load(cls, path: Path) -> Analysis:
        """Read what `save` wrote."""
        with path.open("rb") as file, np.load(file) as held:
            numbers = sorted(int(name[5:]) for name in held.files if name[5:].isdecimal())
            tracks = []
            for name in (f"track{number}" for number in numbers):
                number, shot, first = held[name].tolist()
                quads, seen, shown = (held[f"{name}_{part}"] for part in ("quads", "seen", "shown"))
                tracks.append(Track(number, shot, first, quads, seen, shown, float(held[f"{name}_score"])))
            shots = tuple(held["shots"].tolist())
            return cls(held["times"], int(held["last_duration"]), shots, tuple(tracks))


def analyse(frames: Iterable[Frame], detect: Detector, tick: Tick = lambda _: None) -> Analysis:
    """Find shots and faces. tick: called after each frame; what it raises ends the pass."""
    pass_ = _Pass(detect)
    for frame in frames:
        pass_.add(frame)
        tick(len(pass_.times))
    return pass_.finished()


class _Pass:
    def __init__(self, detect: Detector) -> None:
        self.times: list[int] = []
        self._detect, self._cuts, self._tracker = detect, Cuts(), Tracker()
        self._shots, self._duration = [0], 1
        self._sights: dict[int, list[Sight]] = {}
        self._pending: list[Frame] = []  # frames since the last look at a whole one
        self._before: list[DetectedFace] = []
        self._done = 0

    def add(self, frame: Frame) -> None:
        number = len(self.times)
        self.times.append(frame.pts)
        self._duration = frame.duration
        begins = self._cuts.begins(frame.pixels)
        if begins:
            self._look()
            self._before = []
            self._shots.append(number)
        self._pending.append(frame)
        if begins or number == 0 or len(self._pending) == looking.EVERY:
            self._look()

    def _look(self) -> None:
        """Look at the last pending frame, and at what lies between."""
        if not self._pending:
            return
        *inner, last = [frame.pixels for frame in self._pending]
        after = self._detect(last)
        for faces in [*looking.between(inner, self._before, after, self._detect), after]:
            self._track(faces)
        self._pending.clear()
        self._before = after

    def _track(self, faces: list[DetectedFace]) -> None:
        cut = self._done == self._shots[-1]
        for number, sight in self._tracker.update(self._done, faces, cut):
            self._sights.setdefault(number, []).append(sight)
        self._done += 1

    def finished(self) -> Analysis:
        self._look()
        found = track.tracks(self._sights, [*self._shots, len(self.times)])
        return Analysis(np.array(self.times, np.int64), self._duration, tuple(self._shots), tuple(found))
