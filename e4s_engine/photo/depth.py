"""Pictures with 16 bits per channel in colour, which Pillow reads as 8 bits and does not write."""

from __future__ import annotations

import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, TiffImagePlugin

from e4s_engine.photo.packets import TIFF_TAG, png_chunk

Deep = npt.NDArray[np.uint16]
Bytes = npt.NDArray[np.uint8]

_OTHER = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
_PNG_ROWS = 64  # rows filtered together
_EXIF_FOLDERS = (0x8769, 0x8825, 0xA005)


def is_deep(picture: Image.Image) -> bool:
    """Return whether an opened picture has 16 bits per channel in colour, in a form that can be read."""
    tiles: Any = getattr(picture, "tile", [])
    depths = [_raw_mode(tile[3]).partition(";") for tile in tiles]
    return (
        picture.mode in ("RGB", "RGBA")
        and bool(depths)
        and all(mode == picture.mode and depth in _OTHER for mode, _, depth in depths)
    )


def decode_low_half(picture: Image.Image) -> None:
    """Make an opened picture that `is_deep` decode to the lower bytes of its numbers.

    Pillow unpacks "RGB;16B" to the first byte of every number and "RGB;16L" to the second.
    """
    opened: Any = picture
    tiles = []
    for codec, extents, offset, arguments in opened.tile:
        mode, _, depth = _raw_mode(arguments).partition(";")
        raw = f"{mode};{_OTHER[depth]}"
        changed = (raw, *arguments[1:]) if isinstance(arguments, tuple) else raw
        tiles.append((codec, extents, offset, changed))
    kind = type(opened.tile[0])
    opened.tile = [kind(*tile) if hasattr(kind, "_fields") else tile for tile in tiles]


def _raw_mode(arguments: Any) -> str:
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def joined(high: Image.Image, low: Image.Image) -> Deep:
    """Return uint16 [H, W, C] of a picture's upper bytes, upright, and its lower ones, not yet turned."""
    upright = ImageOps.exif_transpose(low)
    return np.asarray(high).astype(np.uint16) << 8 | np.asarray(upright)


def write_png(
    samples: Deep,
    path: Path,
    icc: bytes | None,
    exif: bytes | None,
    dpi: tuple[float, float] | None,
    xmp: bytes | None = None,
) -> None:
    """Write uint16 [H, W, 3 or 4] as PNG."""
    height, width, channels = samples.shape
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0))]
    if xmp is not None:
        chunks.append((b"iTXt", png_chunk(xmp)))
    if icc is not None:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(icc)))
    if dpi is not None:
        chunks.append((b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in dpi), 1)))
    if exif is not None:
        chunks.append((b"eXIf", exif.removeprefix(b"Exif\0\0")))
    compressor, parts = zlib.compressobj(6), []
    before = np.zeros((1, width * channels * 2), np.uint8)
    for start in range(0, height, _PNG_ROWS):
        band = samples[start : start + _PNG_ROWS].astype(">u2")
        rows = np.frombuffer(band.tobytes(), np.uint8).reshape(len(band), -1)
        parts.append(compressor.compress(_filtered(rows, before, channels * 2).tobytes()))
        before = rows[-1:]
    chunks += [(b"IDAT", b"".join([*parts, compressor.flush()])), (b"IEND", b"")]
    with path.open("wb") as opened:
        opened.write(b"\x89PNG\r\n\x1a\n")
        for kind, content in chunks:
            opened.write(struct.pack(">I", len(content)) + kind + content)
            opened.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(kind))))


def _filtered(rows: Bytes, before: Bytes, step: int) -> Bytes:
    """Return rows after PNG's filter Sub (1) or Up (2), whichever leaves smaller numbers."""
    left = np.zeros_like(rows)
    left[:, step:] = rows[:, :-step]
    forms = [rows - left, rows - np.concatenate([before, rows[:-1]])]
    sizes = [np.abs(form.view(np.int8).astype(np.int16)).sum(1) for form in forms]
    up = sizes[1] < sizes[0]
    out = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    out[:, 0] = 1 + up
    out[:, 1:] = np.where(up[:, None], forms[1], forms[0])
    return out


def write_tiff(
    samples: Deep,
    path: Path,
    icc: bytes | None,
    exif: bytes | None,
    dpi: tuple[float, float] | None,
    xmp: bytes | None = None,
) -> None:
    """Write uint16 [H, W, 3 or 4] as TIFF, deflated after horizontal differencing."""
    height, width, channels = samples.shape
    differences = samples.astype("<u2")
    differences[:, 1:] -= samples[:, :-1]
    data = zlib.compress(differences.tobytes())
    directory = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II")
    if exif is not None:
        known = Image.Exif()
        known.load(exif)
        for tag in known:
            directory[tag] = known.get_ifd(tag) if tag in _EXIF_FOLDERS else known.get(tag)
    x, y = dpi or (72.0, 72.0)
    tags = {
        256: width, 257: height, 258: (16,) * channels, 259: 8, 262: 2, 277: channels, 278: height,
        273: 0, 279: len(data), 282: x, 283: y, 296: 2, 317: 2,
    }  # fmt: skip
    for tag, value in (tags | ({338: 2} if channels == 4 else {})).items():
        directory[tag] = value
    if icc is not None:
        directory.tagtype[34675] = 7
        directory[34675] = icc
    if xmp is not None:
        directory.tagtype[TIFF_TAG] = 1
        directory[TIFF_TAG] = xmp
    with path.open("wb") as opened:
        directory.save(opened)  # makes the strip's offset count from the directory's end
        opened.write(data)
