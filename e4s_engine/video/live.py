"""Streams: faces followed and steadied from what came before alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from e4s_engine.faces.face import DetectedFace, Detector
from e4s_engine.photo.align import Points
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.pipeline import Pipeline
from e4s_engine.regions import Labels
from e4s_engine.result import Face
from e4s_engine.video import looking
from e4s_engine.video.frames import Frame
from e4s_engine.video.lines import Styles, between, lacking
from e4s_engine.video.options import Steady
from e4s_engine.video.shots import Cuts
from e4s_engine.video.track import Sight, Tracker

Floats = npt.NDArray[np.float64]

_CENTRE = (0.15, 8.0)  # lowest cutoff, in cycles per frame, and its growth with speed, in sides per frame
_AXES = (0.05, 2.0)
_ALONE = 2  # frames between looks at whole ones while there is no face
_SPEED = 0.2  # cutoff of the speed itself


class OneEuro:
    """The One Euro filter (Casiez, Roussel, Vogel 2012): calm at rest, without lag in fast motion."""

    def __init__(self, cutoff: float, growth: float) -> None:
        self._cutoff, self._growth = cutoff, growth
        self._value: Floats | None = None
        self._speed: Floats = np.zeros(2)

    def __call__(self, value: Floats) -> Floats:
        """Return the next value of a series [D], one per frame, filtered."""
        if self._value is None:
            self._value = value
            return value
        speed = value - self._value
        self._speed = self._speed + _weight(_SPEED) * (speed - self._speed)
        weight = _weight(self._cutoff + self._growth * float(np.hypot(*self._speed)))
        self._value = self._value + weight * (value - self._value)
        return self._value


def _weight(cutoff: float) -> float:
    return 1 / (1 + 1 / (2 * np.pi * cutoff))


class LiveQuad:
    """Crops of one track, filtered as they come."""

    def __init__(self, steady: Steady) -> None:
        self._centre = OneEuro(*_CENTRE) if steady.centre else None
        self._axes = OneEuro(*_AXES) if steady.axes else None
        self._side = 0.0

    def __call__(self, quad: Points) -> Points:
        """Return the next crop [4, 2], filtered."""
        self._side = self._side or looking.side(quad)
        centre, across = quad.mean(0), (quad[3] - quad[0]) / 2
        if self._centre is not None:
            centre = self._centre(centre / self._side) * self._side
        if self._axes is not None:
            across = self._axes(across / self._side) * self._side
        down = np.array([-across[1], across[0]])
        return np.stack([centre - across - down, centre - across + down, centre + across + down,
                         centre + across - down])  # fmt: skip


class LiveFaces:
    """Shots and tracks of a stream, frame by frame."""

    def __init__(self, detect: Detector, steady: Steady) -> None:
        self._detect, self._steady = detect, steady
        self._cuts, self._tracker = Cuts(), Tracker()
        self._since = 0  # frames since the last look at a whole one
        self._quads: dict[int, LiveQuad] = {}

    def add(self, frame: Frame, number: int) -> tuple[dict[int, Points], bool]:
        """Return the crops [4, 2] of a frame's faces by track, and whether a shot begins with it."""
        begins = self._cuts.begins(frame.pixels)
        expected = [] if begins else self._tracker.expected(number)
        faces: list[DetectedFace] = []
        if not begins and number and self._since < looking.EVERY:
            faces = looking.near(frame.pixels, expected, self._detect)
        late = looking.EVERY if expected else _ALONE
        if begins or not number or self._since >= late or len(faces) < len(expected):
            faces, self._since = self._detect(frame.pixels), 0
        sights: list[tuple[int, Sight]] = self._tracker.update(number, faces, begins)
        if begins:
            self._quads.clear()
        quads = {}
        for track, sight in sights:
            steadier = self._quads.setdefault(track, LiveQuad(self._steady))
            quads[track] = steadier(sight.quad)
        self._since += 1
        return quads, begins


class LiveLine:
    """A track's style vectors as they come: encoded now and then, and reached little by little."""

    def __init__(self, pipeline: Pipeline, steady: Steady) -> None:
        self._pipeline, self._steady = pipeline, steady
        self._old: Styles | None = None
        self._new: Styles | None = None
        self._age = 0  # frames since the last encoding

    def ready(self, one: Portrait) -> Portrait:
        """Return the next frame's Portrait with labels and style vectors."""
        labels = self._pipeline.label([one])[one]
        labelled = dataclasses.replace(one, labels=labels)
        self._age += 1
        if self._new is None or self._age >= self._steady.every or self._lacks(labels):
            styles = self._pipeline.encode([labelled])[labelled].styles
            self._old = styles if self._new is None or self._steady.every == 1 else self._mixed()
            self._new, self._age = styles, 0
        return dataclasses.replace(labelled, face=Face(labels, self._mixed()))

    def _lacks(self, labels: Labels) -> bool:
        """Return whether a frame shows a region that no encoding has seen."""
        return bool(lacking(labels, self._mixed()).any())

    def _mixed(self) -> Styles:
        assert self._old is not None and self._new is not None
        return between(self._old, self._new, min(1.0, self._age / self._steady.every))
