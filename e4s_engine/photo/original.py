"""Form of a picture file beside the pixels that the networks see, so that a result can be saved in it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, JpegImagePlugin

from e4s_engine.photo import colour, packets
from e4s_engine.photo.packets import Packets

logger = logging.getLogger("e4s_engine")

Pixels = npt.NDArray[np.uint8]
Samples = npt.NDArray[Any]  # uint8 or uint16

# Tags of EXIF's first directory that say how the old file is laid out, and the orientation: it is resolved.
_STRUCTURE = (
    254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 282, 283, 284, 296, 317, 320, 322, 323,
    324, 325, 330, 338, 339, 347, 513, 514, 529, 530, 531, 532, 700, 33723, 34377, 34675,
)  # fmt: skip
_EXIF, _WIDTH, _HEIGHT = 0x8769, 0xA002, 0xA003
_MOST_PROFILE_BYTES = 4 << 20
_CHUNK = 1 << 20
_NO_PACKETS = Packets()


class Jpeg(NamedTuple):
    """How a JPEG was compressed. subsampling: 0: 4:4:4, 1: 4:2:2, 2: 4:2:0."""

    tables: tuple[tuple[int, ...], ...]
    subsampling: int


@dataclasses.dataclass(frozen=True, eq=False)
class Original:
    """A picture file's own form, upright.

    pixels: what the networks saw, uint8 [H, W, 3] sRGB.
    samples: the file's own numbers, uint8 or uint16 [H, W, 3], in its colour space; None: they are `pixels`.
    alpha: uint8 or uint16 [H, W]. icc, exif: as the file had them, the orientation resolved.
    dpi: horizontal and vertical resolution. jpeg: tables and subsampling. lossless: of a WebP.
    packets: XMP and what else marks the file. file: its bytes; b"" for an image in memory.
    """

    pixels: Pixels
    samples: Samples | None = None
    alpha: Samples | None = None
    icc: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    jpeg: Jpeg | None = None
    lossless: bool = False
    packets: Packets = _NO_PACKETS
    file: bytes = dataclasses.field(default=b"", repr=False)


def is_turned(opened: Image.Image) -> bool:
    """Return whether EXIF turns an opened picture by 90 degrees. Pillow forgets it when it loads a TIFF."""
    with contextlib.suppress(Exception):  # damaged EXIF turns nothing
        return opened.getexif().get(0x0112) in (5, 6, 7, 8)
    return False


def describe(
    upright: Image.Image, opened: Image.Image, data: bytes, deep: Samples | None, turned: bool, name: str
) -> Original:
    """Describe a picture that is loaded.

    upright: the picture turned as EXIF says. opened: the same as it came. data: the file's bytes, b"" for an
    image in memory. deep: uint16 [H, W, 1, 3 or 4], where the file has 16 bits per channel. turned: see
    `is_turned`. name: for messages.
    """
    own, alpha = _split(upright, deep)
    icc = upright.info.get("icc_profile")
    icc = icc if isinstance(icc, bytes) and 0 < len(icc) <= _MOST_PROFILE_BYTES else None
    eight = rounded(own)
    pixels, samples = eight, own if own.dtype == np.uint16 else None
    if icc is not None:
        converted = colour.to_srgb(upright if upright.mode == "CMYK" else eight, icc, name)
        grey = upright.mode in ("1", "L", "LA", "La") or upright.mode.startswith("I")
        if converted is None or grey or upright.mode == "CMYK":
            icc = None  # damaged, or of a kind of pixels that the result no longer has
        if converted is not None and not grey and converted is not eight:
            pixels, samples = converted, own if icc is not None else None
    resolution = _resolution(opened, turned)
    lossless = opened.format == "WEBP" and b"VP8L" in data[:4096]
    exif, marks = _exif(opened, upright.size), packets.find(data) if data else packets.of_image(opened)
    return Original(
        pixels, samples, alpha, icc, exif, resolution, _jpeg(opened), lossless, packets=marks, file=data
    )


def rounded(samples: Samples) -> Pixels:
    """Return samples with 8 bits."""
    if samples.dtype == np.uint8:
        return samples
    if samples.strides[-1] == 0:  # grey, the same number for all channels
        return np.repeat(rounded(samples[:, :, :1].copy()), 3, axis=2)
    out, flat = np.empty(samples.size, np.uint8), np.ravel(samples)
    for start in range(0, len(flat), _CHUNK):  # the products need 32 bits
        part = flat[start : start + _CHUNK].astype(np.uint32)
        out[start : start + _CHUNK] = (part * 255 + 32895) >> 16  # (v + 128) // 257 for all 16-bit v
    return out.reshape(samples.shape)


def _split(upright: Image.Image, deep: Samples | None) -> tuple[Samples, Samples | None]:
    """Return colours [H, W, 3] and alpha [H, W], if there is one."""
    if deep is not None and deep.shape[2] == 1:
        return np.broadcast_to(deep, (*deep.shape[:2], 3)), None
    if deep is not None:
        return np.ascontiguousarray(deep[:, :, :3]), deep[:, :, 3].copy() if deep.shape[2] == 4 else None
    if upright.mode in ("La", "RGBa"):
        upright = upright.convert({"La": "LA", "RGBa": "RGBA"}[upright.mode])
    if upright.mode in ("LA", "PA", "RGBA") or "transparency" in upright.info:
        pixels = np.asarray(upright.convert("RGBA"))
        return np.array(pixels[:, :, :3], order="C"), pixels[:, :, 3].copy()
    return np.array(upright if upright.mode == "RGB" else upright.convert("RGB")), None


def _exif(opened: Image.Image, size: tuple[int, int]) -> bytes | None:
    """Return EXIF without the orientation. size: of the upright picture."""
    try:
        exif = Image.Exif()
        exif.load(opened.getexif().tobytes())  # a copy: the image may be a caller's
        for tag in _STRUCTURE:
            if tag in exif:
                del exif[tag]
        own = exif.get_ifd(_EXIF)
        for tag, side in zip((_WIDTH, _HEIGHT), size, strict=True):
            if tag in own:
                own[tag] = side
        return exif.tobytes() if len(exif) or own else None
    except Exception as error:  # damaged EXIF blocks raise many kinds; viewers ignore them too
        logger.info("EXIF is damaged and left out (%s)", error)
        return None


def _resolution(opened: Image.Image, turned: bool) -> tuple[float, float] | None:
    with contextlib.suppress(Exception):  # callers' images may have anything there
        x, y = (float(value) for value in opened.info["dpi"])
        if all(math.isfinite(value) and 1 <= value <= 30_000 for value in (x, y)):
            return (y, x) if turned else (x, y)
    return None


def _jpeg(opened: Image.Image) -> Jpeg | None:
    if opened.format not in ("JPEG", "MPO") or not isinstance(opened, JpegImagePlugin.JpegImageFile):
        return None
    with contextlib.suppress(Exception):
        tables = tuple(tuple(int(v) for v in opened.quantization[i]) for i in sorted(opened.quantization))
        if 1 <= len(tables) <= 4 and all(len(t) == 64 and 1 <= min(t) <= max(t) <= 255 for t in tables):
            subsampling = JpegImagePlugin.get_sampling(opened)
            return Jpeg(tables, subsampling if subsampling in (0, 1, 2) else 0)
    return None
