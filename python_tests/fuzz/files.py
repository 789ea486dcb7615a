"""Damaged and hostile files: valid seeds of every format that is read, changed at random.

Each input follows from its number alone. A reader must return, or raise an E4SError.
"""

from __future__ import annotations

import contextlib
import io
import json
import struct
import tempfile
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, features
from tiny_tools import TINY_PARSER

from e4s_engine import weights
from e4s_engine.errors import E4SError
from e4s_engine.photo import images, labelfile

Data = bytes
_NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
SLACK = (
    96 << 20
)  # bytes that a read may take besides its picture: libraries loaded at the first use, and files


def _encoded(kind: str, picture: Image.Image, **options: object) -> Data:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


@lru_cache
def seeds() -> list[tuple[str, Data]]:
    """Return (name, bytes) of valid files; the name ends in the suffix."""
    rng = np.random.default_rng(0)
    rgb = Image.fromarray(rng.integers(0, 256, (40, 52, 3), dtype=np.uint8))
    rgba, grey = rgb.convert("RGBA"), rgb.convert("L")
    deep = Image.fromarray(rng.integers(0, 65536, (40, 52), dtype=np.uint16))
    exif, icc = Image.Exif(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif[0x0112], exif[0x010F] = 6, "maker"
    about = {"exif": exif.tobytes(), "icc_profile": icc, "dpi": (72, 72)}
    found = [
        ("a.jpg", _encoded("JPEG", rgb, **about)),
        ("progressive.jpg", _encoded("JPEG", rgb, progressive=True, subsampling=2)),
        ("grey.jpg", _encoded("JPEG", grey)),
        ("cmyk.jpg", _encoded("JPEG", rgb.convert("CMYK"))),
        ("two.jpg", _encoded("MPO", rgb, save_all=True, append_images=[rgb])),
        ("a.png", _encoded("PNG", rgb, **about)),
        ("alpha.png", _encoded("PNG", rgba)),
        ("palette.png", _encoded("PNG", rgb.quantize(16), transparency=3)),
        ("sixteen.png", _encoded("PNG", deep)),
        ("deep.png", deep_png(rng)),
        ("moving.png", _encoded("PNG", rgb, save_all=True, append_images=[rgb.rotate(90)])),
        ("a.webp", _encoded("WEBP", rgb, **about)),
        ("lossless.webp", _encoded("WEBP", rgba, lossless=True)),
        ("moving.webp", _encoded("WEBP", rgb, save_all=True, append_images=[rgb.rotate(180)])),
        ("a.tif", _encoded("TIFF", rgb, icc_profile=icc)),
        ("lzw.tif", _encoded("TIFF", rgba, compression="tiff_lzw")),
        ("deflate.tif", _encoded("TIFF", deep, compression="tiff_adobe_deflate")),
        ("jpeg.tif", _encoded("TIFF", rgb, compression="jpeg")),
        ("packed.tif", _encoded("TIFF", grey.convert("1"), compression="packbits")),
        ("a.bmp", _encoded("BMP", rgb)),
        ("palette.bmp", _encoded("BMP", rgb.quantize(16))),
        ("a.gif", _encoded("GIF", rgb.quantize(16))),
        ("moving.gif", _encoded("GIF", grey, save_all=True, append_images=[grey.rotate(180)])),
        ("a.ppm", _encoded("PPM", rgb)),
        ("a.pgm", _encoded("PPM", grey)),
    ]
    if features.check("avif"):
        found.append(("a.avif", _encoded("AVIF", rgb, exif=exif.tobytes())))
    return found + _others()


def deep_png(rng: np.random.Generator) -> Data:
    """Make a PNG with 16 bits in three channels, which Pillow does not write."""
    rows = b"".join(b"\0" + rng.integers(0, 256, 52 * 6, dtype=np.uint8).tobytes() for _ in range(40))
    head = struct.pack(">IIBBBBB", 52, 40, 16, 2, 0, 0, 0)
    chunks = (b"IHDR" + head, b"IDAT" + zlib.compress(rows), b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_png_chunk, chunks))


def _png_chunk(content: Data) -> Data:
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


def _others() -> list[tuple[str, Data]]:
    points = np.random.default_rng(1).uniform(0, 40, (68, 2))
    labels = np.random.default_rng(2).integers(0, 12, (64, 64), dtype=np.uint8)
    array, text = io.BytesIO(), io.StringIO()
    np.save(array, labels)
    np.savetxt(text, points)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "parser.safetensors"
        weights.save(weights.random_model(TINY_PARSER, 1), path)
        model = path.read_bytes()
    return [
        ("labels.npy", array.getvalue()),
        ("labels.labels.png", _encoded("PNG", Image.fromarray(labels))),
        ("points.json", json.dumps(points.tolist()).encode()),
        ("points.txt", text.getvalue().encode()),
        ("parser.safetensors", model),
    ]


def mutated(rng: np.random.Generator) -> tuple[str, Data]:
    """Return a seed with one to four changes."""
    name, data = seeds()[rng.integers(len(seeds()))]
    changed = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        _MUTATIONS[rng.integers(len(_MUTATIONS))](rng, changed)
    if name.endswith(".png") and rng.integers(2):
        changed = bytearray(_with_checksums(bytes(changed)))
    return name, bytes(changed)


def _truncate(rng: np.random.Generator, data: bytearray) -> None:
    del data[int(rng.integers(len(data) + 1)) :]


def _flip(rng: np.random.Generator, data: bytearray) -> None:
    for _ in range(rng.integers(1, 9) if data else 0):
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)


def _edit_head(rng: np.random.Generator, data: bytearray) -> None:
    """Write a number that is an edge of something into the first bytes, where headers lie."""
    _number(rng, data, min(len(data), 512))


def _edit(rng: np.random.Generator, data: bytearray) -> None:
    _number(rng, data, len(data))


def _number(rng: np.random.Generator, data: bytearray, end: int) -> None:
    width = int(rng.choice([1, 2, 4]))
    value = _NUMBERS[rng.integers(len(_NUMBERS))] & ((1 << 8 * width) - 1)
    at = int(rng.integers(max(end - width, 0) + 1))
    data[at : at + width] = value.to_bytes(width, "little" if rng.integers(2) else "big")


def _move(rng: np.random.Generator, data: bytearray) -> None:
    """Copy, remove or repeat a stretch: whole chunks and boxes among them."""
    start, end, to = *sorted(rng.integers(0, len(data) + 1, 2)), int(rng.integers(len(data) + 1))
    part = bytes(data[start:end])
    kind = rng.integers(3)
    if kind == 0:
        del data[start:end]
    elif kind == 1:
        data[to:to] = part
    else:
        data[to : to + len(part)] = part


def _splice(rng: np.random.Generator, data: bytearray) -> None:
    other = seeds()[rng.integers(len(seeds()))][1]
    at = int(rng.integers(len(data) + 1))
    data[at:] = other[int(rng.integers(len(other))) :]


def _nest(rng: np.random.Generator, data: bytearray) -> None:
    """Put the file into a container that Pillow would open with any decoder."""
    inner = bytes(data)
    if rng.integers(2):
        field = b"\x1c\x08\x0a" + struct.pack(">H", min(len(inner), 0x7FFF)) + inner
        size = b"\x1c\x03\x14\0\2\0\x28\x1c\x03\x1e\0\2\0\x28\x1c\x03\x3c\0\2\1\0\x1c\x03\x78\0\1\1"
        data[:] = size + field
    else:
        box = b"ic07" + struct.pack(">I", len(inner) + 8) + inner
        data[:] = b"icns" + struct.pack(">I", len(box) + 8) + box


_MUTATIONS: list[Callable[[np.random.Generator, bytearray], None]] = [
    _truncate, _flip, _flip, _flip, _edit_head, _edit_head, _edit, _move, _splice, _nest,
]  # fmt: skip


def _with_checksums(data: Data) -> Data:
    """Return a PNG with the checksums of its chunks set right, so that damage reaches the decoders."""
    out, at = bytearray(data), 8
    while at + 12 <= len(out):
        end = at + 8 + struct.unpack_from(">I", out, at)[0]
        if end + 4 > len(out):
            break
        struct.pack_into(">I", out, end, zlib.crc32(bytes(out[at + 4 : end])))
        at = end + 4
    return bytes(out)


def attempt(number: int, folder: Path) -> int:
    """Read input `number`; return the bytes of memory that it may take. Raises what escapes."""
    rng = np.random.default_rng(number)
    name, data = mutated(rng)
    with contextlib.suppress(E4SError):
        read(name, data, folder)
    return 4 * claimed(data) + 8 * len(data) + SLACK


def read(name: str, data: Data, folder: Path) -> None:
    """Read a file as what its name says."""
    path = folder / name
    if name.startswith(("labels", "points", "parser")):
        path.write_bytes(data)
    if name.startswith("labels"):
        labelfile.read(str(path))
    elif name.startswith("points"):
        labelfile.read_landmarks(str(path))
    elif name.startswith("parser"):
        weights.open_model(path, "parser").check()
    else:
        _read_and_write(data, folder)


def _read_and_write(data: Data, folder: Path) -> None:
    """Read a picture, and write it, a part changed, as what its file was."""
    photo = images.read_photo(data)
    pixels = photo.pixels.copy()
    if pixels.size > 1 << 22:
        return
    pixels[8:16, 8:24] ^= 255
    suffix = ("png", "tif", "webp", "jpg", "bmp")[len(data) % 5]
    images.write(pixels, folder / f"out.{suffix}", "path", photo.original)
    images.read(folder / f"out.{suffix}")


def claimed(data: Data) -> int:
    """Return the bytes of the picture that a file claims to hold, as Pillow would decode it."""
    with contextlib.suppress(Exception), Image.open(io.BytesIO(data), formats=_READ) as picture:
        pixels = picture.width * picture.height
        return min(pixels, images.opening.MAX_PIXELS) * 4
    return 0


_READ = ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", *(["AVIF"] if features.check("avif") else [])]
