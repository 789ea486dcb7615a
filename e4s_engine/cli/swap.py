"""`e4s swap`: a face, or some regions of it, into photos."""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from e4s_engine.cli import engines, files, flags, marking, outputs, results, targets
from e4s_engine.cli.targets import Target
from e4s_engine.errors import ArgumentError
from e4s_engine.weights import facefile

if TYPE_CHECKING:
    from e4s_engine.engine import Engine
    from e4s_engine.pipeline.located import Portrait
    from e4s_engine.result import Face, Result

HELP = "put a face, or some regions of it, into photos"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument(
        "source", metavar="SOURCE", help="photo, or saved face (.face, .safetensors), to take the face from"
    )
    command.add_argument(
        "target", metavar="TARGET", nargs="+", help="photos, or a folder of photos, to put it into"
    )
    add_swap(command)
    command.add_argument("--explain", metavar="SHEET", help="also write a contact sheet of the steps")
    flags.add_output(command)
    flags.add_quality(command)
    marking.add(command)
    marking.add_guard(command)
    results.add(command)
    flags.add_engine(command)
    flags.add_label_format(command)


def add_swap(command: argparse.ArgumentParser) -> None:
    """Add the flags that say what is swapped, and how."""
    flags.add_regions(command, False, "regions or presets to take; default: whole face")
    command.add_argument(
        "--also", action="append", metavar="REGIONS=IMAGE", help="take regions from another photo too"
    )
    flags.add_options(command)
    command.add_argument(
        "--put",
        action="append",
        metavar="NUMBER=IMAGE",
        help="put another person into a face of the target, beside SOURCE, who goes into that of --faces",
    )
    command.add_argument(
        "--source-face", type=flags.faces, default="largest", metavar="WHICH", help="which face of SOURCE"
    )
    command.add_argument(
        "--source-labels", metavar="FILE", help="labels of the source's aligned crop (png, npy)"
    )
    command.add_argument(
        "--target-labels", metavar="FILE", help="likewise of the target's; for several targets a folder"
    )
    command.add_argument("--source-landmarks", metavar="FILE", help=flags.LANDMARKS)
    command.add_argument(
        "--target-landmarks", metavar="FILE", help="likewise of the target; for several targets a folder"
    )


def run(arguments: Namespace) -> int:
    """Swap every target; report those that fail and go on."""
    check_choices(arguments)
    if arguments.explain and (arguments.put or not isinstance(_single(arguments.faces), (str, int))):
        raise ArgumentError("--explain: shows one swap; give --faces one number, and no --put")
    listed = targets.targets(arguments)
    _check_explain(arguments, listed)
    left = targets.check(arguments, listed)
    results.check_quality(arguments, left)
    if not left:
        return results.report(arguments, len(listed), 0, len(listed))
    marking.check(arguments, *(target.output for target in left))
    points = files.target_landmarks(arguments, left)
    labels = files.target_labels(arguments, left)
    with engines.engine(arguments) as engine:
        people = people_of(engine, arguments)
        if arguments.explain:
            _explained(engine, arguments, people, left[0], (labels, points))
            return 0
        swaps = swapped(engine, arguments, people, left, (labels, points))
        written = results.save(arguments, left, swaps, single=len(listed) == 1)
    return results.report(arguments, len(listed), written, len(listed) - len(left))


def swapped(
    engine: Engine,
    arguments: Namespace,
    people: dict[Any, Portrait | Face],
    listed: Sequence[Target],
    known: tuple[Any, Any],
) -> Iterator[Result | Exception]:
    """Swap targets one after the other; yield results or errors. known: their labels and landmarks."""
    source, regions = source_of(engine, arguments, people)
    options = engines.options(arguments)
    if arguments.put:
        options = options.changed(faces="largest")  # the source names the faces itself
    photos = [target.photo for target in listed]
    labels, points = known
    return engine.swap_each(
        source, photos, regions, options=options, target_labels=labels, target_landmarks=points
    )


def check_choices(arguments: Namespace) -> None:
    """Check regions and options before the model is loaded."""
    engines.options(arguments)
    _others(arguments)
    if arguments.skip_existing and arguments.overwrite:
        raise ArgumentError("--skip-existing: keeps what is there, --overwrite replaces it; give one of them")
    files.check_regions(arguments.regions)


def _check_explain(arguments: Namespace, listed: Sequence[Target]) -> None:
    if not arguments.explain:
        return
    if len(listed) > 1:
        raise ArgumentError("--explain: shows one swap; give one target")
    if arguments.skip_existing:
        raise ArgumentError("--explain: shows a swap; leave out --skip-existing")
    also = [item.partition("=")[2] for item in arguments.also or []]
    if any(map(facefile.is_saved, (arguments.source, *also))):
        raise ArgumentError("--explain: shows the photos of the sources, which saved faces do not hold")
    outputs.check(arguments, {"--output": listed[0].output, "--explain": arguments.explain})


def people_of(engine: Engine, arguments: Namespace) -> dict[tuple[str, ...] | None, Portrait | Face]:
    """Read the sources, by the regions that each of them gives; None: a whole face."""
    from e4s_engine.regions import NAMES, region_ids

    align = arguments.align
    people: dict[tuple[str, ...] | None, Portrait | Face] = {
        arguments.regions: files.person(
            engine,
            arguments.source,
            "source",
            files.read_labels(arguments.source_labels, arguments, "--source-labels"),
            align=align,
            landmarks=files.read_landmarks(arguments.source_landmarks, "--source-landmarks"),
            face=arguments.source_face,
        )
    }
    if arguments.also and arguments.regions is None:
        raise ArgumentError("--also: needs --regions, to tell what SOURCE itself gives")
    given = set(region_ids(arguments.regions or ()))
    for item in arguments.also or []:
        names, separator, path = item.partition("=")
        if not separator:
            raise ArgumentError(f"--also: expected REGION[,REGION...]=IMAGE, got {item!r}")
        try:
            key = flags.regions(names)
        except argparse.ArgumentTypeError as error:
            raise ArgumentError(f"--also: {item!r} names no region; {error}") from error
        ids = region_ids(key, "--also")
        if twice := given.intersection(ids):
            names = ", ".join(NAMES[region] for region in sorted(twice))
            raise ArgumentError(f"--also: {names} given by two sources; every region needs exactly one")
        given.update(ids)
        people[key] = files.person(engine, path, f"--also {names}", align=align)
    return people


def _others(arguments: Namespace) -> dict[int, str]:
    """Return the photos of --put by the numbers of the target's faces."""
    others: dict[int, str] = {}
    for item in arguments.put or []:
        number, separator, path = item.partition("=")
        if not separator or not number.isdecimal():
            raise ArgumentError(f"--put: expected NUMBER=IMAGE, got {item!r}")
        if int(number) in others or int(number) == _single(arguments.faces):
            raise ArgumentError(f"--put: face {number} is given to two people; every face takes one")
        others[int(number)] = path
    if others and not isinstance(_single(arguments.faces), int):
        raise ArgumentError("--put: give --faces the number of the face that SOURCE itself goes into")
    return others


def _single(which: Any) -> Any:
    """Return a choice of one face as a number, or as left or right; None for several faces."""
    which = which[0] if isinstance(which, tuple) and len(which) == 1 else which
    which = 0 if which == "largest" else which
    return None if which == "all" or isinstance(which, tuple) else which


def source_of(engine: Engine, arguments: Namespace, people: dict[Any, Portrait | Face]) -> tuple[Any, Any]:
    """Return the source of a swap, and the regions beside it."""
    # A single source takes any regions; several are a dict, which names them itself.
    (regions, *more) = people
    source: Any = people if more else people[regions]
    regions = None if more else regions
    others = _others(arguments)
    if others:
        align = arguments.align
        source = {_single(arguments.faces): source}
        for number, path in others.items():
            source[number] = files.person(engine, path, f"--put {number}", align=align)
    return source, regions


def _explained(
    engine: Engine,
    arguments: Namespace,
    people: dict[Any, Portrait | Face],
    target: Target,
    known: tuple[Any, Any],
) -> None:
    """Swap one target; write the result, and the contact sheet."""
    from e4s_engine.cli.explain import swap_sheet
    from e4s_engine.pipeline.located import Portrait

    photos = [person for person in people.values() if isinstance(person, Portrait)]
    labels, points = (None if values is None else next(iter(values)) for values in known)
    portrait = engine.portrait(
        target.photo, labels, align=arguments.align, landmarks=points, face=arguments.faces, argument="target"
    )
    source, regions = source_of(engine, arguments, people)
    options = engines.options(arguments).changed(faces="largest")
    result = engine.swap(source, portrait, regions, options=options)
    result.save(target.output, quality=arguments.quality, **marking.how(arguments))
    sheet = swap_sheet(photos, portrait, result, partial(engine.parse, align=False))
    marking.save(sheet, arguments.explain, "sheet", sign=False)
