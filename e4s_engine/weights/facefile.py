"""Saved Faces: a safetensors file of some tens of kilobytes.

Tensors: `styles` F32 [12, D]; `labels` U8, the bytes of a grey PNG of 512 x 512 pixels whose values are the
regions; `sharpness` F32 [12] and `thumbnail` U8, the bytes of a JPEG, where they are known. Header: `format`,
`format_version`, `model` (fingerprint), `consent`, `licence`, and in newer files `marks`, how the photos were
marked, as JSON.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
from PIL import Image

from e4s_engine import regions
from e4s_engine.errors import ArgumentError, FaceFileError, LabelsError
from e4s_engine.photo.files import impostor, is_url, read_bounded, replacing, url_of

FORMAT, FORMAT_VERSION = "e4s_engine face", 1
SUFFIXES = (".safetensors", ".face")
MOST_BYTES = 1 << 20
MOST_TEXT = 2000  # characters of consent and of licence
_MOST_HEADER = 64 << 10
_MOST_STYLE_DIM = 4096
_MOST_THUMBNAIL = 64 << 10
_MOST_MARKS = 16  # kinds of photos; there are eight in use
_JPEG = b"\xff\xd8\xff"


Marks = tuple[tuple[str, bool], ...]


@dataclasses.dataclass(frozen=True)
class Saved:
    """Content of a file: the fields of a Face that last.

    marks: of each photo IPTC's digital source type, "" if it declared none, and whether it had a manifest.
    """

    labels: regions.Labels
    styles: npt.NDArray[np.float32]
    sharpness: npt.NDArray[np.float32] | None
    thumbnail: bytes | None
    model: str | None
    consent: str = ""
    licence: str = ""
    marks: Marks = ()


def is_saved(image: object) -> bool:
    """Return whether an image is the path of a saved Face, by its ending, or the bytes of one."""
    if isinstance(image, (str, os.PathLike)):
        return os.fsdecode(image).lower().endswith(SUFFIXES)
    if isinstance(image, (bytes, bytearray, memoryview)):
        start = bytes(memoryview(image)[:9])
        # The length of a header, then JSON: no picture begins like this.
        return start[8:] == b"{" and int.from_bytes(start[:8], "little") <= _MOST_HEADER
    return False


def write(saved: Saved, path: str | os.PathLike[str]) -> None:
    """Write a Face's file. Raises ArgumentError, LabelsError or OutputError."""
    if not isinstance(path, (str, os.PathLike)) or not is_saved(path):
        raise ArgumentError(f"path: {path!r:.80} must end in {' or '.join(SUFFIXES)}")
    data = pack(saved)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def pack(saved: Saved) -> bytes:
    """Return the bytes of a Face's file. Raises ArgumentError or LabelsError."""
    styles = _styles(saved.styles, ArgumentError)
    tensors: dict[str, npt.NDArray[Any]] = {"styles": styles, "labels": _packed(_png(saved.labels))}
    if saved.sharpness is not None:
        tensors["sharpness"] = _sharpness(saved.sharpness, ArgumentError)
    if saved.thumbnail is not None:
        tensors["thumbnail"] = _packed(_thumbnail(saved.thumbnail, ArgumentError))
    metadata = {"format": FORMAT, "format_version": str(FORMAT_VERSION), "model": saved.model or ""}
    for name in ("consent", "licence"):
        metadata[name] = _text(getattr(saved, name), name, ArgumentError)
    metadata["marks"] = _text(json.dumps(saved.marks[:_MOST_MARKS]), "marks", ArgumentError)
    return safetensors.numpy.save(tensors, metadata)


def read(file: str | os.PathLike[str] | bytes, argument: str) -> Saved:
    """Read a Face's file by its path or its bytes. Raises FaceFileError."""
    data, name = _data(file, argument)
    try:
        return _unpacked(data)
    except (ArgumentError, ValueError, OSError, safetensors.SafetensorError) as error:
        raise FaceFileError(
            f"{argument}: {name} is no saved Face that can be read ({error}); save it again with Face.save"
        ) from error


def _data(file: Any, argument: str) -> tuple[bytes, str]:
    """Return a file's bytes, and its name for messages."""
    if isinstance(file, (bytes, bytearray, memoryview)):
        if memoryview(file).nbytes > MOST_BYTES:
            raise FaceFileError(f"{argument}: more than {MOST_BYTES} bytes; no saved Face has as many")
        return bytes(file), f"{memoryview(file).nbytes} bytes"
    if not isinstance(file, (str, os.PathLike)):
        raise FaceFileError(f"{argument}: expected the path of a saved Face, got {type(file).__name__}")
    if is_url(file):
        raise FaceFileError(f"{argument}: {url_of(file)} is a URL, nothing is downloaded; fetch the file")
    try:
        data = read_bounded(file, MOST_BYTES)
    except (OSError, ValueError) as error:
        raise FaceFileError(f"{argument}: {file} cannot be read ({error})") from error
    if wrong := impostor(data[:1024]):
        raise FaceFileError(f"{argument}: {file} is {wrong}")
    return data, str(Path(os.fsdecode(file)))


def _unpacked(data: bytes) -> Saved:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > _MOST_HEADER:
        raise ValueError("it has no header of a Face")
    tensors = safetensors.numpy.load(data)  # it checks the header before anything is taken from it
    about = json.loads(data[8 : 8 + length]).get("__metadata__") or {}
    version = about.get("format_version", "")
    if about.get("format") != FORMAT:
        raise ValueError("its header is not that of a Face")
    if version != str(FORMAT_VERSION):
        raise ValueError(f"format version {version!r:.20}, this package reads {FORMAT_VERSION}")
    if missing := [name for name in ("styles", "labels") if name not in tensors]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    thumbnail, sharpness = tensors.get("thumbnail"), tensors.get("sharpness")
    return Saved(
        _labels(_bytes(tensors["labels"])),
        _styles(tensors["styles"], ValueError),
        None if sharpness is None else _sharpness(sharpness, ValueError),
        None if thumbnail is None else _thumbnail(_bytes(thumbnail), ValueError),
        _text(about.get("model", ""), "model", ValueError) or None,
        _text(about.get("consent", ""), "consent", ValueError),
        _text(about.get("licence", ""), "licence", ValueError),
        _marks(_text(about.get("marks", "[]"), "marks", ValueError)),
    )


def _styles(array: Any, error: type[ValueError]) -> npt.NDArray[np.float32]:
    shape: tuple[int, ...] = getattr(array, "shape", ())
    fits = len(shape) == 2 and shape[0] == regions.COUNT and 0 < shape[1] <= _MOST_STYLE_DIM
    if not fits or array.dtype != np.float32 or not np.isfinite(array).all():
        raise error(f"styles: expected finite float32 [{regions.COUNT}, D], got {_described(array)}")
    return np.ascontiguousarray(array)


def _sharpness(array: Any, error: type[ValueError]) -> npt.NDArray[np.float32]:
    fits = getattr(array, "shape", ()) == (regions.COUNT,) and array.dtype == np.float32
    if not fits or not np.isfinite(array).all() or array.min() < 0:
        raise error(f"sharpness: expected float32 [{regions.COUNT}] from 0, got {_described(array)}")
    return np.ascontiguousarray(array)


def _described(array: Any) -> str:
    return f"{getattr(array, 'dtype', type(array).__name__)} {list(getattr(array, 'shape', ()))}"


def _thumbnail(data: Any, error: type[ValueError]) -> bytes:
    if not isinstance(data, bytes) or not data.startswith(_JPEG) or len(data) > _MOST_THUMBNAIL:
        raise error(f"thumbnail: expected a JPEG of at most {_MOST_THUMBNAIL} bytes")
    return data


def _text(text: Any, name: str, error: type[ValueError]) -> str:
    if not isinstance(text, str) or len(text) > MOST_TEXT:
        raise error(f"{name}: expected a text of at most {MOST_TEXT} characters")
    return text


def _marks(text: str) -> Marks:
    held = json.loads(text)
    good = isinstance(held, list) and all(
        isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) and isinstance(one[1], bool)
        for one in held
    )
    if not good:
        raise ValueError("marks: expected pairs of a text and a truth value")
    return tuple((kind, signed) for kind, signed in held)


def _png(labels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(regions.check_labels(labels)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _labels(data: bytes) -> regions.Labels:
    """Return labels of a PNG. Its size is checked before Pillow opens it: few bytes may hold many pixels."""
    size = struct.unpack(">II", data[16:24].ljust(8, b"\0"))
    if size != (regions.LABEL_SIZE,) * 2:
        raise LabelsError(f"labels: no PNG of {regions.LABEL_SIZE} x {regions.LABEL_SIZE} pixels")
    with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
        if picture.mode != "L":
            raise LabelsError(f"labels: a PNG of mode {picture.mode}, expected L")
        try:
            return regions.check_labels(np.array(picture))
        except (SyntaxError, EOFError) as error:  # Pillow's for damaged data
            raise LabelsError(f"labels: {error}") from error


def _packed(data: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


def _bytes(array: npt.NDArray[Any]) -> bytes:
    if array.dtype != np.uint8 or array.ndim != 1:
        raise ValueError(f"expected bytes, got {_described(array)}")
    return array.tobytes()
