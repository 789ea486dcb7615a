"""Results of the engine."""

from __future__ import annotations

import dataclasses
import io
import os
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine.photo import images


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """An encoded face, reusable: encode a source once, swap it into many targets.

    Faces compare by identity.

    labels: shape, uint8 [512, 512]. styles: texture, one vector per region, float32 [12, D].
    """

    labels: npt.NDArray[np.uint8]
    styles: npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """A finished picture and its intermediate results. Results compare by identity.

    image: target photo with its new face at full size, uint8 [H, W, 3].
    face: generated aligned face, uint8 [S, S, 3].
    labels: composed regions, uint8 [512, 512]. holes: pixels without a known region, bool [512, 512].
    """

    image: npt.NDArray[np.uint8]
    face: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    holes: npt.NDArray[np.bool_]

    @property
    def resident(self) -> Any:
        """`image` on its GPU (DLPack, `__cuda_array_interface__`); None for results in main memory."""
        return None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write `image` in the format of the name's ending; an existing file is never left damaged.

        Raises ArgumentError for an unknown ending, OutputError if the file cannot be written.
        """
        images.write(self.image, path)

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(self.image).save(buffer, "PNG")
        return buffer.getvalue()


class ResidentResult(Result):
    """A result on a GPU. `image` and `face` are copied to the CPU at their first access."""

    def __init__(
        self, image: Any, face: Any, labels: npt.NDArray[np.uint8], holes: npt.NDArray[np.bool_]
    ) -> None:
        self.__dict__.update(_image=image, _face=face, labels=labels, holes=holes)  # the class is frozen

    @cached_property
    def image(self) -> npt.NDArray[np.uint8]:
        """See `Result`."""
        return np.asarray(self.__dict__["_image"])

    @cached_property
    def face(self) -> npt.NDArray[np.uint8]:
        """See `Result`."""
        return np.asarray(self.__dict__["_face"])

    @property
    def resident(self) -> Any:
        """See `Result`."""
        return self.__dict__["_image"]
