"""Flags about marks and safeguards, and the notice that people see until they acknowledge it."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e4s_engine.cli.messages import say
from e4s_engine.errors import ArgumentError

if TYPE_CHECKING:
    from e4s_engine.marks.certificates import Signer
    from e4s_engine.photo.images import Pixels

NOTICE = (
    "swap faces only of people who agreed to it; files say that a model changed them, and the law of many "
    "countries asks that they do (`e4s acknowledge` shows more and ends this notice)"
)


def add(command: argparse.ArgumentParser) -> None:
    """Add the flags of a picture's marks."""
    add_signature(command)
    command.add_argument(
        "--pixel-mark", action="store_true", help="mark the changed pixels too, faintly; outlives metadata"
    )


def add_signature(command: argparse.ArgumentParser) -> None:
    """Add the flags of signatures."""
    command.add_argument(
        "--sign",
        action="store_true",
        help="add a signed C2PA manifest, by $E4S_C2PA_CERT and $E4S_C2PA_KEY or a certificate made here",
    )
    command.add_argument("--c2pa-cert", metavar="FILE", help="sign by this certificate (PEM, leaf first)")
    command.add_argument("--c2pa-key", metavar="FILE", help="its private key (PEM)")


def add_guard(command: argparse.ArgumentParser) -> None:
    """Add the flag that names a guard."""
    command.add_argument(
        "--guard", metavar="MODULE:NAME", help="function (target, source) that must answer True for each swap"
    )


def sign(arguments: Namespace) -> bool | Signer | None:
    """Return what the flags ask for, as `Result.save` takes it. Raises ArgumentError."""
    files = arguments.c2pa_cert, arguments.c2pa_key
    if any(files):
        from e4s_engine.marks.certificates import Signer

        if not all(files):
            raise ArgumentError("--c2pa-cert: goes with --c2pa-key; give both")
        return Signer(*files)
    return True if arguments.sign else None


def how(arguments: Namespace) -> dict[str, Any]:
    """Return the arguments of `Result.save` that the flags ask for. Raises ArgumentError."""
    return {"sign": sign(arguments), "pixel_mark": arguments.pixel_mark}


def check(arguments: Namespace, *outputs: str | Path) -> None:
    """Check before any work that files can be signed; show the notice. Raises ArgumentError."""
    from e4s_engine.marks import certificates, signing

    signer = certificates.chosen(sign(arguments))
    if signer is not None:
        for suffix in dict.fromkeys(Path(output).suffix.lower() for output in outputs):
            signing.check(signer, suffix)
    notice()


def save(
    picture: Pixels,
    path: str | Path,
    operation: str,
    quality: int | None = None,
    **how: Any,
) -> None:
    """Write pixels that a model made, uint8 [H, W, 3], with their marks. how: see the function `how`."""
    from e4s_engine.marks.statement import Statement
    from e4s_engine.result import Picture

    Picture(picture, None, Statement(operation)).save(path, quality=quality, **how)


def acknowledged() -> bool:
    """Return whether somebody on this machine has read what the tool is for (`e4s acknowledge`)."""
    from e4s_engine.marks import certificates

    return (certificates.folder_of_user() / "acknowledged").exists()


def notice() -> None:
    """Show the notice to a person who has not acknowledged it yet; scripts are not bothered."""
    if sys.stderr.isatty() and not acknowledged():
        say(f"note: {NOTICE}")
