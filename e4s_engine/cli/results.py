"""Results of several targets on the command line: their flags, files as they come, and the summary."""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from e4s_engine.cli import marking, outputs, progress, words
from e4s_engine.cli.messages import say
from e4s_engine.cli.targets import FORMATS, Target
from e4s_engine.errors import E4SError, OutputError

if TYPE_CHECKING:
    from e4s_engine.result import Result

Written = dict[outputs.Identity | None, Target]  # files that this command wrote


def add(command: argparse.ArgumentParser) -> None:
    """Add the flags of batches."""
    command.add_argument("--skip-existing", action="store_true", help="leave out targets whose result exists")
    command.add_argument("--recursive", action="store_true", help="look into the folders of a target folder")
    command.add_argument(
        "--format", choices=FORMATS, help="of the results in a folder; default: each target's own"
    )


def check_quality(arguments: Namespace, targets: Sequence[Target]) -> None:
    """Raise ArgumentError for a quality that no result of the batch can have."""
    from e4s_engine.photo import saving

    if arguments.quality is None or not targets:
        return
    lossy = next((target for target in targets if _suffix(target) in saving.LOSSY), targets[0])
    saving.check_quality(arguments.quality, _suffix(lossy))


def save(
    arguments: Namespace, targets: Sequence[Target], swaps: Iterable[Result | Exception], single: bool
) -> int:
    """Write the results; say in one line each what went wrong. Return the number of files written.

    single: whether the command names one target, whose error is raised.
    """
    written: Written = {}
    failures = Failures()
    bar = progress.bar(swaps, total=len(targets), unit="photo", hidden=single)
    for number, (target, swap) in enumerate(zip(targets, bar, strict=True)):
        try:
            if isinstance(swap, Exception):
                raise swap
            check_free(arguments, target, written)
            write(arguments, result=swap, path=target.output)
            written[outputs.identity(target.output)] = target
        except E4SError as error:
            message = about_target(error, number)
            if single:
                raise type(error)(message) from error
            failures.say(target.photo, message)
    failures.hint()
    return len(written)


class Failures:
    """Targets that failed: a line for each, and every remedy once in the end."""

    def __init__(self) -> None:
        self._remedies: dict[str, None] = {}

    def say(self, photo: Path, message: str) -> str:
        """Print what went wrong with a photo, in a line that is returned without the photo's name."""
        spoken = words.spoken(message)
        what = words.short(spoken).removeprefix("target: ").removeprefix(f"{photo} ")
        say(f"error: {photo}: {what}")
        self._remedies[words.remedy(spoken)] = None
        return what

    def hint(self) -> None:
        """Print the remedies."""
        for remedy in filter(None, self._remedies):
            say(f"hint: {remedy}")


def about_target(error: Exception, number: int) -> str:
    """Return an error's message about a target, by its number in the call, as if it were the only one."""
    return str(error).replace(f"targets[{number}]", "target")


def check_free(arguments: Namespace, target: Target, written: Written) -> None:
    """Raise OutputError for a file that has appeared since the command began."""
    key = outputs.identity(target.output)
    if key is not None and (key in written or not arguments.overwrite):
        raise OutputError(f"--output: {target.output} has appeared meanwhile and is kept")


def write(arguments: Namespace, result: Result, path: Path) -> None:
    """Save a result as the flags say."""
    from e4s_engine.photo import saving

    lossy = path.suffix.lower() in saving.LOSSY
    result.save(path, quality=arguments.quality if lossy else None, **marking.how(arguments))


def report(arguments: Namespace, total: int, written: int, kept: int, what: str = "photos") -> int:
    """Print a batch's summary; return the exit code."""
    failed = total - written - kept
    if total > 1 or kept:
        parts = [f"{written} of {total} {what} written to {arguments.output}"]
        parts += [f"{kept} kept, as they exist"] if kept else []
        parts += [f"{failed} failed"] if failed else []
        print(", ".join(parts))
    return 1 if failed else 0


def _suffix(target: Target) -> str:
    return target.output.suffix.lower()
