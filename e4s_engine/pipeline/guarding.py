"""A caller's guard: sees target and source before anything is generated, and may refuse."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, Protocol

from e4s_engine.errors import ArgumentError, RefusedError, noted
from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline.portraits import Job, Person
from e4s_engine.result import Face


class Guard(Protocol):
    """A caller's rule about who may be swapped."""

    def __call__(self, target: Pixels, source: Pixels | Face | None, /) -> bool | str:
        """Return True to allow it; False, or the reason in words, to refuse.

        target: the whole photo, uint8 [H, W, 3], read-only; of a clip the frame in which a face appears.
        source: the same of the source; a Face if the caller passed one that keeps no photo; None where there
        is no source, as in a reconstruction or a restoration.
        """


def resolve(guard: Guard | str | None) -> Guard | None:
    """Return the guard that an argument asks for: a callable, or its name as "module:attribute"."""
    if isinstance(guard, str):
        module, _, attribute = guard.partition(":")
        try:
            guard = getattr(importlib.import_module(module), attribute)
        except Exception as error:  # the module may raise anything
            raise ArgumentError(
                f"guard: cannot import {guard!r} ('module:attribute'): {error}; nothing is swapped unguarded"
            ) from error
    if guard is not None and not callable(guard):
        raise ArgumentError(f"guard: expected a callable or 'module:attribute', got {guard!r:.60}")
    return guard


def ask(guard: Guard | None, target: Any, source: Any = None) -> None:
    """Ask a guard about one target and one source. Raises RefusedError unless it answers True."""
    if guard is None:
        return
    with noted("raised by the guard that the engine was made with"):
        answer: Any = guard(_seen(target), _seen(source))
    if answer is True:
        return
    if isinstance(answer, str) and answer:
        raise RefusedError(f"guard: refused: {answer}")
    if answer is False:
        raise RefusedError("guard: refused this target and source")
    raise RefusedError(f"guard: expected True, False or a reason, got {answer!r:.60}; nothing was generated")


def ask_jobs(guard: Guard | None, jobs: Iterable[Job]) -> None:
    """Ask a guard about every person of every job. Raises RefusedError."""
    if guard is None:
        return
    asked: set[tuple[int, int]] = set()
    for job in jobs:
        for part in job.parts:
            person = part.photo or part.person
            pair = id(job.target.crop.photo), id(person)
            if pair not in asked:  # several faces of one photo
                asked.add(pair)
                ask(guard, job.target, person)


def _seen(person: Person | Pixels | None) -> Any:
    """Return what a guard sees of a person: its photo, or the Face if that keeps none."""
    crop = getattr(person, "crop", None)
    seen: Any = person if crop is None else crop.photo
    if hasattr(seen, "flags"):
        seen = seen.view()
        seen.flags.writeable = False
    return seen
