"""Marks of finished clips: what was changed in which track, and where a file of each kind says so."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from e4s_engine.marks import making, xmp
from e4s_engine.marks.certificates import Signer
from e4s_engine.marks.statement import ChangedFace, Input, Statement
from e4s_engine.photo import packets
from e4s_engine.result import Result
from e4s_engine.video.clip import Clip
from e4s_engine.video.codecs import ISO
from e4s_engine.video.given import Frames

logger = logging.getLogger("e4s_engine")

Changed = dict[int, ChangedFace]  # by the number of the track

FRAMES = ".png"  # format of a folder of frames
# Matroska's name for what IPTC calls digital source type, for readers that know no XMP.
_SOURCE_TYPE, _XMP = "DIGITAL_SOURCE_TYPE", "XMP"


class Marks(NamedTuple):
    """Marks of a finished clip. xmp: packet; None if marking is off. finish: function that signs the file."""

    statement: Statement
    xmp: bytes | None = None
    finish: Callable[[Path], None] | None = None

    def tags(self) -> dict[str, str]:
        """Return the tags of a Matroska or WebM file, which outlive remuxing."""
        if self.xmp is None:
            return {}
        return {_SOURCE_TYPE: self.statement.source_type, _XMP: self.xmp.decode()}

    def write(self, path: Path) -> None:
        """Write what is not in tags into a finished MP4, MOV or GIF, and sign it if that is wanted."""
        suffix = path.suffix.lower()
        if self.xmp is not None and suffix in ISO:
            with path.open("ab") as file:
                file.write(packets.mp4_box(self.xmp))
        elif self.xmp is not None and suffix == ".gif":
            packets.insert_into_gif(path, self.xmp)
        if self.finish is not None:
            self.finish(path)


class Origin(NamedTuple):
    """The clip as marks list it. xmp: its own packet."""

    target: Input
    xmp: bytes | None = None


def origin(source: Clip | Frames) -> Origin:
    """Read the marks of a clip."""
    if not isinstance(source, Clip) or source.pictures is not None:
        return Origin(Input("target"))
    own = packets.of_file(source.path)
    kind = xmp.source_type(own.xmp) if own.xmp else ""
    return Origin(Input("target", b"", kind, own.c2pa, source.path), own.xmp)


def of_clip(
    statement: Statement | None,
    origin: Origin,
    changed: Iterable[Changed],
    output: Path,
    sign: bool | Signer | None,
) -> Marks | None:
    """Return the marks of a file; None if nobody was swapped.

    statement: what was done with which sources. changed: faces of its parts. sign: see `Video.save`.
    """
    if statement is None:
        if sign:
            logger.warning("sign: nobody was swapped: %s is saved without a mark and a signature", output)
        return None
    faces: Changed = {}
    for part in changed:
        for number, face in part.items():
            _add(faces, number, face)
    inputs = (origin.target, *(one for one in statement.inputs if one.role != "target"))
    told = dataclasses.replace(statement, faces=tuple(faces[i] for i in sorted(faces)), inputs=inputs)
    packet = xmp.packet(told, origin.xmp) if making.marking() else None
    return Marks(told, packet, making.signature(told, named(output), sign, lambda: None))


def named(output: Path) -> Path:
    """Return the path by whose ending a file is signed; of a folder that of a frame."""
    return output if output.suffix else output / f"0{FRAMES}"


def note(changed: Changed, result: Result) -> None:
    """Add the faces that a swap of a frame changed to those of its part."""
    statement = result.statement
    if statement is None:
        return
    for face, about in zip(result.faces, statement.faces, strict=True):
        if about.regions:
            _add(changed, -1 if face.number is None else face.number, about)


def _add(changed: Changed, number: int, face: ChangedFace) -> None:
    """Add a face; of one track the boxes are joined."""
    if number not in changed:
        changed[number] = face
        return
    old = changed[number]
    (x, y, width, height), (u, v, across, down) = old.box, face.box
    left, top = min(x, u), min(y, v)
    right, low = max(x + width, u + across), max(y + height, v + down)
    changed[number] = ChangedFace(
        face.regions,
        (left, top, right - left, low - top),
        old.reenacted or face.reenacted,
        old.restored or face.restored,
    )
