"""Picture files opened with a short list of decoders, their headers checked before memory is taken.

Pillow has some fifty decoders. Several run other programs (EPS: Ghostscript), open further files inside
theirs with any decoder (IPTC, ICNS, MIC), or take seconds for kilobytes (FITS, QOI, ASCII PPM).
"""

from __future__ import annotations

import importlib
import io
import re
import struct
from contextlib import suppress
from functools import lru_cache
from typing import Any

from PIL import Image, UnidentifiedImageError

from e4s_engine.errors import ImageError
from e4s_engine.photo.files import impostor
from e4s_engine.photo.packets import HEIC_BRANDS, PNG_START

MAX_PIXELS = 89_478_485  # Pillow's limit for decompression bomb warnings; 268 MB as RGB
MAX_FILE_BYTES = 1 << 30  # the largest picture accepted, with 16 bits and alpha, uncompressed, has 716 MB
MAX_SCANS = 200  # a progressive JPEG has some ten; each takes time, however few bytes it has
_MAX_WEBP_PIXELS = MAX_PIXELS // 2  # Pillow takes 25 bytes a pixel, as for an animation
_MAX_WEBP_SIDE = 16_383  # the format's
_MAX_RUNS_BYTES = 4 << 20  # Pillow decodes BMP's run lengths in Python, a microsecond a run
EXPECTED = "PNG, JPEG, WebP, TIFF, BMP, GIF, binary PPM, AVIF or HEIC"

# Decoders, with the endings of their files' names. JPEG includes MPO, which phones write as .jpg. AVIF
# depends on Pillow's build, HEIF on pillow-heif.
DECODERS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif", ".hif"),
}
SUFFIXES = frozenset(suffix for suffixes in DECODERS.values() for suffix in suffixes)
_FORMATS = {*DECODERS, "MPO"}  # what opened pictures of these decoders call themselves
_PLUGINS = ("WebPImagePlugin", "TiffImagePlugin", "MpoImagePlugin", "AvifImagePlugin")
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"caBX")
_PNG_EXIF = b"Raw profile type exif\0"  # the text in which older programs keep EXIF
_GAP = rb"(?:\s|#[^\n]*\n)+"
_PNM = re.compile(rb"P[56]" + _GAP + rb"\d{1,9}" + _GAP + rb"\d{1,9}" + _GAP + rb"(\d{1,9})\s")


def open_picture(data: bytes, argument: str, name: str) -> Image.Image:
    """Open a picture file's bytes; pixels are not decoded yet. Raises ImageError.

    The caller holds the lock on Pillow. name: the file's name for messages.
    """
    if wrong := impostor(data[:1024]):
        raise ImageError(f"{argument}: {name} is {wrong}")
    unusable = _unusable(data)
    if unusable:
        raise ImageError(f"{argument}: {name} {unusable}")
    try:
        picture = Image.open(io.BytesIO(_without_texts(data)), formats=_decoders(_is_heic(data)))
    except Image.DecompressionBombError as error:
        raise ImageError(f"{argument}: {name} is too large: {error}; reduce the image first") from error
    except UnidentifiedImageError as error:
        hint = "; HEIC needs `pip install pillow-heif`" if _is_heic(data) else ""
        if data[8:9] == b"{":  # safetensors
            hint = "; a saved Face holds no photo, pass the photo itself"
        raise ImageError(
            f"{argument}: {name} is not an image that can be read; expected {EXPECTED}{hint}"
        ) from error
    except Exception as error:  # Pillow's readers raise many kinds on damaged or hostile files
        raise ImageError(f"{argument}: {name} is not an image that can be read ({error})") from error
    check_header(picture, argument, name)
    return picture


def _is_heic(data: bytes) -> bool:
    return data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS


def _without_texts(data: bytes) -> bytes:
    """Return a PNG without its texts and manifest, any other file as it is.

    Pillow refuses a picture because of a long or a damaged one; marks are read from the whole (`packets`).
    """
    if not data.startswith(PNG_START):
        return data
    kept, start, at = [], 0, len(PNG_START)
    while at + 12 <= len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        is_text = data[at + 4 : at + 8] in _PNG_TEXTS
        if is_text and not data.startswith(_PNG_EXIF, at + 8):
            kept.append(data[start:at])
            start = end
        at = end
    return b"".join([*kept, data[start:]]) if kept else data


def check_header(picture: Image.Image, argument: str, name: str) -> None:
    """Raise ImageError for a picture that this package does not decode: its format, its size, its tiles."""
    if picture.format not in _FORMATS and getattr(picture, "tile", None):
        raise ImageError(
            f"{argument}: {name} is {picture.format}, which is not read; expected {EXPECTED}, or an image "
            "that Pillow has loaded already"
        )
    check_size(*picture.size, argument)
    if picture.format == "TIFF" and _tile_pixels(picture) > max(1 << 22, 4 * picture.width * picture.height):
        raise ImageError(f"{argument}: {name} has tiles far larger than its picture; save it again")


def _tile_pixels(picture: Image.Image) -> int:
    tags: Any = getattr(picture, "tag_v2", {})
    try:
        return int(tags.get(322, 0)) * int(tags.get(323, 0))  # TileWidth, TileLength
    except (TypeError, ValueError):  # damaged tags: Pillow's decoder refuses them
        return 0


def check_size(width: int, height: int, argument: str) -> None:
    """Raise ImageError for a picture without pixels, or with too many."""
    if width * height == 0:
        raise ImageError(f"{argument}: the image has no pixels ({width} x {height})")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{argument}: {width} x {height} pixels, at most {MAX_PIXELS / 1e6:.0f} million are accepted; "
            "reduce the image first"
        )


@lru_cache(maxsize=2)
def _decoders(heic: bool) -> list[str]:
    """Return the decoders that this Pillow has. heic: whether pillow-heif is wanted, if it is installed."""
    Image.preinit()
    for plugin in _PLUGINS:
        with suppress(ImportError):
            importlib.import_module(f"PIL.{plugin}")
    if heic and "HEIF" not in Image.OPEN:
        with suppress(ImportError):
            importlib.import_module("pillow_heif").register_heif_opener()
    return [name for name in DECODERS if name in Image.OPEN]


def _unusable(data: bytes) -> str:
    """Return what makes a file cost more than its size tells, or "".

    Pillow takes a WebP's memory at opening; that of other formats is checked after it.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        width, height = _webp_size(data)
        if width * height > _MAX_WEBP_PIXELS or max(width, height) > _MAX_WEBP_SIDE:
            return f"is too large: {width} x {height} pixels; reduce the image first"
    if data[:2] == b"\xff\xd8" and data.count(b"\xff\xda") > MAX_SCANS:
        return f"has more than {MAX_SCANS} scans, which no camera or program writes; save it again"
    if data[:2] == b"BM" and data[30:31] in (b"\1", b"\2") and len(data) > _MAX_RUNS_BYTES:
        return "is a very large BMP of run lengths, which takes long to decode; save it as PNG"
    if data[:1] == b"P" and data[1:2] in b"123456FfyPU0" and data[:2] != b"P4":
        found = _PNM.match(data[:1000])
        most = int(found.group(1)) if found else 0
        if most not in ((255, 65535) if data[:2] == b"P5" else (255,)):
            return "is no binary PPM of 8 bits (P4, P5, P6); save it as PNG"
    return ""


def _webp_size(data: bytes) -> tuple[int, int]:
    """Return the size of a WebP's canvas by its header, (0, 0) if that is damaged."""
    kind, head = data[12:16], data[20:30].ljust(10, b"\0")
    if kind == b"VP8X":
        wide, high = (int.from_bytes(head[i : i + 3], "little") for i in (4, 7))
        return wide + 1, high + 1
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", head, 1)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    wide, high = struct.unpack_from("<HH", head, 6)
    return wide & 0x3FFF, high & 0x3FFF
