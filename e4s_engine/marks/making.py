"""Marks of a picture that is about to be saved, and the switch that leaves them out."""

from __future__ import annotations

import dataclasses
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.errors import ArgumentError, UnmarkedWarning
from e4s_engine.marks import certificates, signing, xmp
from e4s_engine.marks import pixels as pixel_marks
from e4s_engine.marks.certificates import Loaded, Signer
from e4s_engine.marks.statement import Input, Statement
from e4s_engine.photo import packets
from e4s_engine.photo.original import Original, Pixels

SWITCH = "E4S_MARKS"


def marking() -> bool:
    """Return whether files are marked; warn if not. Raises ArgumentError for an unknown value."""
    value = os.environ.get(SWITCH, "") or "on"
    if value not in ("on", "off"):
        raise ArgumentError(f"{SWITCH}: expected on or off, got {value!r}")
    if value == "off":
        warnings.warn(
            f"{SWITCH}=off: files do not say that a model changed them. That is for research alone; "
            "publishing such pictures may break the law (EU AI Act, Article 50)",
            UnmarkedWarning,
            stacklevel=4,
        )
    return value == "on"


def packet(
    statement: Statement | None, original: Original | None, path: str | os.PathLike[str]
) -> bytes | None:
    """Return the XMP of a file; None: the photo's own stays as it is.

    statement: None for a picture in which nothing was generated. original: the photo's file. path: of the
    file, whose format limits the length.
    """
    if statement is None or not marking():
        return None
    before = None if original is None else original.packets.xmp
    most = packets.most_xmp(path)
    made = xmp.packet(statement, before)
    if before is not None and len(made) > most:
        xmp.logger.warning("the photo's XMP of %d bytes is left out, the file's mark is not", len(before))
        made = xmp.packet(statement)
    if len(made) > most:  # some hundred faces in a JPEG
        made = xmp.packet(dataclasses.replace(statement, faces=(), inputs=()))
    return made


def in_pixels(
    pixels: Pixels, changed: npt.NDArray[np.bool_], statement: Statement
) -> tuple[Pixels, Statement]:
    """Return pixels with a mark where they changed, and the statement that says so."""
    if not marking():
        return pixels, statement
    marked = pixel_marks.embed(pixels, changed)
    if marked is None:
        xmp.logger.warning("the part that changed is too small for a mark in the pixels: written without it")
        return pixels, statement
    return marked, dataclasses.replace(statement, pixel_mark=True)


def signature(
    statement: Statement | None,
    path: str | os.PathLike[str],
    sign: bool | Signer | None,
    outside: Callable[[], dict[str, Any] | None],
) -> Callable[[Path], None] | None:
    """Return the function that signs the finished file, or None if it stays unsigned.

    outside: returns the statement about untouched pixels, see `signing.untouched`.

    Raises ArgumentError for a certificate that cannot sign, before anything is written.
    """
    signer = certificates.chosen(sign) if statement is not None and marking() else None
    if statement is None or signer is None:
        return None
    suffix = Path(path).suffix.lower()
    loaded = signing.check(signer, suffix)
    return lambda file: signing.sign(file, suffix, loaded, statement, outside())


def check_signature(suffix: str, sign: bool | Signer | None) -> Loaded | None:
    """Return the certificate that signs a file with this ending; None: it stays unsigned.

    Raises ArgumentError for a certificate that cannot sign.
    """
    signer = certificates.chosen(sign) if marking() else None
    return None if signer is None else signing.check(signer, suffix)


def listed(role: str, original: Original | None) -> Input:
    """Return a picture as statements list it. original: its file; None: an array."""
    if original is None:
        return Input(role)
    own = original.packets
    return Input(role, original.file, xmp.source_type(own.xmp) if own.xmp else "", own.c2pa)
