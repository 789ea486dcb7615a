"""One face through a run of frames: its crops, labels and style vectors, each steadied over time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from e4s_engine.photo import align, border
from e4s_engine.photo.align import Points
from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline.located import Portrait, foreign_to
from e4s_engine.pipeline.pipeline import Pipeline
from e4s_engine.regions import Labels
from e4s_engine.result import Face
from e4s_engine.video.options import Steady

_FEW = 64  # pixels of 512 x 512 below which a region is not worth an encoding of its own

Styles = npt.NDArray[np.float32]


def portrait(pixels: Pixels, quad: Points, number: int, others: Sequence[Points]) -> Portrait:
    """Return a face of a frame as a Portrait. number: of its track. others: crops of the other faces."""
    crop = border.reflected(align.cut(pixels, quad))
    return Portrait(f"track {number}", crop, number=number, foreign=foreign_to(quad, others))


class Line:
    """A track through one run of frames, which are added in order and are forgotten when they are used.

    What a frame gives depends on the frames around it alone, at most `Steady.ahead` away, and never on where
    the work began: a run that was interrupted goes on with the same numbers.
    """

    def __init__(self, first: int, stop: int, pipeline: Pipeline, steady: Steady) -> None:
        """first, stop: numbers of the run's first frame and of the one after its last."""
        self._first, self.stop, self._pipeline, self._steady = first, stop, pipeline, steady
        self._portraits: dict[int, Portrait] = {}
        self._parsed: dict[int, Labels] = {}
        self._voted: dict[int, Labels] = {}
        self._encoded: dict[int, Styles] = {}

    def add(self, frame: int, one: Portrait) -> None:
        """Take the face as it is in a frame."""
        self._portraits[frame] = one

    def ready(self, frame: int) -> Portrait:
        """Return a frame's Portrait with steady labels and style vectors."""
        labels = self._labels(frame)
        face = Face(labels, self._styles(frame, labels))
        return dataclasses.replace(self._portraits[frame], labels=labels, face=face)

    def forget(self, before: int) -> None:
        """Drop what belongs to frames before a number."""
        held: dict[int, object]
        for held in (self._portraits, self._parsed, self._voted, self._encoded):  # type: ignore[assignment]
            for frame in [frame for frame in held if frame < before]:
                del held[frame]

    def _raw(self, frame: int) -> Labels:
        if frame not in self._parsed:
            one = self._portraits[frame]
            self._parsed[frame] = self._pipeline.label([one])[one]
        return self._parsed[frame]

    def _labels(self, frame: int) -> Labels:
        if frame not in self._voted:
            near = range(
                max(self._first, frame - self._steady.labels), min(self.stop, frame + self._steady.labels + 1)
            )
            others = [self._raw(other) for other in near if other != frame]
            self._voted[frame] = vote(self._raw(frame), others)
        return self._voted[frame]

    def _own(self, frame: int) -> Styles:
        """Return the style vectors that a frame itself is encoded to."""
        if frame not in self._encoded:
            one = dataclasses.replace(self._portraits[frame], labels=self._labels(frame))
            self._encoded[frame] = self._pipeline.encode([one])[one].styles
        return self._encoded[frame]

    def _styles(self, frame: int, labels: Labels) -> Styles:
        """Return style vectors mixed of the encodings on both sides, and its own for what neither shows."""
        every = self._steady.every
        left = frame - (frame - self._first) % every
        right = min(left + every, self.stop - 1)
        if frame == left:
            return self._own(frame)
        styles = between(self._own(left), self._own(right), (frame - left) / (right - left))
        missing = lacking(labels, styles)
        if missing.any():
            styles[missing] = self._own(frame)[missing]
        return styles


def lacking(labels: Labels, styles: Styles) -> npt.NDArray[np.bool_]:
    """Return which regions labels show, by more than a few pixels, that have no style vector, bool [12]."""
    shown = np.bincount(labels.ravel(), minlength=len(styles)) > _FEW
    missing: npt.NDArray[np.bool_] = shown & ~styles.any(1)
    return missing


def vote(own: Labels, others: Sequence[Labels]) -> Labels:
    """Return at each pixel the commonest label of a frame and its neighbours; at a tie the frame's own."""
    every = [own, *others]
    result = own
    most = np.sum([one == own for one in every], axis=0, dtype=np.uint8)
    for other in others:
        count = np.sum([one == other for one in every], axis=0, dtype=np.uint8)
        wins = count > most
        result, most = np.where(wins, other, result), np.maximum(count, most)
    return result


def between(a: Styles, b: Styles, share: float) -> Styles:
    """Return style vectors [12, D] at a share of the way from a to b; regions of one alone are that one's."""
    mixed = (np.float32(1 - share) * a + np.float32(share) * b).astype(np.float32)
    has_a, has_b = a.any(1), b.any(1)
    mixed[has_a & ~has_b] = a[has_a & ~has_b]
    mixed[has_b & ~has_a] = b[has_b & ~has_a]
    return mixed
