"""Command line: e4s swap, edit, reconstruct, parse, convert, info, bench, demo, train.

Exit codes: 0 success, 1 something failed (one line on stderr says what), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from collections.abc import Sequence
from typing import Any

from e4s_engine import __version__
from e4s_engine.cli import commands
from e4s_engine.errors import E4SError
from e4s_engine.options import SwapOptions
from e4s_engine.training import command as training

_LANDMARKS = "[68, 2] or [5, 2] landmarks in pixels of the photo (json, npy, txt)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    arguments = _parser().parse_args(argv)
    level = logging.INFO if arguments.verbose else logging.WARNING
    logging.basicConfig(level=level, format="e4s: %(message)s")
    try:
        code: int = arguments.run(arguments)
        return code
    except (E4SError, OSError) as error:  # OSError: a folder that cannot be listed, a name that is too long
        commands.complain(error)
        return 1
    except KeyboardInterrupt:
        print("e4s: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="e4s", description="Fine-grained face swapping by region.")
    parser.add_argument("--version", action="version", version=f"e4s_engine {__version__}")
    group = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (
        _add_swap,
        _add_edit,
        _add_reconstruct,
        _add_parse,
        _add_convert,
        _add_info,
        _add_bench,
        _add_demo,
    ):
        add(group)
    training.add(group, _command)
    return parser


def _add_swap(group: Any) -> None:
    swap = _command(group, "swap", commands.swap, "put a face, or some regions of it, into photos")
    swap.add_argument("source", metavar="SOURCE", help="photo to take the face from")
    swap.add_argument(
        "target", metavar="TARGET", nargs="+", help="photos, or a folder of photos, to put it into"
    )
    swap.add_argument(
        "--regions", nargs="*", metavar="REGION", help="regions or presets to take; default: whole face"
    )
    swap.add_argument(
        "--also", action="append", metavar="REGIONS=IMAGE", help="take regions from another photo too"
    )
    _add_options(swap, "extent", "shape", "texture", "hair_first", "relight")
    swap.add_argument(
        "--source-labels", metavar="FILE", help="labels of the source's aligned crop (png, npy)"
    )
    swap.add_argument(
        "--target-labels", metavar="FILE", help="labels of the target's aligned crop (png, npy)"
    )
    swap.add_argument("--source-landmarks", metavar="FILE", help=_LANDMARKS)
    swap.add_argument("--target-landmarks", metavar="FILE", help="likewise, of the target photo")
    swap.add_argument("--explain", metavar="SHEET", help="also write a contact sheet of the steps")
    _add_output(swap)
    _add_engine(swap)
    _add_labels(swap)


def _add_edit(group: Any) -> None:
    edit = _command(group, "edit", commands.edit, "mix another photo's texture into some regions")
    edit.add_argument("image", metavar="IMAGE")
    edit.add_argument("--image-landmarks", metavar="FILE", help=_LANDMARKS)
    edit.add_argument("reference", metavar="REFERENCE")
    edit.add_argument("--reference-landmarks", metavar="FILE", help=_LANDMARKS)
    edit.add_argument("--regions", nargs="+", required=True, metavar="REGION")
    _add_options(edit, "extent", "relight")
    edit.add_argument("--labels", metavar="FILE", help="labels of the image's aligned crop")
    edit.add_argument("--reference-labels", metavar="FILE", help="labels of the reference's aligned crop")
    _add_output(edit)
    _add_engine(edit)
    _add_labels(edit)


def _add_reconstruct(group: Any) -> None:
    reconstruct = _command(group, "reconstruct", commands.reconstruct, "a photo through the model and back")
    reconstruct.add_argument("image", metavar="IMAGE")
    reconstruct.add_argument("--image-landmarks", metavar="FILE", help=_LANDMARKS)
    reconstruct.add_argument("--labels", metavar="FILE", help="labels of the image's aligned crop")
    reconstruct.add_argument(
        "--steps", type=int, default=0, metavar="N",
        help="optimisation steps, with --backend reference (200 as published); default: the encoder's codes",
    )  # fmt: skip
    _add_output(reconstruct)
    _add_engine(reconstruct)
    _add_labels(reconstruct)


def _add_parse(group: Any) -> None:
    parse = _command(group, "parse", commands.parse, "the regions of a photo, as a coloured overlay")
    parse.add_argument("image", metavar="IMAGE")
    parse.add_argument("--image-landmarks", metavar="FILE", help=_LANDMARKS)
    parse.add_argument("--save-labels", metavar="FILE", help="also write the label map itself (png)")
    _add_output(parse, blend=False)
    _add_engine(parse)


def _add_convert(group: Any) -> None:
    convert = _command(group, "convert", commands.convert, "an official checkpoint to safetensors")
    convert.add_argument("official", metavar="OFFICIAL", help="iteration_300000.pt or 79999_iter.pth")
    convert.add_argument("output", metavar="OUT", help="a .safetensors file")
    convert.add_argument("--ema", action="store_true", help="convert the EMA weights if the file has both")


def _add_info(group: Any) -> None:
    info = _command(group, "info", commands.info, "what this machine offers and what a weight file holds")
    info.add_argument("--json", action="store_true")
    info.add_argument("--plan", action="store_true", help="print the recorded plans of the native backend")
    _add_engine(info)


def _add_bench(group: Any) -> None:
    bench = _command(group, "bench", commands.bench, "time a swap by stage")
    bench.add_argument("--weights", metavar="FILE", help="default: random weights of the official size")
    bench.add_argument("--repeat", type=_positive, default=5, metavar="N")
    bench.add_argument("--json", action="store_true")
    _add_machine(bench)


def _add_demo(group: Any) -> None:
    demo = _command(group, "demo", commands.demo, "the whole chain on two made-up people, as a contact sheet")
    demo.add_argument("-o", "--output", default="out/demo.png", metavar="SHEET", help="default: out/demo.png")
    demo.add_argument("--seed", type=_natural, default=0, metavar="N", help="other people")
    _add_engine(demo)


def _command(group: Any, name: str, run: Any, help_text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = group.add_parser(name, help=help_text, description=help_text)
    command.set_defaults(run=run)
    command.add_argument("-v", "--verbose", action="store_true", help="say what is chosen and loaded")
    return command


def _add_options(command: argparse.ArgumentParser, *names: str) -> None:
    """Add the flags of some options of a swap, as their fields declare them."""
    for field in dataclasses.fields(SwapOptions):
        if field.name not in names:
            continue
        flag, more = field.metadata["flag"], field.metadata
        if "off" in more:
            command.add_argument(flag, dest=field.name, action="store_false", help=more["off"])
        elif "choices" in more:
            command.add_argument(flag, choices=more["choices"], default=field.default, help=more["meaning"])
        else:
            value = {"type": type(field.default), "default": field.default, "metavar": more["metavar"]}
            command.add_argument(flag, help=more["meaning"], **value)


def _add_output(command: argparse.ArgumentParser, blend: bool = True) -> None:
    command.add_argument("-o", "--output", required=True, metavar="OUT", help="picture to write")
    if blend:
        _add_options(command, "blend")


def _add_labels(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--label-format",
        choices=("regions", "celebamask_hq", "bisenet"),
        default="regions",
        help="what the values in label files mean: the 12 regions, or one of the 19-label conventions",
    )


def _add_engine(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--weights",
        metavar="FILE",
        help="safetensors or official .pt; default: $E4S_WEIGHTS, else the bundled demo model, which knows "
        "rendered faces only",
    )
    command.add_argument("--parser", default="auto", metavar="FILE", help="parser weights, 'auto' or 'none'")
    command.add_argument("--landmarks", metavar="MODULE:NAME", help="a landmark model to import")
    command.add_argument("--align", choices=("auto", "yes", "no"), default="auto")
    _add_machine(command)


def _add_machine(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    command.add_argument("--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto")
    command.add_argument("--backend", choices=("auto", "native", "reference"), default="auto")


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must be at least 0")
    return value


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
