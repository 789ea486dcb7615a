"""Arguments that several commands share, and types of arguments."""

from __future__ import annotations

import argparse
import dataclasses

from e4s_engine.options import SwapOptions

LANDMARKS = "[68, 2] or [5, 2] landmarks in pixels of the photo (json, npy, txt)"


def add_options(command: argparse.ArgumentParser, *names: str) -> None:
    """Add the flags of some options of a swap, as their fields declare them."""
    for field in dataclasses.fields(SwapOptions):
        if field.name not in names:
            continue
        flag, more = field.metadata["flag"], field.metadata
        if "off" in more:
            command.add_argument(flag, dest=field.name, action="store_false", help=more["off"])
        elif "on" in more:
            command.add_argument(flag, dest=field.name, action="store_true", help=more["on"])
        elif "choices" in more:
            command.add_argument(flag, choices=more["choices"], default=field.default, help=more["meaning"])
        else:
            kind = faces if field.name == "faces" else type(field.default)
            value = {"type": kind, "default": field.default, "metavar": more["metavar"]}
            command.add_argument(flag, help=more["meaning"], **value)


def add_image(command: argparse.ArgumentParser) -> None:
    """Add one photo and its landmarks."""
    command.add_argument("image", metavar="IMAGE")
    command.add_argument("--image-landmarks", metavar="FILE", help=LANDMARKS)


def add_output(command: argparse.ArgumentParser, blend: bool = True) -> None:
    """Add the file to write and, for pictures that are pasted, how."""
    command.add_argument("-o", "--output", required=True, metavar="OUT", help="picture to write")
    if blend:
        add_options(command, "blend")


def add_label_format(command: argparse.ArgumentParser) -> None:
    """Add the convention of label files."""
    command.add_argument(
        "--label-format",
        choices=("regions", "celebamask_hq", "bisenet"),
        default="regions",
        help="what the values in label files mean: the 12 regions, or one of the 19-label conventions",
    )


def add_engine(command: argparse.ArgumentParser) -> None:
    """Add weights, parser, landmark model, alignment and machine."""
    command.add_argument(
        "--weights",
        metavar="FILE",
        help="safetensors or official .pt; default: $E4S_WEIGHTS, else the bundled demo model, which knows "
        "rendered faces only",
    )
    command.add_argument("--parser", default="auto", metavar="FILE", help="parser weights, 'auto' or 'none'")
    command.add_argument(
        "--landmarks",
        default="auto",
        metavar="MODULE:NAME",
        help="what finds the faces: auto (the best detector at hand), none, or a landmark model to import",
    )
    command.add_argument("--align", choices=("auto", "yes", "no"), default="auto")
    add_machine(command)


def add_machine(command: argparse.ArgumentParser) -> None:
    """Add device, precision and backend."""
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    command.add_argument("--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto")
    command.add_argument("--backend", choices=("auto", "native", "reference"), default="auto")


def faces(text: str) -> str | int | tuple[int, ...]:
    """Read a choice of faces: a word, a number, or numbers separated by commas."""
    from e4s_engine.errors import ArgumentError
    from e4s_engine.faces import choose

    try:
        numbers = tuple(int(part) for part in text.split(","))
        checked = choose.check(numbers[0] if len(numbers) == 1 else numbers)
    except ValueError:
        try:
            checked = choose.check(text)
        except ArgumentError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
    assert not callable(checked) and not isinstance(checked, list)
    return checked if isinstance(checked, (str, int)) else tuple(checked)


def natural(text: str) -> int:
    """Read an integer of at least 0."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must be at least 0")
    return value


def positive(text: str) -> int:
    """Read an integer of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
