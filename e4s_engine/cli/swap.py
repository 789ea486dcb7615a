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
    from e4s_engine.pipeline.portraits import Portrait

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
    flags.add_options(command, "extent", "shape", "texture", "hair_first", "relight")
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
        failed = 0
        pairs = list(zip(targets, outputs, strict=True))
        for target, output in tqdm(pairs, unit="photo", disable=None if len(targets) > 1 else True):
            try:
                _swap_one(engine, arguments, people, sources, target, output)
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


def _swap_one(
    engine: Engine,
    arguments: Namespace,
    people: dict[Any, Portrait],
    sources: Any,
    target: Path,
    output: Path,
) -> None:
    labels = files.read_labels(arguments.target_labels, arguments, "--target-labels")
    points = files.read_landmarks(arguments.target_landmarks, "--target-landmarks")
    align = engines.align(arguments)
    portrait = engine.portrait(target, labels, align=align, landmarks=points, argument="target")
    # A single source takes any regions, none among them; several are a dict.
    (regions, *more) = sources
    source, regions = (sources, None) if more else (sources[regions], regions)
    result = engine.swap(source, portrait, regions, options=engines.options(arguments))
    result.save(output)
    if arguments.explain:
        from e4s_engine.cli.explain import swap_sheet
        from e4s_engine.photo import images

        images.write(swap_sheet(list(people.values()), portrait, result), arguments.explain, "--explain")
