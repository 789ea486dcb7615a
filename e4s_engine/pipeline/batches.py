"""Many swaps, a few at a time: results or errors, in order."""

from __future__ import annotations

import dataclasses
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence, Sized
from functools import partial
from itertools import count, islice, repeat
from typing import Any, Literal, TypeVar

from e4s_engine.errors import ArgumentError, BackendError, ClosedError, DeviceMemoryError
from e4s_engine.options import SwapOptions
from e4s_engine.photo.images import is_stream
from e4s_engine.pipeline import inputs
from e4s_engine.pipeline.jobs import Giver, Reader, Side, givers, jobs, onto
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.pipeline import Pipeline
from e4s_engine.pipeline.portraits import Job, Part, Person, Regions, Request
from e4s_engine.result import Face, Result

Value = TypeVar("Value")
Task = Callable[[], Sequence[Job]]  # reads one target and its sources
Outcome = Result | Exception
Progress = Callable[[int, int | None], object]
OnError = Literal["yield", "raise"]
Columns = tuple[Any, Any, Any]  # images, labels, landmarks: one each per target


def outcomes(
    pipeline: Pipeline, tasks: Iterable[Task], options: SwapOptions, at_once: int
) -> Iterator[Outcome]:
    """Read and do tasks in order; an item that fails yields its exception, and the others go on.

    at_once: number of tasks that are read before they are done together, which bounds the memory.

    Raises ClosedError and BackendError (but for want of memory), which every later item would raise too.
    """
    waiting = iter(tasks)
    while some := list(islice(waiting, at_once)):
        yield from _outcomes(pipeline, some, options)


def _outcomes(pipeline: Pipeline, tasks: list[Task], options: SwapOptions) -> list[Outcome]:
    """Do a few tasks together.

    Its lists are emptied at the end: frames of exceptions lead here, and callers may keep exceptions.
    """
    groups: list[Sequence[Job] | Exception] = []
    while tasks:
        groups.append(_attempt(tasks.pop(0)))
    good = [group for group in groups if not isinstance(group, Exception)]
    done = _attempt(partial(pipeline.swap_groups, tuple(good), options))
    results: list[Outcome] = []
    if not isinstance(done, Exception):
        results += done
    elif len(good) == 1:
        results.append(done)
    else:  # one of them failed: each on its own
        for group in good:
            results.append(_attempt(partial(_alone, pipeline, group, options)))
            del group
    outcomes = [group if isinstance(group, Exception) else results.pop(0) for group in groups]
    for values in (groups, good, results):
        values.clear()
    del done
    return outcomes


def _alone(pipeline: Pipeline, jobs: Sequence[Job], options: SwapOptions) -> Result:
    return pipeline.swap_groups([jobs], options)[0]


def _attempt(work: Callable[[], Value]) -> Value | Exception:
    """Return what `work` returns, or the exception that concerns this item alone."""
    try:
        return work()
    except (ClosedError, BackendError) as error:
        if isinstance(error, DeviceMemoryError):
            return error
        raise
    except Exception as error:
        return error


def told(
    items: Iterable[Outcome], total: int | None, raises: bool, progress: Progress | None
) -> Generator[Outcome, None, None]:
    """Pass outcomes on; raise exceptions if the caller wants that, and call `progress` after each item."""
    for number, outcome in enumerate(items, 1):
        if progress is not None:
            progress(number, total)
        if isinstance(outcome, Exception):
            if raises:
                raise outcome
            _let_go(outcome)
        yield outcome


def _let_go(error: BaseException) -> None:
    """Empty the frames of an exception, which hold pictures: callers may collect exceptions."""
    cause: BaseException | None = error
    while cause is not None:
        traceback.clear_frames(cause.__traceback__)
        cause = cause.__cause__ or cause.__context__


def tasks(
    pipeline: Pipeline, reader: Reader, source: Side, target: Columns, request: Request, options: SwapOptions
) -> tuple[Iterator[Task], int | None]:
    """Return the tasks of `Engine.swap_each` and their number, None if only the end of the targets tells.

    source: one source for all, which is read now, and encoded unless it is to be driven to every target, or
        many, as its `image`.
    target: images, labels and landmarks of the targets.

    Raises ArgumentError, or what is wrong with a single source.
    """
    images, labels, points = target
    if isinstance(images, (str, bytes, Mapping)) or not isinstance(images, Iterable) or is_stream(images):
        raise ArgumentError(f"targets: expected a list or an iterator of images, got {type(images).__name__}")
    total = len(images) if isinstance(images, Sized) else None
    known = (_in_step(labels, total, "target_labels"), _in_step(points, total, "target_landmarks"))
    kept = (Side(image, f"targets[{i}]", next(known[0]), next(known[1])) for i, image in enumerate(images))
    many = isinstance(source.image, (list, tuple, Iterator)) and not is_stream(source.image)
    which = options.faces
    if not many:
        people = givers(source, request, reader, which)
        if not pipeline.driver.drives(options):
            people = encoded(pipeline, people)
        return (partial(onto, people, side, reader.anew(), which) for side in kept), total
    columns = zip(
        _in_step(source.image, total, "sources"),
        _in_step(source.labels, total, "source_labels"),
        _in_step(source.points, total, "source_landmarks"),
        strict=False,
    )
    given = (Side(image, f"sources[{i}]", *more) for i, (image, *more) in enumerate(columns))
    return (partial(jobs, next(given), side, request, reader.anew(), which) for side in kept), total


def all_read(
    pipeline: Pipeline,
    reader: Reader,
    source: Columns,
    target: Columns,
    request: Request,
    options: SwapOptions,
) -> list[Task]:
    """Return the tasks of `Engine.swap_batch`: everything is read, and sources that come again are encoded.

    Raises what is wrong with any input.
    """
    if not isinstance(target[0], (list, tuple)):
        raise ArgumentError(f"targets: expected a list of images, got {type(target[0]).__name__}")
    many = list(source[0]) if isinstance(source[0], (list, tuple)) else [source[0]]
    total = len(target[0])
    if len(many) not in (1, total):
        raise ArgumentError(f"sources: expected 1 or {total} (one per target), got {len(many)}")
    given, kept = _sides((many, *source[1:]), "source"), _sides(target, "target")
    pairs = zip(given if len(given) > 1 else given * total, kept, strict=True)
    groups = [jobs(*pair, request, reader, options.faces) for pair in pairs]
    if not pipeline.driver.drives(options):
        groups = _repeated_encoded(pipeline, groups)
    return [partial(list, group) for group in groups]


def _sides(columns: Columns, name: str) -> list[Side]:
    images, *more = columns
    labels, points = (
        inputs.per_item(values, len(images), f"{name}_{kind}")
        for values, kind in zip(more, ("labels", "landmarks"), strict=True)
    )
    return [Side(image, f"{name}s[{i}]", labels[i], points[i]) for i, image in enumerate(images)]


def _in_step(values: Any, total: int | None, argument: str) -> Iterator[Any]:
    """Return one value per target, read as the targets are; None stands for none at all.

    total: number of targets, None if only their end tells. Raises ArgumentError.
    """
    if values is None:
        return repeat(None)
    if not isinstance(values, (list, tuple, Iterator)):
        raise ArgumentError(
            f"{argument}: expected a list or an iterator, one value per target, got {type(values).__name__}"
        )
    if total is not None and isinstance(values, (list, tuple)) and len(values) != total:
        raise ArgumentError(f"{argument}: expected {total}, one per target, got {len(values)}")
    return _counted(iter(values), argument)


def _counted(values: Iterator[Any], argument: str) -> Iterator[Any]:
    for number in count():
        try:
            yield next(values)
        except StopIteration:
            raise ArgumentError(f"{argument}: ends after {number} values, before the targets do") from None


def encoded(pipeline: Pipeline, people: Sequence[Giver]) -> list[Giver]:
    """Return givers whose photos are encoded, to be given many times."""
    faces = pipeline.encode(part.person for giver in people if _asked(giver) for part in giver.parts)
    return [dataclasses.replace(giver, parts=_known(giver.parts, faces)) for giver in people]


def _repeated_encoded(pipeline: Pipeline, groups: Sequence[Sequence[Job]]) -> list[list[Job]]:
    """Return jobs in which photos that give several times are encoded, each once."""
    given = Counter(part.person for jobs in groups for job in jobs if _asked(job) for part in job.parts)
    faces: dict[Person, Face] = {}
    for person, times in given.items():
        if times > 1:
            faces |= pipeline.encode([person])
    return [[dataclasses.replace(job, parts=_known(job.parts, faces)) for job in jobs] for jobs in groups]


def _asked(work: Giver | Job) -> bool:
    """Return whether anything is asked for: otherwise nobody is encoded, and no labels are needed."""
    return work.request != Regions(())


def _known(parts: Sequence[Part], faces: dict[Person, Face]) -> tuple[Part, ...]:
    return tuple(
        Part(
            faces.get(part.person, part.person),
            part.ids,
            part.person if isinstance(part.person, Portrait) else part.photo,
        )
        for part in parts
    )
