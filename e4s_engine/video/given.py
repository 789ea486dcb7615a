"""Frames that a caller has: lists of them, and streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from e4s_engine.errors import VideoError
from e4s_engine.photo import images
from e4s_engine.video.clip import RATE, Facts
from e4s_engine.video.frames import Colours, Frame, to_pixels
from e4s_engine.video.turn import AS_STORED


def frame_of(item: Any, number: int, argument: str) -> Frame:
    """Return any picture, or PyAV's frame, as a Frame whose times count frames."""
    if type(item).__module__.startswith("av.") and hasattr(item, "reformat"):
        return Frame(number, number, 1, array=to_pixels(item, AS_STORED))
    return Frame(number, number, 1, array=images.read(item, f"{argument}[{number}]"))


class Frames:
    """A list of frames that are there, to be read as often as needed."""

    def __init__(self, items: Sequence[Any], rate: float | Fraction | None, argument: str = "frames") -> None:
        """rate: frames per second; 25 by default. Raises VideoError."""
        self._items, self.argument = items, argument
        if not len(items):
            raise VideoError(f"{argument}: expected at least one frame, got an empty list")
        height, width = frame_of(items[0], 0, argument).pixels.shape[:2]
        speed = RATE if rate is None else Fraction(rate).limit_denominator(100_000)
        if speed <= 0:
            raise VideoError(f"rate: expected frames per second above 0, got {rate}")
        self.facts = Facts(width, height, 1 / speed, speed, len(items), "rgb24", 8, Colours())

    def frames(self, first_pts: int | None = None, number: int = 0) -> Iterator[Frame]:
        """Yield frames; see `Clip.frames`."""
        first = first_pts or 0
        for pts in range(first, len(self._items)):
            frame = frame_of(self._items[pts], pts, self.argument)
            if frame.pixels.shape[:2] != (self.facts.height, self.facts.width):
                size = f"{frame.pixels.shape[1]} x {frame.pixels.shape[0]}"
                raise VideoError(
                    f"{self.argument}[{pts}]: {size} pixels, the first has {self.facts.width} x "
                    f"{self.facts.height}; all must have one size"
                )
            yield Frame(number + pts - first, pts, 1, array=np.asarray(frame.pixels))


def streamed(items: Iterable[Any], argument: str = "frames") -> Iterator[Frame]:
    """Yield the frames of a stream as they come."""
    for number, item in enumerate(items):
        yield frame_of(item, number, argument)
