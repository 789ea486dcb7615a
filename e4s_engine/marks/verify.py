"""Reading of all marks of a file: what is certain, and what the file merely claims."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Literal, get_args

from e4s_engine.errors import ArgumentError, ImageError
from e4s_engine.marks import certificates, signing, xmp
from e4s_engine.marks import pixels as pixel_marks
from e4s_engine.marks.statement import TOOL, is_synthetic
from e4s_engine.photo import images, packets
from e4s_engine.photo.files import is_url, url_of

Search = Literal["no", "quick", "thorough"]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the marks of one file say.

    marked: whether any mark says that a model made or changed it. ours: whether a mark names this tool.
    certain: facts that a signature proves, or that were checked against the original's pixels. claimed: facts
    that anybody could have written. problems: marks that are damaged or do not hold: the file was changed
    after it was marked, or the mark was forged. xmp: properties of IPTC and of ours. signature: state of the
    C2PA manifest, "none" if there is none. The absence of marks proves nothing.
    """

    marked: bool
    ours: bool
    certain: tuple[str, ...] = ()
    claimed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    xmp: dict[str, str] = dataclasses.field(default_factory=dict)
    signature: signing.State = "none"


def verify(
    file: str | os.PathLike[str],
    *,
    original: str | os.PathLike[str] | None = None,
    trust: str | os.PathLike[str] | None = None,
    pixels: Search = "no",
) -> Verdict:
    """Read every mark of a picture or video: XMP with IPTC's properties, and C2PA's signed manifest.

    original: the photo that the picture is said to be made of; a signed statement about its untouched pixels
        is checked against it.
    trust: PEM file of certificates whose signatures are trusted; without it a valid signature proves that the
        file is as it was signed, not by whom.

    pixels: whether the picture itself is searched for a mark (`Result.save(pixel_mark=True)`): "no", "quick"
        (at its size, three quarters and half; seconds) or "thorough" (any size from 0.4 to 1.25; minutes).
        Anybody who has this package can add that mark: it is a claim.

    Manifests need the extra `e4s_engine[c2pa]`; without it their presence is reported, nothing more.

    Raises ImageError for a file that cannot be read, or is neither a picture nor a clip of a known format;
    ArgumentError for certificates in `trust` that are none, and for `original` where nothing was signed.
    """
    if pixels not in get_args(Search):
        raise ArgumentError(f"pixels: expected 'no', 'quick' or 'thorough', got {pixels!r}")
    found, manifest = _read(file, None if trust is None else certificates.anchors(trust))
    properties = {} if found.xmp is None else xmp.read(found.xmp)
    claimed, problems = _claims(properties), []
    if found.xmp is not None and xmp.damaged(found.xmp):
        problems.append("the XMP packet is damaged and says nothing")
    kind = properties.get("Iptc4xmpExt:DigitalSourceType", "")
    certain = list(manifest.certain)
    claimed += manifest.claimed
    problems += manifest.problems
    if original is not None:
        agrees = signing.agrees(manifest, original)
        (certain if agrees else problems).append(
            "pixels outside the signed boxes are those of the original"
            if agrees
            else "the original's pixels outside the signed boxes are not those that were signed"
        )
    seen = _in_pixels(file, pixels)
    claimed += seen
    tools = (properties.get("e4s:Tool"), manifest.tool)
    marked = is_synthetic(kind) or manifest.synthetic or bool(seen)
    return Verdict(
        marked,
        TOOL in tools or bool(seen),
        tuple(certain),
        tuple(claimed),
        tuple(problems),
        properties,
        manifest.state,
    )


def _read(file: str | os.PathLike[str], trust: str | None) -> tuple[packets.Packets, signing.Manifest]:
    """Read the metadata of a file, which may be a long clip. trust: PEM. Raises ImageError."""
    if is_url(file):
        raise ImageError(f"file: {url_of(file):.80} is a URL, nothing is downloaded; fetch it")
    try:
        path = Path(file)
        if not path.is_file():  # a pipe would block, a device might never end
            raise ValueError("No such file" if not path.exists() else "not a regular file")
        with path.open("rb") as opened, packets.mapped(opened) as data:
            if not packets.is_known(data):
                what = "no" if data else "empty, no"
                raise ImageError(
                    f"file: {file} is {what} picture or clip whose marks can be read ({packets.KNOWN})"
                )
            found = packets.find(data)
            manifest = signing.NO_MANIFEST
            if found.c2pa:
                manifest = signing.read(opened, path.suffix.lower(), trust)
            return found, manifest
    except ImageError:
        raise
    except (OSError, ValueError, TypeError) as error:
        raise ImageError(f"file: cannot read {file}: {getattr(error, 'strerror', None) or error}") from error


def _in_pixels(file: str | os.PathLike[str], search: Search) -> list[str]:
    """Return what the mark in the pixels says, in words; nothing if none is found."""
    if search == "no":
        return []
    try:
        picture = images.read(file, "file")
    except ImageError as error:
        raise ArgumentError(
            f"pixels: {file} cannot be read as a picture, and only those are searched; save a frame of it"
        ) from error
    score, scale = pixel_marks.detect(picture)
    if score < pixel_marks.THRESHOLD and search == "thorough":
        score, scale = pixel_marks.detect(picture, pixel_marks.fine_scales())
    if score < pixel_marks.THRESHOLD:
        return []
    return [f"pixels: the mark of {TOOL} is there ({score:.1f} standard deviations, at size {scale:.2f})"]


def _claims(properties: dict[str, str]) -> list[str]:
    """Return what XMP says, in words."""
    said = []
    kind = properties.get("Iptc4xmpExt:DigitalSourceType", "")
    if kind:
        said.append(f"XMP: IPTC digital source type {kind.rpartition('/')[2]}")
    if "Iptc4xmpExt:AISystemUsed" in properties:
        version = properties.get("Iptc4xmpExt:AISystemVersionUsed", "")
        said.append(f"XMP: made with {properties['Iptc4xmpExt:AISystemUsed']} {version}".rstrip())
    names = ("Operation", "Extent", "Faces", "Inputs", "Date")
    said += [
        f"XMP: {name.lower()} {properties[f'e4s:{name}']}" for name in names if f"e4s:{name}" in properties
    ]
    return said
