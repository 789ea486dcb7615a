"""Jobs of `e4s batch`: a source into a target each, and what comes of them, wherever they are done."""

from __future__ import annotations

import dataclasses
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e4s_engine.cli import clips, files, flags, results, swap, targets
from e4s_engine.cli.targets import Target
from e4s_engine.errors import ArgumentError, ClosedError, DeviceLostError, E4SError

if TYPE_CHECKING:
    from e4s_engine.engine import Engine
    from e4s_engine.result import Result


@dataclasses.dataclass(frozen=True)
class Job:
    """A source to be swapped into a target. regions: as a list names them; None: those of the flags."""

    number: int
    source: str
    regions: str | None
    target: Target


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a job: the bytes of the result's file, or an error in the library's words.

    again: whether another try may succeed. A clip's file is written already, and its data is None.
    """

    job: Job
    data: bytes | None = None
    error: str = ""
    again: bool = False


def jobs(arguments: Namespace) -> list[Job]:
    """Return the jobs that a command names: a source and its targets, or a list. Raises ArgumentError."""
    if (arguments.list is None) == (not arguments.inputs):
        raise ArgumentError("SOURCE: give either SOURCE and TARGETs, or --list")
    if arguments.list is not None:
        return _of_list(Path(arguments.list), arguments)
    arguments.source, *arguments.target = arguments.inputs
    if not arguments.target:
        raise ArgumentError("TARGET: expected photos, or a folder of photos, after SOURCE")
    listed = targets.targets(arguments, with_clips=True)
    return [Job(number, arguments.source, None, target) for number, target in enumerate(listed)]


def _of_list(path: Path, arguments: Namespace) -> list[Job]:
    """Read a list; results are called by the pairs' names, else by their numbers."""
    from e4s_engine.evaluation import pairs

    listed = pairs.read(path, argument="--list")
    wrong = next((p.name for p in listed if Path(p.name).is_absolute() or ".." in Path(p.name).parts), None)
    if wrong is not None:
        raise ArgumentError(f"--list: the name {wrong!r} leads out of the folder of results")
    places = [(pair.target, Path(f"{pair.name}{pair.target.suffix}")) for pair in listed]
    found = targets.in_folder(places, Path(arguments.output), arguments.format, with_clips=True)
    arguments.source = [str(pair.source) for pair in listed]  # inputs, which no result may replace
    return [
        Job(pair.number, str(pair.source), pair.regions, target)
        for pair, target in zip(listed, found, strict=True)
    ]


def outcomes(engine: Engine, arguments: Namespace, todo: Sequence[Job]) -> Iterator[Outcome]:
    """Do jobs in order. A source is read and encoded once for all jobs in a row that name it.

    Raises BackendError and ClosedError, which every later job would raise too.
    """
    for (source, regions, is_clip), group in groupby(todo, key=kind):
        same = list(group)
        own = Namespace(**vars(arguments))
        own.source = source
        own.regions = arguments.regions if regions is None else flags.regions(regions)
        photos = [job.target for job in same]
        try:
            people = swap.people_of(engine, own)
            if is_clip:
                giver = swap.source_of(engine, own, people)
                yield from (_clip(engine, own, giver, job) for job in same)
                continue
            known = (files.target_labels(own, photos), files.target_landmarks(own, photos))
            swaps = swap.swapped(engine, own, people, photos, known)
        except ArgumentError as error:
            yield from (Outcome(job, error=str(error)) for job in same)
            continue
        for index, (job, swapped) in enumerate(zip(same, swaps, strict=True)):
            yield _outcome(arguments, job, swapped, index)


def kind(job: Job) -> tuple[str, str | None, bool]:
    """Return what jobs share that are done together: source and regions, and whether they are clips."""
    return job.source, job.regions, job.target.clip


def _clip(engine: Engine, arguments: Namespace, source: tuple[Any, Any], job: Job) -> Outcome:
    """Swap a clip into its file; what an interrupted run has done of it counts."""
    try:
        clips.save(engine, arguments, source, job.target.photo, job.target.output)
    except (ClosedError, DeviceLostError):
        raise
    except E4SError as error:
        message = clips.about_target(str(error))
        return Outcome(job, error=message, again=not isinstance(error, ArgumentError))
    return Outcome(job)


def _outcome(arguments: Namespace, job: Job, swapped: Result | Exception, index: int) -> Outcome:
    if not isinstance(swapped, Exception):
        try:
            return Outcome(job, _bytes(arguments, swapped, job.target.output.suffix))
        except E4SError as error:
            swapped = error
    message = results.about_target(swapped, index)
    if not isinstance(swapped, E4SError):
        message = f"{type(swapped).__name__}: {message}"
    return Outcome(job, error=message, again=not isinstance(swapped, ArgumentError))


def _bytes(arguments: Namespace, result: Result, suffix: str) -> bytes:
    """Return the file of a result."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"result{suffix}"
        results.write(arguments, result, path)
        return path.read_bytes()
