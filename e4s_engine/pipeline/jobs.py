"""Jobs of a call: one per face of the target that is swapped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from e4s_engine.errors import ArgumentError
from e4s_engine.faces.choose import Which, is_largest, is_number
from e4s_engine.faces.landmarks import Finder
from e4s_engine.pipeline import located, portraits
from e4s_engine.pipeline.guarding import Guard, ask_jobs
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.portraits import Job, Part, Read, Request
from e4s_engine.pipeline.stages import stage
from e4s_engine.result import Face


@dataclasses.dataclass(frozen=True)
class Side:
    """Inputs of one side of a swap: an image or a dict of them, labels and landmarks."""

    image: Any
    argument: str
    labels: Any = None
    points: Any = None


@dataclasses.dataclass(frozen=True)
class Reader:
    """Reader of a call's inputs. read: function of `portraits.reader`, which new_read creates.

    guard: sees what is read before anything is generated.
    """

    read: Read
    finder: Finder
    align: str | bool
    new_read: Callable[[], Read]
    guard: Guard | None = None

    def anew(self) -> Reader:
        """Return a reader that remembers no picture yet."""
        return dataclasses.replace(self, read=self.new_read())

    def targets(self, target: Side, which: Which) -> list[Portrait]:
        """Return the faces of a target that are meant."""
        if is_largest(which):
            arguments = (target.image, target.argument, target.labels, target.points)
            return [portraits.picture(self.read(*arguments), target.argument)]
        if isinstance(target.image, Portrait | Face):
            kind = type(target.image).__name__
            raise ArgumentError(
                f"{target.argument}: a {kind} is one face of its photo; pass the photo itself with faces"
            )
        with stage("read"):
            return located.portraits(
                target.image, target.argument, target.labels, target.points, self.finder, self.align, which
            )


@dataclasses.dataclass(frozen=True)
class Giver:
    """People of a source for one face of a target, and all that is asked of them.

    number: number of that face; None for whichever faces a call names.
    """

    number: int | None
    parts: tuple[Part, ...]
    request: Request


def jobs(source: Side, target: Side, request: Request, reader: Reader, which: Which) -> list[Job]:
    """Return what is to be done to one target: a source for every face that is meant, or one for all."""
    return onto(givers(source, request, reader, which), target, reader, which)


def givers(source: Side, request: Request, reader: Reader, which: Which) -> list[Giver]:
    """Read a source: one giver for the faces that a call names, or one for every number of a dict."""
    if not is_group(source):
        people = portraits.sources(
            source.image, request, source.labels, source.points, source.argument, reader.read
        )
        return [Giver(None, *people)]
    if not is_largest(which):
        raise ArgumentError(
            f"faces: the dict of {source.argument} names the target's faces itself; leave faces out beside it"
        )
    portraits.check_keys(source.labels, source.image, f"{source.argument}_labels")
    portraits.check_keys(source.points, source.image, f"{source.argument}_landmarks")
    listed = []
    for number, image in source.image.items():
        own = ((source.labels or {}).get(number), (source.points or {}).get(number))
        argument = f"{source.argument}[{number}]"
        # A dict of regions names its regions itself, beside people who give the call's regions.
        inner = portraits.requested(None) if isinstance(image, Mapping) else request
        listed.append(Giver(int(number), *portraits.sources(image, inner, *own, argument, reader.read)))
    return listed


def onto(people: Sequence[Giver], target: Side, reader: Reader, which: Which) -> list[Job]:
    """Read a target; return what givers give to its faces. Raises RefusedError if the guard refuses."""
    listed = _onto(people, target, reader, which)
    ask_jobs(reader.guard, listed)
    return listed


def _onto(people: Sequence[Giver], target: Side, reader: Reader, which: Which) -> list[Job]:
    if people[0].number is None:
        (giver,) = people
        return [Job(face, giver.parts, giver.request) for face in reader.targets(target, which)]
    numbers = [giver.number for giver in people if giver.number is not None]
    faces = reader.targets(target, numbers)
    return [Job(face, giver.parts, giver.request) for face, giver in zip(faces, people, strict=True)]


def is_group(source: Side) -> bool:
    """Return whether a source is a dict of people by numbers of the target's faces. Raises ArgumentError."""
    if not isinstance(source.image, Mapping):
        return False
    numbers = sum(map(is_number, source.image))
    if numbers and numbers < len(source.image):
        raise ArgumentError(
            f"{source.argument}: a dict has regions as keys, or numbers of faces, not both; "
            "put the regions inside: {0: {'eyes': image}}"
        )
    return numbers > 0
