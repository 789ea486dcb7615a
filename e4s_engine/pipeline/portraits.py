"""Callers' pictures and faces, read and aligned: what goes into the stages, and who gives which regions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from e4s_engine import regions
from e4s_engine.errors import ArgumentError, FaceFileError, RegionError
from e4s_engine.faces.landmarks import Finder
from e4s_engine.pipeline import located
from e4s_engine.pipeline.inputs import check_styles
from e4s_engine.pipeline.kinds import RegionNames
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.stages import stage
from e4s_engine.regions import Labels
from e4s_engine.result import Face
from e4s_engine.weights import facefile

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
    """Regions that one person gives; those of a whole-face swap are none in particular.

    photo: of a person who was encoded meanwhile, for the guard.
    """

    person: Person
    ids: Ids
    photo: Portrait | None = dataclasses.field(default=None, repr=False, compare=False)


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


def reader(finder: Finder, align: str | bool, style_dim: int, model: str | None = None) -> Read:
    """Return a function (image, argument, labels, landmarks) -> Person.

    style_dim, model: length of the style vectors and fingerprint of the model, which Faces must fit.

    An input that comes again, with the same labels and landmarks, is read only once, and is one person.
    Photos with several faces stand for the largest.
    """
    seen: dict[tuple[int, int, int], tuple[Person, tuple[Any, ...]]] = {}

    def read(image: Any, argument: str, labels: Any, points: Any) -> Person:
        key = (id(image), id(labels), id(points))
        if key not in seen:
            person: Person
            given = opened(image, argument)
            if isinstance(given, Face | Portrait) and (labels is not None or points is not None):
                raise ArgumentError(
                    f"{argument}: a {type(given).__name__} brings its own labels and needs no landmarks; "
                    "pass none beside it"
                )
            if isinstance(given, Face):
                person = fitting(given, argument, style_dim, model)
            elif isinstance(given, Portrait):
                person = given
            else:
                with stage("read"):
                    (person,) = located.portraits(given, argument, labels, points, finder, align)
            seen[key] = person, (image, labels, points)  # kept alive: an id must not be used again
        return seen[key][0]

    return read


def opened(image: Any, argument: str) -> Any:
    """Return the Face of a saved Face's path or bytes, and any other image as it is."""
    return Face.load(image, argument) if facefile.is_saved(image) else image


def picture(person: Person, argument: str) -> Portrait:
    """Return a person who comes with a picture. Raises ArgumentError for a Face without one."""
    if not isinstance(person, Face):
        return person
    if person.crop is None:
        raise ArgumentError(
            f"{argument}: expected an image, got a Face, which has no picture; pass the photo itself, or "
            "encode it with keep_photo=True (saved Faces never hold their photo)"
        )
    return Portrait(argument, person.crop, person.labels, face=person)


def fitting(face: Face, argument: str, style_dim: int, model: str | None) -> Face:
    """Return a Face as an engine takes it. Raises FaceFileError for one of another model, LabelsError.

    style_dim, model: as in `reader`.
    """
    if None not in (face.model, model) and face.model != model:
        raise FaceFileError(
            f"{argument}: this Face was encoded by another model (fingerprint {face.model}, this engine's is "
            f"{model}), whose style vectors mean nothing here; encode the photo again, or make the engine "
            "with the weights that it was encoded with"
        )
    mask = regions.check_labels(face.labels, f"{argument}.labels")
    styles = check_styles(face.styles, f"{argument}.styles", style_dim)
    return dataclasses.replace(face, labels=mask, styles=styles, driven=None)


def listed(images: Any, read: Read) -> list[Person]:
    """Return the people of a list of photos and Faces. Raises ArgumentError."""
    if not isinstance(images, (list, tuple)) or not images:
        got = "an empty one" if isinstance(images, (list, tuple)) else type(images).__name__
        raise ArgumentError(f"images: expected a list of photos or Faces of one person, got {got}")
    return [read(image, f"images[{number}]", None, None) for number, image in enumerate(images)]


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
