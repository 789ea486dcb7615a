"""`e4s train`: rendering faces, training RGI models, training parsers."""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from e4s_engine.errors import ArgumentError, BackendError

Adder = Callable[[Any, str, Callable[[Namespace], int], str], argparse.ArgumentParser]


def add(group: Any, command: Adder) -> None:
    """Add the subcommands of `e4s train`. command: factory of a subcommand (parent, name, function, help)."""
    train = group.add_parser("train", help="train a model or a parser", description=__doc__)
    kinds = train.add_subparsers(required=True, metavar="WHAT")
    rendered = command(kinds, "faces", faces, "render the faces for a training run in advance")
    _add_faces(rendered)
    rgi = command(kinds, "rgi", run, "encoder, per-region MLPs and generator")
    parser = command(kinds, "parser", run, "photo -> labels")
    for kind in (rendered, rgi, parser):
        kind.set_defaults(misuse=1)  # what is wrong with recipes, folders and runs is one kind of error
    for name, kind in (("demo", rgi), ("parser-demo", parser)):
        kind.set_defaults(kind=kind.prog.rpartition(" ")[2])
        kind.add_argument("--recipe", default=name, help="a name or a .json file; default: %(default)s")
        kind.add_argument(
            "--set", action="append", default=[], metavar="NAME=VALUE", help="change the recipe"
        )
        kind.add_argument(
            "-o", "--output", required=True, metavar="FOLDER", help="checkpoint, sheets, weights"
        )
        kind.add_argument("--resume", action="store_true", help="continue from the folder's checkpoint")
        kind.add_argument(
            "--overwrite", action="store_true", help="train anew in a folder that holds a checkpoint"
        )
        kind.add_argument("--init", metavar="FILE", help="start from the weights of this file")
        _add_data(kind)
        _add_pace(kind)
    rgi.add_argument("--parser", metavar="FILE", help="weights of a parser, for the losses that use one")
    rgi.add_argument(
        "--labels-by", metavar="FILE", help="label rendered faces with this parser instead of exactly"
    )
    rgi.add_argument("--stylegan2", metavar="FILE", help="start the generator from this (rosinality format)")


def _add_faces(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cache", required=True, metavar="FOLDER")
    parser.add_argument("--count", type=int, required=True, metavar="N", help="items, of three pictures each")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes that render")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="FOLDER", help="photos and labels (FFHQ or CelebAMask-HQ layout)")
    formats = ("auto", "regions", "bisenet", "celebamask_hq")
    parser.add_argument("--label-format", choices=formats, default="auto", help="convention of label values")
    parser.add_argument("--cache", metavar="FOLDER", help="rendered faces; default: faces/ in the output")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes that render or read")


def _add_pace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after this time, resumable")
    parser.add_argument(
        "--until", type=int, default=math.inf, metavar="STEP", help="stop after this step, resumable"
    )
    parser.add_argument("--save-every", type=int, default=1000, metavar="STEPS")
    parser.add_argument("--sheet-every", type=int, default=500, metavar="STEPS")


def faces(arguments: Namespace) -> int:
    """Run `e4s train faces`."""
    from e4s_engine.training.faces import Faces

    items = Faces(arguments.cache, arguments.size, arguments.count, workers=arguments.workers)
    try:
        items.complete()
    finally:
        items.close()
    print(f"{arguments.cache}: {len(items)} items, {3 * len(items)} pictures")
    return 0


def run(arguments: Namespace) -> int:
    """Run `e4s train rgi` or `e4s train parser`."""
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        raise BackendError("training needs PyTorch; install it with `pip install e4s_engine[torch]`")
    return _run(arguments)


def _run(arguments: Namespace) -> int:
    from e4s_engine.networks import registry
    from e4s_engine.training import loop, memory, spread, tasks

    memory.keep()
    chosen = _recipe(arguments)
    if registry.kind_of(chosen.model) != arguments.kind:
        raise ArgumentError(f"recipe: {arguments.recipe} trains no {arguments.kind}")
    kept = Path(arguments.output) / loop.CHECKPOINT
    if kept.exists() and not (arguments.resume or arguments.overwrite):
        raise ArgumentError(
            f"--output: {kept} exists already; --resume continues it, --overwrite replaces it"
        )
    rank, world, device = spread.begin(_device(arguments.device))
    source, preview, close = _source(arguments, chosen, rank, device)
    try:
        tensors = _start(arguments, chosen)
        task = tasks.new(chosen, tensors, _judge(arguments), device, arguments.precision)
        training = loop.Run(
            task, source, Path(arguments.output), chosen,
            preview=preview, device=device, rank=rank, world=world,
            save_every=arguments.save_every, sheet_every=arguments.sheet_every,
            minutes=arguments.minutes, until=arguments.until,
        )  # fmt: skip
        if arguments.resume:
            training.resume()
        done = training.train()
    finally:
        close()
        spread.end()
    if rank == 0:
        _say(arguments, source.report(), done, training.step)
    return 0


def _say(arguments: Namespace, report: str, done: bool, step: int) -> None:
    if report:
        print(f"left out, because they are unusable:\n{report}", file=sys.stderr)
    state = "done" if done else f"stopped at step {step}; continue with --resume"
    print(f"{arguments.output}: {state}; the averaged weights are in {arguments.output}/model.safetensors")


def _recipe(arguments: Namespace) -> Any:
    from e4s_engine.training import recipe

    name, saved = arguments.recipe, Path(arguments.output) / "recipe.json"
    if arguments.resume and saved.is_file() and not arguments.set:
        return recipe.from_json(saved.read_text(encoding="utf-8"))
    if name in recipe.NAMED:
        chosen = recipe.NAMED[name]
    elif Path(name).is_file():
        chosen = recipe.from_json(Path(name).read_text(encoding="utf-8"))
    else:
        raise ArgumentError(f"--recipe: expected a file or one of {', '.join(recipe.NAMED)}, got {name!r}")
    chosen = recipe.changed(chosen, arguments.set)
    if isinstance(chosen, recipe.RgiRecipe) and chosen.freeze_encoder and not arguments.init:
        raise ArgumentError("freeze_encoder: a frozen encoder needs trained weights; give --init FILE")
    if isinstance(chosen, recipe.RgiRecipe) and not (arguments.stylegan2 or arguments.init):
        # Frozen layers need trained weights; from scratch, all layers are trained.
        chosen = dataclasses.replace(chosen, freeze_convs=0, freeze_to_rgbs=0)
    return chosen


def _device(device: str) -> str:
    from e4s_engine.backends.reference import choose_device

    return choose_device(device)


def _start(arguments: Namespace, chosen: Any) -> Any:
    from e4s_engine.training import networks

    if arguments.init:
        return networks.from_file(arguments.init, chosen.model, chosen.seed)
    tensors = networks.initial(chosen.model, chosen.seed)
    if arguments.kind == "rgi" and chosen.growth:
        networks.still_above(tensors, chosen.growth[0][1])
    if arguments.kind == "rgi" and arguments.stylegan2:
        networks.load_stylegan2(arguments.stylegan2, tensors)
    return tensors


def _judge(arguments: Namespace) -> Any:
    """Load the parser for the losses, if the arguments name one."""
    return _parser(arguments.parser, "--parser") if arguments.kind == "rgi" and arguments.parser else None


def _parser(path: str, argument: str) -> Any:
    """Load a parser's tensors."""
    import torch

    from e4s_engine import weights
    from e4s_engine.networks.bisenet.config import ParserConfig

    model = weights.load(path, "parser", "parser")
    if not isinstance(model.config, ParserConfig) or model.config.table != "regions":
        raise ArgumentError(f"{argument}: expected a parser of the 12 regions (e4s train parser): {path}")
    return {name: torch.from_numpy(tensor) for name, tensor in model.tensors.items()}


def _source(arguments: Namespace, chosen: Any, rank: int, device: str) -> tuple[Any, Any, Callable[[], None]]:
    """Return the source of batches, held-out pictures for the sheets, and a function to call at the end."""
    from e4s_engine.training import batches
    from e4s_engine.training.faces import FIRST_PREVIEW_SEED, PREVIEWS, Faces
    from e4s_engine.training.photos import Photos
    from e4s_engine.training.recipe import Pool

    rgi = arguments.kind == "rgi"
    size = chosen.model.size if rgi else chosen.side // 2
    seen = _labels(arguments, device)
    if arguments.data:
        photos = Photos(arguments.data, size if rgi else chosen.side, arguments.label_format)
        source = batches.PhotoPictures(photos, chosen.flip, max(arguments.workers, 1))
        few = min(8, len(photos))
        return source, source.batch(0, batches.generator(chosen.seed, 0, 9), 0, 1, few), lambda: None
    folder = arguments.cache or Path(arguments.output) / "faces"
    workers = arguments.workers if rank == 0 else 0
    items = Faces(folder, size, chosen.pool.count, workers=workers, render=rank == 0)
    kind = batches.RenderedSwaps if rgi else batches.RenderedPictures
    preview = None
    if rank == 0:
        held_out = Faces(folder, size, PREVIEWS, first=FIRST_PREVIEW_SEED)
        rng = batches.generator(chosen.seed, 0, 9)
        preview = kind(seen(held_out), Pool(start=PREVIEWS), flip=False).batch(0, rng, 0, 1, PREVIEWS)
    return kind(seen(items), chosen.pool, chosen.flip), preview, items.close


def _labels(arguments: Namespace, device: str) -> Callable[[Any], Any]:
    """Return the function that replaces rendered items' labels by a parser's, or the identity."""
    if arguments.kind != "rgi" or not arguments.labels_by:
        return lambda items: items
    if arguments.data:
        raise ArgumentError("--labels-by: it is for rendered faces; photos (--data) have label maps")
    from e4s_engine.training.found import Found

    parser = _parser(arguments.labels_by, "--labels-by")
    return lambda items: Found(items, parser, device)
