"""`e4s batch`: many swaps, of a folder or a list, here or on the machines of a Ray cluster."""

from __future__ import annotations

import argparse
import csv
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from e4s_engine.cli import clips, cluster, engines, flags, marking, outputs, progress, results, swap, targets
from e4s_engine.cli.jobs import Job, Outcome, jobs, outcomes
from e4s_engine.errors import ArgumentError, E4SError

HELP = "many swaps, of a folder or a list, here or on a Ray cluster"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument(
        "inputs",
        metavar="SOURCE TARGET",
        nargs="*",
        help="a photo, and photos, clips or folders of them to put it into",
    )
    command.add_argument(
        "--list", metavar="FILE", help="CSV with the columns source and target, and perhaps regions and name"
    )
    swap.add_swap(command)
    command.add_argument("-o", "--output", required=True, metavar="FOLDER", help="for the results")
    flags.add_overwrite(command)
    flags.add_quality(command)
    clips.add(command)
    marking.add(command)
    marking.add_guard(command)
    results.add(command)
    command.add_argument(
        "--retries", type=flags.natural, default=2, metavar="N", help="of what may yet succeed; default: 2"
    )
    command.add_argument("--failures", metavar="FILE", help="also write what failed, as CSV")
    cluster.add(command)
    flags.add_engine(command)
    flags.add_label_format(command)


def run(arguments: Namespace) -> int:
    """Swap every target, try again what may yet succeed, and list what failed."""
    swap.check_choices(arguments)
    listed = jobs(arguments)
    _check_failures(arguments)
    free = set(targets.check(arguments, [job.target for job in listed]))
    left = [job for job in listed if job.target in free]
    _check_clips(arguments, left)
    kept = len(listed) - len(left)
    if not left:
        return _report(arguments, listed, 0, kept)
    marking.check(arguments, *(job.target.output for job in left))
    failed = _done(arguments, left)
    if arguments.failures is not None:
        _write_failures(Path(arguments.failures), failed)
    return _report(arguments, listed, len(left) - len(failed), kept)


def _report(arguments: Namespace, listed: Sequence[Job], written: int, kept: int) -> int:
    """Print the summary; return the exit code."""
    what = "files" if any(job.target.clip for job in listed) else "photos"
    return results.report(arguments, len(listed), written, kept, what)


def _check_clips(arguments: Namespace, left: Sequence[Job]) -> None:
    """Check the flags of photos and of clips. --overwrite begins interrupted clips anew."""
    clips.check(arguments, [job.target.photo for job in left if job.target.clip])
    results.check_quality(arguments, [job.target for job in left if not job.target.clip])
    if arguments.overwrite:
        for job in left:
            if job.target.clip:
                clips.begin_anew(job.target.output)


def _check_failures(arguments: Namespace) -> None:
    """Check the file for the failures before any work."""
    from e4s_engine.photo.files import check_writable

    if arguments.failures is None:
        return
    path = Path(arguments.failures)
    if path.suffix.lower() != ".csv":
        raise ArgumentError(f"--failures: expected a name that ends in .csv, got {path}")
    check_writable(path, "--failures")
    outputs.check_free(path, "--failures", {}, arguments.overwrite)


def _done(arguments: Namespace, todo: Sequence[Job]) -> list[Outcome]:
    """Do jobs, and again those that may yet succeed; return what failed in the end, each with one line."""
    written: results.Written = {}
    failures = results.Failures()
    failed: list[Outcome] = []
    for tries_left in range(arguments.retries, -1, -1):
        again: list[Job] = []
        for outcome in _attempt(arguments, todo, first=tries_left == arguments.retries):
            done = _written(arguments, outcome, written)
            if not done.error:
                continue
            if done.again and tries_left:
                again.append(done.job)
            else:
                failures.say(done.job.target.photo, done.error)
                failed.append(done)
        todo = again
        if not todo:
            break
    failures.hint()
    return sorted(failed, key=lambda outcome: outcome.job.number)


def _attempt(arguments: Namespace, todo: Sequence[Job], first: bool) -> Iterator[Outcome]:
    """Do jobs once, in order, and show the progress."""

    def shown(done: Iterable[Outcome]) -> Iterator[Outcome]:
        return iter(progress.bar(done, total=len(todo), unit="file", desc=None if first else "again"))

    if arguments.ray:
        yield from shown(cluster.outcomes_of(arguments, todo, first))
        return
    with engines.engine(arguments) as engine:
        yield from shown(outcomes(engine, arguments, todo))


def _written(arguments: Namespace, outcome: Outcome, written: results.Written) -> Outcome:
    """Write a photo's result; return the outcome, with an error if that failed."""
    from e4s_engine.photo.files import replacing

    if outcome.error:
        return outcome
    target = outcome.job.target
    if outcome.data is not None:
        try:
            results.check_free(arguments, target, written)
            with replacing(target.output, "--output") as temporary:
                temporary.write_bytes(outcome.data)
        except E4SError as error:
            return Outcome(outcome.job, error=str(error))
    written[outputs.identity(target.output)] = target
    return outcome


def _write_failures(path: Path, failed: Sequence[Outcome]) -> None:
    from e4s_engine.photo.files import replacing

    with (
        replacing(path, "--failures") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        table.writerow(("source", "target", "output", "error"))
        for outcome in failed:
            job = outcome.job
            table.writerow((job.source, job.target.photo, job.target.output, " ".join(outcome.error.split())))
