"""Pictures already on a GPU, recognised by DLPack or `__cuda_array_interface__` and used in place."""

from __future__ import annotations

import dataclasses
from typing import Any

from e4s_engine import _native
from e4s_engine.photo.align import CROP

_CUDA = 2  # DLPack's number of the device type
_LEGACY = 1  # the default stream: waiting for it includes all work that others have ordered before it


@dataclasses.dataclass(frozen=True)
class Resident:
    """A dense uint8 picture [1024, 1024, 3] on a GPU.

    stream: stream whose work so far writes it. owner: object that keeps the memory alive.
    """

    pointer: int
    stream: int
    owner: Any

    @property
    def place(self) -> tuple[int, int]:
        """Return (pointer, bytes), the form that the runtime takes."""
        return self.pointer, CROP * CROP * 3


def find(image: Any, number: int) -> Resident | None:
    """Return an image as a Resident if it is on GPU `number`, dense and of the crop's size; else None.

    Other images are read through the CPU like any array.
    """
    if hasattr(image, "__dlpack_device__") and hasattr(image, "__dlpack__"):
        kind, device = image.__dlpack_device__()
        return _from_dlpack(image, number) if (int(kind), int(device)) == (_CUDA, number) else None
    if hasattr(image, "__cuda_array_interface__"):
        return _from_interface(image, number)
    return None


def _from_dlpack(image: Any, number: int) -> Resident | None:
    capsule = image.__dlpack__(stream=_LEGACY)
    array = _native.dlpack_seen(capsule)
    if array is None:
        return None
    pointer, shape, device, dense = array
    if device != number or tuple(shape) != (CROP, CROP, 3) or not dense:
        return None
    return Resident(pointer, _LEGACY, capsule)


def _from_interface(image: Any, number: int) -> Resident | None:
    array = image.__cuda_array_interface__
    if tuple(array["shape"]) != (CROP, CROP, 3) or array["typestr"] != "|u1":
        return None
    if array.get("strides") not in (None, (CROP * 3, 3, 1)) or array.get("mask") is not None:
        return None
    pointer, stream = int(array["data"][0]), array.get("stream")
    if _native.cuda_device_of(pointer) != number:  # the interface does not tell the device
        return None
    # Without a stream, assume that the default one wrote it.
    return Resident(pointer, _LEGACY if stream is None else int(stream), image)
