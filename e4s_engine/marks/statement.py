"""Facts about a picture that its marks state. Names and paths are not among them."""

from __future__ import annotations

import dataclasses
import datetime
import io
import math
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from e4s_engine import __version__

TOOL = "e4s_engine"
_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
COMPOSITE = _VOCABULARY + "compositeWithTrainedAlgorithmicMedia"
GENERATED = _VOCABULARY + "trainedAlgorithmicMedia"
_SYNTHETIC = ("compositeWithTrainedAlgorithmicMedia", "trainedAlgorithmicMedia", "compositeSynthetic")
WHOLE_FACE = "whole face"

Box = tuple[int, int, int, int]


@dataclasses.dataclass(frozen=True)
class Input:
    """A picture that went in. role: "target" or "source". file: its bytes; b"" for arrays.

    source_type: IPTC digital source type that its XMP declares, or "". signed: whether it has a C2PA
    manifest. path: of a clip, which is read when it is needed; it is never stated.
    """

    role: str
    file: bytes = dataclasses.field(default=b"", repr=False)
    source_type: str = ""
    signed: bool = False
    path: Path | None = dataclasses.field(default=None, repr=False)

    def opened(self) -> BinaryIO:
        """Return its bytes as an open file."""
        return io.BytesIO(self.file) if self.path is None else self.path.open("rb")


@dataclasses.dataclass(frozen=True)
class ChangedFace:
    """One face that changed. regions: names. box: x, y, width, height in pixels around its crop."""

    regions: tuple[str, ...]
    box: Box
    reenacted: bool = False
    restored: bool = False


@dataclasses.dataclass(frozen=True)
class Statement:
    """What was done to a picture.

    operation: "swap", "edit", "reconstruct", "reenact", "restore" or "sheet". extent: share of the source's
    texture, 0 to 1. shape, texture: whether they were taken. faces: what changed where.
    inputs: the pictures that went in. pixel_mark: whether the pixels carry a mark too.
    day: when it was done, as `today` says it; "": on the day on which it is written.
    """

    operation: str
    extent: float | None = None
    shape: bool | None = None
    texture: bool | None = None
    faces: tuple[ChangedFace, ...] = ()
    inputs: tuple[Input, ...] = ()
    pixel_mark: bool = False
    day: str = ""
    tool: str = TOOL
    version: str = __version__

    @property
    def source_type(self) -> str:
        """IPTC digital source type: that of a composite, unless the whole picture is a model's."""
        return GENERATED if self.operation in ("reconstruct", "reenact") else COMPOSITE

    def facts(self) -> dict[str, Any]:
        """Return the plain facts by name, without inputs and faces; what does not apply is left out."""
        facts: dict[str, Any] = {
            "Tool": self.tool,
            "Version": self.version,
            "Date": self.day or today(),
            "Operation": self.operation,
            "Extent": self.extent,
            "Shape": self.shape,
            "Texture": self.texture,
            "PixelMark": self.pixel_mark,
        }
        return {name: value for name, value in facts.items() if value is not None}


def today() -> str:
    """Return the day alone: two runs write the same bytes, and nobody learns when somebody worked."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")


def is_synthetic(source_type: str) -> bool:
    """Return whether a digital source type says that a model made a picture, or a part of it.

    Programs write it as IPTC's address, with http or https, or as its last part alone.
    """
    return source_type.rstrip("/").rpartition("/")[2] in _SYNTHETIC


def box_of(quad: Any, width: int, height: int) -> Box:
    """Return the box in a picture around a crop's corners [4, 2]; None: the whole picture."""
    if quad is None:
        return 0, 0, width, height
    columns, rows = zip(*np.asarray(quad, np.float64).tolist(), strict=True)
    x, y = min(max(math.floor(min(columns)), 0), width), min(max(math.floor(min(rows)), 0), height)
    right, low = min(max(math.ceil(max(columns)), 0), width), min(max(math.ceil(max(rows)), 0), height)
    return x, y, right - x, low - y
