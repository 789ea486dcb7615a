"""Pictures that lie on a GPU already: found by DLPack or `__cuda_array_interface__`, used where they are."""

from __future__ import annotations

import dataclasses
from typing import Any

from e4s_engine import _native
from e4s_engine.photo.align import CROP

_CUDA = 2  # DLPack's number of the device type
_LEGACY = 1  # the default stream: work that others order before it is done before what waits for it


@dataclasses.dataclass(frozen=True)
class Resident:
    """A dense uint8 picture [1024, 1024, 3] on a GPU.

    stream: whose work so far makes it. owner: what keeps the memory alive.
    """

    pointer: int
    stream: int
    owner: Any

    @property
    def place(self) -> tuple[int, int]:
        """As the runtime takes it: (pointer, bytes)."""
        return self.pointer, CROP * CROP * 3


def find(image: Any, number: int) -> Resident | None:
    """The picture, if it is one on GPU `number`, dense and of the crop's size; None for anything else.

    Others are read through the CPU like any array.
    """
    if hasattr(image, "__dlpack_device__") and hasattr(image, "__dlpack__"):
        kind, device = image.__dlpack_device__()
        return _from_dlpack(image, number) if (int(kind), int(device)) == (_CUDA, number) else None
    if hasattr(image, "__cuda_array_interface__"):
        return _from_interface(image, number)
    return None


def _from_dlpack(image: Any, number: int) -> Resident | None:
    capsule = image.__dlpack__(stream=_LEGACY)
    seen = _native.dlpack_seen(capsule)
    if seen is None:
        return None
    pointer, shape, device, dense = seen
    if device != number or tuple(shape) != (CROP, CROP, 3) or not dense:
        return None
    return Resident(pointer, _LEGACY, capsule)


def _from_interface(image: Any, number: int) -> Resident | None:
    told = image.__cuda_array_interface__
    if tuple(told["shape"]) != (CROP, CROP, 3) or told["typestr"] != "|u1":
        return None
    if told.get("strides") not in (None, (CROP * 3, 3, 1)) or told.get("mask") is not None:
        return None
    pointer, stream = int(told["data"][0]), told.get("stream")
    if _native.cuda_device_of(pointer) != number:  # the interface does not say
        return None
    # No stream: made on the default one, as far as anyone knows.
    return Resident(pointer, _LEGACY if stream is None else int(stream), image)
