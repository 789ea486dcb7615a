"""Statements about results: what was done with which options to which pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from e4s_engine.marks.making import inputs
from e4s_engine.marks.statement import Statement
from e4s_engine.options import SwapOptions
from e4s_engine.photo.original import Original
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.portraits import Job, Person
from e4s_engine.result import Result


def swapped(options: SwapOptions, job: Job | None = None) -> Statement:
    """Return the statement about a swap; texture alone is an edit. job: None for pictures on a GPU."""
    operation = "swap" if options.shape else "edit"
    pictures = (
        () if job is None else inputs(job.target.crop.original, [_original(p.person) for p in job.parts])
    )
    return Statement(
        operation, float(options.extent), bool(options.shape), bool(options.texture), inputs=pictures
    )


def clip(options: SwapOptions, people: Sequence[Person]) -> Statement:
    """Return the statement about swaps of a clip. people: all who are swapped into it."""
    return dataclasses.replace(swapped(options), inputs=inputs(None, [_original(one) for one in people]))


def reconstructed(portrait: Portrait) -> Statement:
    """Return the statement about a reconstruction."""
    return Statement("reconstruct", inputs=inputs(portrait.crop.original, ()))


def joined(results: Sequence[Result]) -> Statement | None:
    """Return one statement about several faces of one photo."""
    statements = [result.statement for result in results]
    known = [statement for statement in statements if statement is not None]
    if not known:
        return None
    pictures = dict.fromkeys(picture for statement in known for picture in statement.inputs)
    return dataclasses.replace(known[0], inputs=tuple(pictures))


def _original(person: Person) -> Original | None:
    return None if person.crop is None else person.crop.original
