"""What `Engine.video` does: inputs read, sources encoded once, and a `Video` made of them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from e4s_engine.errors import ArgumentError
from e4s_engine.options import SwapOptions
from e4s_engine.pipeline import batches, told
from e4s_engine.pipeline.jobs import Giver, Reader, Side, givers
from e4s_engine.pipeline.pipeline import Pipeline
from e4s_engine.pipeline.portraits import Person, Request
from e4s_engine.result import Face
from e4s_engine.video.choice import Cast
from e4s_engine.video.joining import Span
from e4s_engine.video.options import Steady
from e4s_engine.video.swapping import Work
from e4s_engine.video.video import Progress, Video


def video(
    pipeline: Pipeline,
    reader: Reader,
    source: Side,
    request: Request,
    options: SwapOptions,
    frames: Any,
    *,
    steady: Steady | None,
    stretch: tuple[float, float | None],
    rate: float | None,
    progress: Progress | None,
    about: dict[str, Any],
) -> Video:
    """Return the swaps of a clip. about: what they depend on beside source and options."""
    if progress is not None and not callable(progress):
        raise ArgumentError(f"progress: expected a callable (stage, done, total), got {progress!r:.60}")
    people = [] if source.image is None else givers(source, request, reader, options.faces)
    statement = told.clip(options, [part.person for giver in people for part in giver.parts])
    if not pipeline.driver.drives(options):
        people = batches.encoded(pipeline, people)
    cast = Cast.of(people, options.faces)
    work = Work(pipeline, cast, options, steady or Steady(), 1.0, statement, reader.guard)
    about = {
        **about,
        "source": [_identity(giver) for giver in people],
        "regions": repr(request),
        "options": dataclasses.asdict(options),
    }
    return Video(frames, work, reader.finder.detect, _span(*stretch), rate, progress, about)


def _span(start: float, stop: float | None) -> Span:
    for name, value in (("start", start), ("stop", stop)):
        given = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if value is not None and not (given and np.isfinite(value) and value >= 0):
            raise ArgumentError(f"{name}: expected seconds, 0 or more, got {value!r}")
    if stop is not None and stop <= start:
        raise ArgumentError(f"stop: expected seconds after start, {start}, got {stop}")
    return Span(float(start), None if stop is None else float(stop))


def _identity(giver: Giver) -> list[Any]:
    return [giver.number, *((_hash(part.person), list(part.ids)) for part in giver.parts)]


def _hash(person: Person) -> str:
    """Return what tells a person from another: the pixels and labels, or what they were encoded to."""
    arrays: Sequence[Any]
    if isinstance(person, Face):
        arrays = person.labels, person.styles
    else:
        arrays = person.crop.image, *(() if person.labels is None else (person.labels,))
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
