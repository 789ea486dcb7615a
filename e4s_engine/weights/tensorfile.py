"""Tensors of a safetensors file, each read at its access, so that memory never holds a model twice.

Plain reads, not a mapping: pages of a mapped file count as the process's memory for as long as it is mapped.
"""

from __future__ import annotations

import dataclasses
import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.errors import WeightsError

Array = npt.NDArray[np.float32]

DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2")}


_MOST_HEADER_BYTES = 8 << 20  # the published model's has 0.1 MB


@dataclasses.dataclass(frozen=True)
class _Span:
    """Location of a tensor. start: offset in bytes from the start of the file."""

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def check_header(file: Path) -> None:
    """Raise OSError for a header longer than any model's: parsed, it would take many times its size."""
    with file.open("rb", buffering=0) as opened:
        start = opened.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > _MOST_HEADER_BYTES:
        raise OSError(f"its header has {length} bytes, at most {_MOST_HEADER_BYTES} are read")


class TensorFile(Mapping[str, Array]):
    """Tensors by name as float32, each read and checked to be finite at every access.

    Reading raises WeightsError for NaN or infinity, and for a file that has changed since.
    """

    def __init__(self, file: Path, names: Iterable[str], argument: str) -> None:
        """names: names of tensors of type F32 or F16 in a file whose header is already validated."""
        self._file, self._argument = file, argument
        try:
            with file.open("rb", buffering=0) as opened:
                self._version = _version(opened)
                length = struct.unpack("<Q", opened.read(8))[0]
                header = json.loads(opened.read(length))
            self._spans = {name: _span(header[name], 8 + length) for name in names}
        except (OSError, ValueError, KeyError, struct.error) as error:
            raise damaged(file, argument, error) from error
        self._unread = set(self._spans)

    def __getitem__(self, name: str) -> Array:
        tensor = self._read(name)
        if not _finite(tensor):
            bad = [other for other in self if not _finite(self._read(other))]
            raise not_finite(bad, self._file, self._argument)
        self._unread.discard(name)
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._spans)

    def __len__(self) -> int:
        return len(self._spans)

    def check(self) -> None:
        """Read the tensors that have not been read yet, so that damage anywhere in the file is found."""
        for name in sorted(self._unread):
            self[name]

    def _read(self, name: str) -> Array:
        span = self._spans[name]
        tensor = np.empty(span.shape, span.dtype)
        try:
            with self._file.open("rb", buffering=0) as opened:
                if _version(opened) != self._version:
                    raise OSError("it was changed while it was read")
                opened.seek(span.start)
                _fill(opened, tensor.reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise damaged(self._file, self._argument, error) from error
        return tensor.astype(np.float32, copy=False)


def damaged(file: Path, argument: str, error: Exception) -> WeightsError:
    """Return the error for a file that cannot be read."""
    return WeightsError(
        f"{argument}: {file} is damaged or half-written ({error}); convert or download it again"
    )


def not_finite(names: Sequence[str], file: Path, argument: str) -> WeightsError:
    """Return the error for tensors that hold NaN or infinity."""
    return WeightsError(f"{argument}: {file} holds NaN or infinity in {some(names)}; the file is damaged")


def some(items: Sequence[str], most: int = 4) -> str:
    """List the first items, and the number of the others."""
    listed = ", ".join(items[:most])
    return listed if len(items) <= most else f"{listed} and {len(items) - most} more"


def _finite(tensor: Array) -> bool:
    return bool(np.isfinite(tensor).all())


def _version(opened: FileIO) -> tuple[int, int, int]:
    """Return values that differ between a file and another that has replaced it."""
    status = os.fstat(opened.fileno())
    return status.st_ino, status.st_size, status.st_mtime_ns


def _span(entry: Mapping[str, Any], base: int) -> _Span:
    return _Span(base + entry["data_offsets"][0], tuple(entry["shape"]), DTYPES[entry["dtype"]])


def _fill(opened: FileIO, buffer: memoryview) -> None:
    while buffer:
        count = opened.readinto(buffer)
        if not count:
            raise OSError("it ends too early")
        buffer = buffer[count:]
