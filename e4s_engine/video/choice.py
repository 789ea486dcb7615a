"""Which tracks of a clip get which face."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from e4s_engine.errors import AlignmentError, ArgumentError
from e4s_engine.faces.choose import Which
from e4s_engine.pipeline.jobs import Giver
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.portraits import Job
from e4s_engine.video.track import Track


def check(which: Which) -> Which:
    """Return a choice of faces that tracks allow. Raises ArgumentError for left, right and callables."""
    if callable(which) or which in ("left", "right"):
        raise ArgumentError(
            "faces: in a clip expected 'largest' (the most prominent of every shot), 'all', a number or a "
            "list of numbers of its tracks (`e4s video --faces` lists them)"
        )
    return which


@dataclasses.dataclass(frozen=True)
class Cast:
    """People by the numbers of the tracks that they go into; `anyone` goes into those that are meant."""

    people: dict[int, Giver]
    anyone: Giver | None
    which: Which

    @classmethod
    def of(cls, givers: Sequence[Giver], which: Which) -> Cast:
        """Return the cast of a call's givers; without any nobody is swapped."""
        named = {giver.number: giver for giver in givers if giver.number is not None}
        return cls(named, givers[0] if givers and not named else None, check(which))

    def numbers(self, tracks: Sequence[Track]) -> set[int]:
        """Return the numbers of the tracks that are swapped. Raises AlignmentError for an unknown one."""
        if self.people or self.anyone is None:
            wanted = set(self.people)
        elif self.which == "all":
            return {track.number for track in tracks}
        elif self.which == "largest":
            best: dict[int, Track] = {}
            for track in tracks:
                if track.shot not in best or track.weight > best[track.shot].weight:
                    best[track.shot] = track
            return {track.number for track in best.values()}
        else:
            wanted = {self.which} if isinstance(self.which, int) else set(self.which)  # type: ignore[arg-type]
        for number in sorted(wanted):
            if number not in {track.number for track in tracks}:
                raise AlignmentError(
                    f"frames: there is no track number {number}, the clip has {len(tracks)}, from 0 "
                    "(`e4s video --faces CLIP -o sheet.jpg` shows them)"
                )
        return wanted

    def job(self, target: Portrait) -> Job:
        """Return what is done to a track's face in a frame."""
        giver = self.people.get(-1 if target.number is None else target.number, self.anyone)
        assert giver is not None
        return Job(target, giver.parts, giver.request)
