"""Callers' pictures and faces, read and aligned: what goes into the stages, and who gives which regions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from e4s_engine import regions
from e4s_engine.errors import ArgumentError, RegionError
from e4s_engine.faces.landmarks import Finder
from e4s_engine.pipeline import located
from e4s_engine.pipeline.inputs import check_styles
from e4s_engine.pipeline.kinds import RegionNames
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.stages import stage
from e4s_engine.regions import Labels
from e4s_engine.result import Face

Ids = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class WholeFace:
    """A request for the published whole-face swap."""


@dataclasses.dataclass(frozen=True)
class Regions:
    """A request for some regions; none of them changes nothing."""

    ids: Ids


Request = WholeFace | Regions


# A person as the caller gave it: a Face knows its labels and style vectors already.
Person = Portrait | Face


@dataclasses.dataclass(frozen=True)
class Part:
    """Regions that one person gives; those of a whole-face swap are none in particular."""

    person: Person
    ids: Ids


@dataclasses.dataclass(frozen=True)
class Job:
    """Job of one swap: a target, and the persons who give regions to it.

    painted: labels that the caller painted over the composed ones, `UNPAINTED` elsewhere; None: none.
    """

    target: Portrait
    parts: tuple[Part, ...]
    request: Request
    painted: Labels | None = None


Read = Callable[[Any, str, Any, Any], Person]


def reader(finder: Finder, align: str | bool, style_dim: int) -> Read:
    """Return a function (image, argument, labels, landmarks) -> Person.

    An input that comes again, with the same labels and landmarks, is read only once, and is one person.
    Photos with several faces stand for the largest.
    """
    seen: dict[tuple[int, int, int], tuple[Person, tuple[Any, ...]]] = {}

    def read(image: Any, argument: str, labels: Any, points: Any) -> Person:
        key = (id(image), id(labels), id(points))
        if key not in seen:
            person: Person
            if isinstance(image, Face | Portrait) and (labels is not None or points is not None):
                raise ArgumentError(
                    f"{argument}: a {type(image).__name__} brings its own labels and needs no landmarks; "
                    "pass none beside it"
                )
            if isinstance(image, Face):
                person = _from_face(image, argument, style_dim)
            elif isinstance(image, Portrait):
                person = image
            else:
                with stage("read"):
                    (person,) = located.portraits(image, argument, labels, points, finder, align)
            seen[key] = person, (image, labels, points)  # kept alive: an id must not be used again
        return seen[key][0]

    return read


def picture(person: Person, argument: str) -> Portrait:
    """Return a person who comes with a picture. Raises ArgumentError for a Face without one."""
    if not isinstance(person, Face):
        return person
    if person.crop is None:
        raise ArgumentError(
            f"{argument}: expected an image, got a Face, which has no picture; encode it with keep_photo=True"
        )
    return Portrait(argument, person.crop, person.labels, face=person)


def _from_face(face: Face, argument: str, style_dim: int) -> Face:
    mask = regions.check_labels(face.labels, f"{argument}.labels")
    return Face(mask, check_styles(face.styles, f"{argument}.styles", style_dim), face.crop)


def requested(names: RegionNames | None) -> Request:
    """Return what an argument `regions` asks for. Raises RegionError."""
    return WholeFace() if names is None else Regions(regions.region_ids(names))


def sources(
    source: Any, request: Request, labels: Any, points: Any, argument: str, read: Read
) -> tuple[tuple[Part, ...], Request]:
    """Return who gives what of a source argument, and all that is asked for. Raises RegionError."""
    if not isinstance(source, Mapping):
        ids = request.ids if isinstance(request, Regions) else ()
        return (Part(read(source, argument, labels, points), ids),), request
    if isinstance(request, Regions):
        raise RegionError("regions: a dict of sources names the regions itself; pass regions=None beside it")
    if not source:
        raise RegionError(f"{argument}: the dict of sources is empty; name at least one region")
    check_keys(labels, source, f"{argument}_labels")
    check_keys(points, source, f"{argument}_landmarks")
    parts: list[Part] = []
    given: set[int] = set()
    for key, image in source.items():
        ids = regions.region_ids(key, f"{argument} key")
        if not ids:
            raise RegionError(f"{argument} key: {key!r} names no region; name at least one")
        twice = given.intersection(ids)
        if twice:
            names = ", ".join(regions.NAMES[r] for r in sorted(twice))
            raise RegionError(f"{argument}: {names} given by two sources; every region needs exactly one")
        given.update(ids)
        own = ((labels or {}).get(key), (points or {}).get(key))
        parts.append(Part(read(image, f"{argument}[{key!r}]", *own), ids))
    return tuple(parts), Regions(tuple(sorted(given)))


def check_keys(values: Any, source: Mapping[Any, Any], argument: str) -> None:
    """Raise ArgumentError unless values are None or a dict with keys of the dict of sources."""
    if values is None:
        return
    if not isinstance(values, Mapping):
        raise ArgumentError(f"{argument}: for a dict of sources expected a dict with the same keys")
    unknown = [key for key in values if key not in source]
    if unknown:
        raise ArgumentError(f"{argument}: the dict of sources has no key {unknown[0]!r}; use the same keys")
