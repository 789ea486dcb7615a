"""Types of callers' arguments, for type checkers: pictures, label maps, landmarks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline.located import Portrait
from e4s_engine.result import Face


class Readable(Protocol):
    """An open binary file: a file, BytesIO, a pipe."""

    def read(self, size: int, /) -> bytes:
        """Return some of the next bytes, none at the end."""


class SupportsDLPack(Protocol):
    """An array of any library and on any device (torch, CuPy, NumPy): see DLPack."""

    def __dlpack__(self, *arguments: Any, **more: Any) -> Any:
        """Return a capsule of the array."""


Array = SupportsDLPack
Image = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | Readable | PillowImage.Image | Pixels | Array
    | Portrait
)  # fmt: skip
RegionNames = str | int | Iterable[str | int]
# {regions: image or Face}, or by number of the target's face {number: any source}. The keys of a Mapping are
# invariant in type, so that naming them would refuse {"hair": a, ("eyes", "lips"): b}.
Source = Image | Face | Mapping[Any, Any]
Target = Image | Face  # a Face that keeps its photo
LabelMap = npt.NDArray[np.integer[Any]] | Array | PillowImage.Image  # integers [h, w]
Landmarks = npt.NDArray[np.floating[Any] | np.integer[Any]] | Array | Sequence[Sequence[float]]
LabelMaps = LabelMap | Mapping[Any, LabelMap]  # for a dict of sources one with its keys
LandmarkSets = Landmarks | Mapping[Any, Landmarks]
