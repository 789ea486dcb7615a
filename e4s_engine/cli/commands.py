"""Commands of the command line; each takes the parsed arguments and returns an exit code."""

from __future__ import annotations

import dataclasses
import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e4s_engine.errors import ArgumentError, E4SError, ImageError, OutputError

if TYPE_CHECKING:
    from e4s_engine.engine import Engine
    from e4s_engine.options import SwapOptions
    from e4s_engine.result import Result

_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
_LOSSLESS = {".png", ".tif", ".tiff", ".bmp"}


def complain(error: Exception) -> None:
    """Print an error as one line on stderr."""
    print(f"e4s: error: {' '.join(str(error).split())}", file=sys.stderr)


def swap(arguments: Namespace) -> int:
    """Run `e4s swap`."""
    from tqdm import tqdm

    regions = _check_choices(arguments)
    targets = _expand(arguments.target)
    if arguments.explain and len(targets) > 1:
        raise ArgumentError("--explain: shows one swap; give one target")
    outputs = _outputs(
        targets, Path(arguments.output), len(arguments.target) > 1 or _is_folder(arguments.target)
    )
    _check_outputs(outputs)
    if arguments.explain:
        _check_outputs([arguments.explain], "--explain")
        if Path(arguments.explain).resolve() == outputs[0].resolve():
            raise ArgumentError("--explain: is the same file as --output; give it another name")
    with _photo_engine(arguments) as engine:
        sources = _sources(engine, arguments, regions)
        failed = 0
        bar = tqdm(
            list(zip(targets, outputs, strict=True)), unit="photo", disable=None if len(targets) > 1 else True
        )
        for target, output in bar:
            try:
                _swap_one(engine, arguments, sources, regions, target, output)
            except E4SError as error:
                if len(targets) == 1:
                    raise
                failed += 1
                complain(type(error)(f"{target}: {error}"))
    if len(targets) > 1:
        print(f"{len(targets) - failed} of {len(targets)} photos written to {arguments.output}")
    return 1 if failed else 0


def _check_choices(arguments: Namespace) -> list[str] | None:
    """Check regions and options before the model is loaded; return the regions."""
    from e4s_engine.regions import region_ids

    _options(arguments)
    if arguments.regions is None:
        return None
    region_ids(arguments.regions, "--regions")
    return list(arguments.regions)


def _swap_one(
    engine: Engine, arguments: Namespace, sources: Any, regions: Any, target: Path, output: Path
) -> None:
    labels = _read_labels(arguments.target_labels, arguments, "--target-labels")
    result = engine.swap(
        sources,
        target,
        None if isinstance(sources, dict) else regions,
        options=_options(arguments),
        target_labels=labels,
        target_landmarks=_read_landmarks(arguments.target_landmarks, "--target-landmarks"),
    )
    result.save(output)
    if arguments.explain:
        _write_sheet(engine, arguments, sources, target, labels, result)


def _sources(engine: Engine, arguments: Namespace, regions: Any) -> Any:
    """Encode the source once; return its face, or a dict of faces by region if --also names more."""
    face = engine.encode(
        arguments.source,
        _read_labels(arguments.source_labels, arguments, "--source-labels"),
        align=_align(arguments),
        landmarks=_read_landmarks(arguments.source_landmarks, "--source-landmarks"),
    )
    if not arguments.also:
        return face
    if regions is None:
        raise ArgumentError("--also: needs --regions, to tell what SOURCE itself gives")
    sources: dict[tuple[str, ...], Any] = {tuple(regions): face}
    for item in arguments.also:
        names, separator, path = item.partition("=")
        if not separator:
            raise ArgumentError(f"--also: expected REGION[,REGION...]=IMAGE, got {item!r}")
        key = tuple(names.split(","))
        if key in sources:
            raise ArgumentError(f"--also: {names} given by two sources; every region needs exactly one")
        sources[key] = engine.encode(path, align=_align(arguments))
    return sources


def _write_sheet(
    engine: Engine, arguments: Namespace, sources: Any, target: Path, labels: Any, result: Result
) -> None:
    from e4s_engine.cli.explain import swap_sheet
    from e4s_engine.photo import images
    from e4s_engine.regions import check_labels

    how = _align(arguments)
    points = _read_landmarks(arguments.source_landmarks, "--source-landmarks")
    paths = [(arguments.source, points), *((i.partition("=")[2], None) for i in arguments.also or [])]
    faces = sources.values() if isinstance(sources, dict) else [sources]
    inputs = [
        (engine.crop(path, align=how, landmarks=own), face.labels)
        for (path, own), face in zip(paths, faces, strict=True)
    ]
    points = _read_landmarks(arguments.target_landmarks, "--target-landmarks")
    mask = check_labels(labels) if labels is not None else engine.parse(target, align=how, landmarks=points)
    target_input = (engine.crop(target, align=how, landmarks=points), mask)
    images.write(swap_sheet(inputs, target_input, result), arguments.explain, "--explain")


def edit(arguments: Namespace) -> int:
    """Run `e4s edit`."""
    _check_outputs([arguments.output])
    with _photo_engine(arguments) as engine:
        result = engine.edit(
            arguments.image,
            arguments.reference,
            arguments.regions,
            arguments.extent,
            relight=arguments.relight,
            blend=arguments.blend,
            align=_align(arguments),
            labels=_read_labels(arguments.labels, arguments, "--labels"),
            reference_labels=_read_labels(arguments.reference_labels, arguments, "--reference-labels"),
            landmarks=_read_landmarks(arguments.image_landmarks, "--image-landmarks"),
            reference_landmarks=_read_landmarks(arguments.reference_landmarks, "--reference-landmarks"),
        )
    result.save(arguments.output)
    return 0


def reconstruct(arguments: Namespace) -> int:
    """Run `e4s reconstruct`."""
    _check_outputs([arguments.output])
    with _photo_engine(arguments) as engine:
        labels = _read_labels(arguments.labels, arguments, "--labels")
        points = _read_landmarks(arguments.image_landmarks, "--image-landmarks")
        options = {"blend": arguments.blend, "align": _align(arguments), "landmarks": points}
        result = engine.reconstruct(arguments.image, labels, steps=arguments.steps, **options)
    result.save(arguments.output)
    return 0


def parse(arguments: Namespace) -> int:
    """Run `e4s parse`."""
    from e4s_engine.photo import images, sheets

    _check_outputs([arguments.output])
    if arguments.save_labels:
        _check_outputs([arguments.save_labels], "--save-labels")
        if Path(arguments.save_labels).suffix.lower() not in _LOSSLESS:
            raise ArgumentError("--save-labels: JPEG and WebP would change the labels; write .png")
    with _photo_engine(arguments) as engine:
        points = _read_landmarks(arguments.image_landmarks, "--image-landmarks")
        labels = engine.parse(arguments.image, align=_align(arguments), landmarks=points)
        crop = engine.crop(arguments.image, align=_align(arguments), landmarks=points)
    images.write(sheets.overlay(crop, labels), arguments.output, "--output")
    if arguments.save_labels:
        images.write(labels, arguments.save_labels, "--save-labels")
    return 0


def convert(arguments: Namespace) -> int:
    """Run `e4s convert`."""
    from e4s_engine import weights
    from e4s_engine.networks import registry

    model = weights.convert(arguments.official, arguments.output, ema=arguments.ema)
    count = sum(tensor.size for tensor in model.tensors.values())
    kind = registry.kind_of(model.config)
    print(f"{arguments.output}: {kind}, {len(model.tensors)} tensors, {count / 1e6:.1f} M parameters")
    if model.extra:
        print(f"left out, as nothing reads them: {', '.join(model.extra)}")
    return 0


def info(arguments: Namespace) -> int:
    """Run `e4s info`."""
    from e4s_engine.cli import info

    engine = _engine(arguments)
    if arguments.plan:
        print(engine.plan())
        return 0
    report = info.report(engine)
    if arguments.json:
        print(json.dumps(report))
    else:
        for name, value in report.items():
            print(f"{name + ':':18}{value}")
    return 0


def bench(arguments: Namespace) -> int:
    """Run `e4s bench`."""
    from e4s_engine import backends, weights
    from e4s_engine.cli import timing
    from e4s_engine.networks.rgi.config import ModelConfig

    if arguments.weights:
        model = weights.open_model(arguments.weights, "rgi")
    else:
        print("no --weights: timing random weights of the official size", file=sys.stderr)
        model = weights.random_model(ModelConfig())
    backend = backends.create([model], arguments.backend, arguments.device, arguments.precision)
    medians = timing.time_swap(backend, arguments.repeat)
    if arguments.json:
        print(json.dumps({f"{stage}_s": value for stage, value in medians.items()}))
        return 0
    print(f"{backend.name} backend on {backend.device} in {backend.precision}, medians of {arguments.repeat}")
    for stage, value in medians.items():
        print(f"{stage:8}{value * 1000:10.1f} ms")
    return 0


def demo(arguments: Namespace) -> int:
    """Run `e4s demo`."""
    from e4s_engine.cli import demo as chain
    from e4s_engine.photo import images

    output = Path(arguments.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    _check_outputs([output])
    with _engine(arguments) as engine:
        images.write(chain.sheet(engine, arguments.seed), output, "--output")
    print(f"look at {output}")
    return 0


def _photo_engine(arguments: Namespace) -> Engine:
    """Make the engine for a user's own pictures; warn if its model knows rendered faces only."""
    from e4s_engine.engine import BUNDLED

    engine = _engine(arguments)
    if engine.weights == BUNDLED:
        print(
            "note: the bundled demo model was trained on rendered faces only; for photos of people give "
            "--weights (see the README)",
            file=sys.stderr,
        )
    return engine


def _engine(arguments: Namespace) -> Engine:
    from e4s_engine.engine import Engine

    parser = {"auto": "auto", "none": None}.get(arguments.parser, arguments.parser)
    return Engine(
        arguments.weights,
        parser=parser,
        landmarks=arguments.landmarks,
        device=arguments.device,
        precision=arguments.precision,
        backend=arguments.backend,
    )


def _options(arguments: Namespace) -> SwapOptions:
    """Return the options of a swap that the flags ask for."""
    from e4s_engine.options import SwapOptions

    names = [field.name for field in dataclasses.fields(SwapOptions) if field.name != "align"]
    return SwapOptions(**{name: getattr(arguments, name) for name in names}, align=_align(arguments))


def _align(arguments: Namespace) -> str | bool:
    how: dict[str, str | bool] = {"auto": "auto", "yes": True, "no": False}
    return how[arguments.align]


def _is_folder(targets: Sequence[str]) -> bool:
    return len(targets) == 1 and Path(targets[0]).is_dir()


def _expand(targets: Sequence[str]) -> list[Path]:
    """Return the target photos; a folder is replaced by the photos in it."""
    photos: list[Path] = []
    for target in map(Path, targets):
        if not target.is_dir():
            photos.append(target)
            continue
        inside = sorted(p for p in target.iterdir() if p.is_file() and p.suffix.lower() in _IMAGE_SUFFIXES)
        if not inside:
            raise ImageError(f"target: the folder {target} holds no pictures")
        photos += inside
    return photos


def _outputs(targets: Sequence[Path], output: Path, several: bool) -> list[Path]:
    """Return one file per target: `output` itself, or files named after the targets in that folder."""
    if not several and not output.is_dir():
        return [output]
    if not output.is_dir() and (output.exists() or output.suffix.lower() in _IMAGE_SUFFIXES):
        raise OutputError(f"--output: for several photos expected a folder, got {output}")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"--output: cannot make the folder {output}: {error.strerror}; choose another"
        ) from error
    names: list[Path] = []
    for target in targets:
        name, count = output / f"{target.stem}.png", 1
        while name in names:
            count += 1
            name = output / f"{target.stem}_{count}.png"
        names.append(name)
    photos = {target.resolve() for target in targets}
    clash = next((name for name in names if name.resolve() in photos), None)
    if clash is not None and several:
        raise OutputError(f"--output: would write over the target photo {clash}; choose another folder")
    return names


def _check_outputs(paths: Sequence[str | Path], argument: str = "--output") -> None:
    """Check, before any work, that the results can be written."""
    from e4s_engine.photo import images

    for path in paths:
        images.check_output(path, argument)


def _read_labels(path: str | None, arguments: Namespace, argument: str) -> Any:
    from e4s_engine.photo import labelfile

    return None if path is None else labelfile.read(path, arguments.label_format, argument)


def _read_landmarks(path: str | None, argument: str) -> Any:
    from e4s_engine.photo import labelfile

    return None if path is None else labelfile.read_landmarks(path, argument)
