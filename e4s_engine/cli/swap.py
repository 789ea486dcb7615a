"""`e4s swap`: a face, or some regions of it, into photos."""

from __future__ import annotations

import argparse
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e4s_engine.cli import engines, files, flags
from e4s_engine.cli.messages import complain
from e4s_engine.errors import ArgumentError, E4SError

if TYPE_CHECKING:
    from e4s_engine.engine import Engine
    from e4s_engine.pipeline.located import Portrait
    from e4s_engine.result import Face

HELP = "put a face, or some regions of it, into photos"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument("source", metavar="SOURCE", help="photo to take the face from")
    command.add_argument(
        "target", metavar="TARGET", nargs="+", help="photos, or a folder of photos, to put it into"
    )
    command.add_argument(
        "--regions", nargs="*", metavar="REGION", help="regions or presets to take; default: whole face"
    )
    command.add_argument(
        "--also", action="append", metavar="REGIONS=IMAGE", help="take regions from another photo too"
    )
    names = ("extent", "shape", "texture", "hair_first", "earrings_first", "relight", "faces")
    flags.add_options(command, *names)
    command.add_argument(
        "--put",
        action="append",
        metavar="NUMBER=IMAGE",
        help="put another person into a face of the target",
    )
    command.add_argument(
        "--source-face", type=flags.faces, default="largest", metavar="WHICH", help="which face of SOURCE"
    )
    command.add_argument(
        "--source-labels", metavar="FILE", help="labels of the source's aligned crop (png, npy)"
    )
    command.add_argument(
        "--target-labels", metavar="FILE", help="labels of the target's aligned crop (png, npy)"
    )
    command.add_argument("--source-landmarks", metavar="FILE", help=flags.LANDMARKS)
    command.add_argument("--target-landmarks", metavar="FILE", help="likewise, of the target photo")
    command.add_argument("--explain", metavar="SHEET", help="also write a contact sheet of the steps")
    flags.add_output(command)
    flags.add_engine(command)
    flags.add_label_format(command)


def run(arguments: Namespace) -> int:
    """Swap every target; report those that fail and go on."""
    from tqdm import tqdm

    regions = _check_choices(arguments)
    targets = files.expand(arguments.target)
    several = len(arguments.target) > 1 or Path(arguments.target[0]).is_dir()
    outputs = files.outputs(targets, Path(arguments.output), several)
    _check_outputs(arguments, targets, outputs)
    with engines.photo_engine(arguments) as engine:
        people = _people(engine, arguments, regions)
        sources = {names: engine.encode(portrait) for names, portrait in people.items()}
        others = {number: engine.encode(path) for number, path in _others(arguments).items()}
        failed = 0
        pairs = list(zip(targets, outputs, strict=True))
        for target, output in tqdm(pairs, unit="photo", disable=None if len(targets) > 1 else True):
            try:
                _swap_one(engine, arguments, people, (sources, others), target, output)
            except E4SError as error:
                if len(targets) == 1:
                    raise
                failed += 1
                complain(type(error)(f"{target}: {error}"))
    if len(targets) > 1:
        print(f"{len(targets) - failed} of {len(targets)} photos written to {arguments.output}")
    return 1 if failed else 0


def _check_choices(arguments: Namespace) -> tuple[str, ...] | None:
    """Check regions and options before the model is loaded; return the regions."""
    from e4s_engine.regions import region_ids

    engines.options(arguments)
    _others(arguments)
    if arguments.explain and (arguments.put or not isinstance(_single(arguments.faces), (str, int))):
        raise ArgumentError("--explain: shows one swap; give --faces one number, and no --put")
    if arguments.regions is None:
        return None
    region_ids(arguments.regions, "--regions")
    return tuple(arguments.regions)


def _check_outputs(arguments: Namespace, targets: list[Path], outputs: list[Path]) -> None:
    if arguments.explain and len(targets) > 1:
        raise ArgumentError("--explain: shows one swap; give one target")
    for output in outputs:
        files.check_output(output)
    if arguments.explain:
        files.check_output(arguments.explain, "--explain")
        if Path(arguments.explain).resolve() == outputs[0].resolve():
            raise ArgumentError("--explain: is the same file as --output; give it another name")


def _people(
    engine: Engine, arguments: Namespace, regions: tuple[str, ...] | None
) -> dict[tuple[str, ...] | None, Portrait]:
    """Read the sources, by the regions that each of them gives; None: a whole face."""
    align = engines.align(arguments)
    people: dict[tuple[str, ...] | None, Portrait] = {
        regions: engine.portrait(
            arguments.source,
            files.read_labels(arguments.source_labels, arguments, "--source-labels"),
            align=align,
            landmarks=files.read_landmarks(arguments.source_landmarks, "--source-landmarks"),
            face=arguments.source_face,
        )
    }
    if arguments.also and regions is None:
        raise ArgumentError("--also: needs --regions, to tell what SOURCE itself gives")
    for item in arguments.also or []:
        names, separator, path = item.partition("=")
        if not separator:
            raise ArgumentError(f"--also: expected REGION[,REGION...]=IMAGE, got {item!r}")
        key = tuple(names.split(","))
        if key in people:
            raise ArgumentError(f"--also: {names} given by two sources; every region needs exactly one")
        people[key] = engine.portrait(path, align=align)
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


def _swap_one(
    engine: Engine,
    arguments: Namespace,
    people: dict[Any, Portrait],
    encoded: tuple[dict[Any, Face], dict[int, Face]],
    target: Path,
    output: Path,
) -> None:
    sources, others = encoded
    # A single source takes any regions, none among them; several are a dict.
    (regions, *more) = sources
    source: Any = sources if more else sources[regions]
    regions = None if more else regions
    options = engines.options(arguments)
    labels = files.read_labels(arguments.target_labels, arguments, "--target-labels")
    points = files.read_landmarks(arguments.target_landmarks, "--target-landmarks")
    if others or _single(arguments.faces) is None:
        if others:
            source, options = {_single(arguments.faces): source, **others}, options.changed(faces="largest")
        known = {"target_labels": labels, "target_landmarks": points}
        engine.swap(source, target, regions, options=options, **known).save(output)
        return
    align = engines.align(arguments)
    which = arguments.faces
    portrait = engine.portrait(target, labels, align=align, landmarks=points, face=which, argument="target")
    result = engine.swap(source, portrait, regions, options=options.changed(faces="largest"))
    result.save(output)
    if arguments.explain:
        from e4s_engine.cli.explain import swap_sheet
        from e4s_engine.photo import images

        images.write(swap_sheet(list(people.values()), portrait, result), arguments.explain, "--explain")
