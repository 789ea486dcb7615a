"""Statements about results: what was done with which options to which pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from e4s_engine.marks.making import listed
from e4s_engine.marks.statement import Input, Statement
from e4s_engine.options import SwapOptions
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.portraits import Job, Person
from e4s_engine.result import Face, Result


def swapped(options: SwapOptions, job: Job | None = None) -> Statement:
    """Return the statement about a swap; texture alone is an edit. job: None for pictures on a GPU."""
    operation = "swap" if options.shape else "edit"
    pictures: tuple[Input, ...] = ()
    if job is not None:
        target = listed("target", job.target.crop.original)
        pictures = (target, *sources([part.person for part in job.parts]))
    return Statement(
        operation, float(options.extent), bool(options.shape), bool(options.texture), inputs=pictures
    )


def clip(options: SwapOptions, people: Sequence[Person]) -> Statement:
    """Return the statement about swaps of a clip. people: all who are swapped into it."""
    return dataclasses.replace(swapped(options), inputs=sources(people))


def reconstructed(portrait: Portrait) -> Statement:
    """Return the statement about a reconstruction."""
    return Statement("reconstruct", inputs=(listed("target", portrait.crop.original),))


def joined(results: Sequence[Result]) -> Statement | None:
    """Return one statement about several faces of one photo."""
    statements = [result.statement for result in results]
    known = [statement for statement in statements if statement is not None]
    if not known:
        return None
    pictures = dict.fromkeys(picture for statement in known for picture in statement.inputs)
    return dataclasses.replace(known[0], inputs=tuple(pictures))


def sources(people: Iterable[Person]) -> tuple[Input, ...]:
    """Return people as statements list them; a photo that comes twice is one."""
    return tuple(dict.fromkeys(one for person in people for one in _inputs(person)))


def light(inputs: Iterable[Input]) -> tuple[Input, ...]:
    """Return inputs for a Face that lasts: without the bytes of files, but for those that have a manifest."""
    return tuple(one if one.signed else dataclasses.replace(one, file=b"") for one in inputs)


def _inputs(person: Person) -> tuple[Input, ...]:
    if isinstance(person, Face) and (person.inputs or person.crop is None):
        return person.inputs or (listed("source", None),)
    origin = None if isinstance(person, Face) else person.origin
    assert person.crop is not None
    return (listed("source", origin or person.crop.original),)
