"""Arguments that several commands share, and types of arguments."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Container
from typing import Any

from e4s_engine.options import SwapOptions

CHOICES: dict[str, str | bool] = {"auto": "auto", "yes": True, "no": False}
REGIONS = "--regions"
LANDMARKS = "[68, 2] or [5, 2] landmarks in pixels of the photo (json, npy, txt)"


class Once(argparse.Action):
    """Store a value, and refuse a second one, which would replace the first in silence."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        name: str | None = None,
    ) -> None:
        """Store the value. Ends with a usage error if there is one."""
        if getattr(namespace, self.dest) is not None:
            parser.error(f"argument {name}: given twice; list all of it in one place")
        setattr(namespace, self.dest, values)


def add_options(
    command: argparse.ArgumentParser,
    only: Container[str] | None = None,
    without: Container[str] = (),
    options: type[Any] = SwapOptions,
) -> None:
    """Add the flags of the options of a swap, as their fields declare them, to be read by `chosen`.

    only, without: names of the options to add, all by default, and of those to leave out.
    """
    for field in dataclasses.fields(options):
        if field.name not in without and (only is None or field.name in only):
            _add_option(command, field)


def chosen(arguments: argparse.Namespace, options: type[Any] = SwapOptions) -> dict[str, Any]:
    """Return the options whose flags the command has, by name."""
    return {
        field.name: getattr(arguments, field.name)
        for field in dataclasses.fields(options)
        if hasattr(arguments, field.name)
    }


def _add_option(command: argparse.ArgumentParser, field: dataclasses.Field[Any]) -> None:
    flag, more = field.metadata["flag"], field.metadata
    value: dict[str, Any] = {"dest": field.name, "default": field.default, "help": more["meaning"]}
    if isinstance(field.default, bool):
        # The flag changes the default: it switches off what is on, or on what is off.
        value["action"] = "store_false" if field.default else "store_true"
        value["help"] = more.get("off", more["meaning"])
    elif "choices" in more:
        value["choices"] = more["choices"]
    elif field.default == "auto":
        value |= {"type": choice, "metavar": "|".join(CHOICES)}
        if field.name == "recolor":
            value |= {"type": share, "metavar": "|".join((*CHOICES, "X"))}
    else:
        value |= {"type": faces if field.name == "faces" else type(field.default), "metavar": more["metavar"]}
    command.add_argument(flag, **value)


def add_regions(command: argparse.ArgumentParser, required: bool, help_text: str) -> None:
    """Add --regions: names with commas or spaces between them, before or after the photos."""
    command.add_argument(
        REGIONS, action=Once, type=regions, required=required, metavar="REGION[,REGION...]", help=help_text
    )


def add_overwrite(command: argparse.ArgumentParser) -> None:
    """Add the flag that lets a command replace a file."""
    command.add_argument("--overwrite", action="store_true", help="replace files that exist, even inputs")


def add_quality(command: argparse.ArgumentParser) -> None:
    """Add the quality of pictures to write."""
    command.add_argument(
        "--quality", type=int, metavar="N", help="of JPEG and WebP, 1 to 100; default: the target's, else 95"
    )


def add_image(command: argparse.ArgumentParser) -> None:
    """Add one photo and its landmarks."""
    command.add_argument("image", metavar="IMAGE")
    command.add_argument("--image-landmarks", metavar="FILE", help=LANDMARKS)


def add_face(command: argparse.ArgumentParser) -> None:
    """Add the choice of a face of a single photo."""
    command.add_argument(
        "--face",
        type=faces,
        default="largest",
        metavar="WHICH",
        help="which face of IMAGE: as --faces of swap",
    )


def add_output(command: argparse.ArgumentParser) -> None:
    """Add the file to write."""
    command.add_argument("-o", "--output", required=True, metavar="OUT", help="picture to write")
    add_overwrite(command)


def add_label_format(command: argparse.ArgumentParser) -> None:
    """Add the convention of label files."""
    command.add_argument(
        "--label-format",
        choices=("regions", "celebamask_hq", "bisenet"),
        default="regions",
        help="what the values in label files mean: the 12 regions, or one of the 19-label conventions",
    )


def add_engine(command: argparse.ArgumentParser) -> None:
    """Add weights, parser, landmark model and machine."""
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
        metavar="DETECTOR|MODULE:NAME",
        help="what finds the faces: auto (the best detector at hand), one alone (retinaface, yunet, dlib), "
        "none, or a landmark model to import",
    )
    add_machine(command)


def add_machine(command: argparse.ArgumentParser) -> None:
    """Add device, precision and backend."""
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    command.add_argument("--precision", choices=("auto", "fp32", "bf16", "fp16"), default="auto")
    command.add_argument("--backend", choices=("auto", "native", "reference"), default="auto")


def choice(text: str) -> str | bool:
    """Read an option that is auto, yes or no."""
    if text not in CHOICES:
        raise argparse.ArgumentTypeError(f"expected {', '.join(CHOICES)}, got {text!r}")
    return CHOICES[text]


def share(text: str) -> str | bool | float:
    """Read an option that is auto, yes, no or a number. One out of range is reported by the command."""
    if text in CHOICES:
        return choice(text)
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected {', '.join(CHOICES)} or a number in [0, 1], got {text!r}"
        ) from None


def regions(text: str) -> tuple[str, ...]:
    """Read a list of regions, separated by commas or spaces. A misspelt one is reported by the command."""
    names = tuple(name for part in text.split(",") for name in _names(part))
    if not names:
        raise argparse.ArgumentTypeError("expected at least one region, such as eyes,nose")
    return names


def _names(text: str) -> list[str]:
    """Return the names in a text without commas: "inner mouth" is one, "eyes nose" are two."""
    return [text.strip()] if is_region(text) else text.split()


def is_region(text: str) -> bool:
    """Return whether a text names a region or a preset."""
    from e4s_engine.errors import RegionError
    from e4s_engine.regions import region_ids

    try:
        region_ids(text)
    except RegionError:
        return False
    return True


def faces(text: str) -> str | int | tuple[int, ...]:
    """Read a choice of faces: a word, a number, or numbers separated by commas."""
    from e4s_engine.errors import ArgumentError
    from e4s_engine.faces import choose

    try:
        return choose.read(text)
    except ArgumentError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


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
