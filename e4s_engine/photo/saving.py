"""Pictures to files, in the form that their photo's file had."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from e4s_engine.errors import ArgumentError
from e4s_engine.photo import colour, depth, packets
from e4s_engine.photo.original import Original, Pixels, Samples, rounded

logger = logging.getLogger("e4s_engine")

_DEEP = (".png", ".tif", ".tiff")
_ALPHA = (*_DEEP, ".webp", ".avif")
_JPEG = (".jpg", ".jpeg")
LOSSY = (*_JPEG, ".webp", ".avif")  # formats with a quality
_PLAIN = (".bmp", ".gif")  # formats without profiles, whose colours are sRGB
_BARE = (".bmp",)  # formats without metadata
_MOST_JPEG_EXIF = 65_533
# Colours at full size.
_SAMPLING: dict[str, dict[str, Any]] = {
    ".jpg": {"subsampling": 0}, ".jpeg": {"subsampling": 0}, ".avif": {"subsampling": "4:4:4"}
}  # fmt: skip


def save(
    pixels: Pixels,
    path: Path,
    suffix: str,
    original: Original | None,
    quality: int | None = None,
    xmp: bytes | None = None,
) -> None:
    """Write pixels [H, W, 3] or [H, W], as sRGB, in a format by its suffix.

    original: the file that the photo was. Its profile, alpha, EXIF, resolution, and a JPEG's compression are
    used again; where pixels are the photo's, its own numbers are written, with 16 bits if it had them.
    xmp: packet of the file; None: the photo's own.
    """
    if xmp is None and original is not None:
        xmp = original.packets.xmp
    xmp = _fitting(xmp, suffix)
    if suffix == ".gif":
        logger.warning("GIF holds 256 colours: pixels that no swap changed are changed by it; write .png")
    _save(pixels, path, suffix, original, quality, xmp)
    if suffix == ".gif" and xmp is not None:  # Pillow writes none there
        packets.insert_into_gif(path, xmp)


def _save(
    pixels: Pixels,
    path: Path,
    suffix: str,
    original: Original | None,
    quality: int | None,
    xmp: bytes | None,
) -> None:
    """Write a file. xmp: packet for any format but GIF."""
    if original is None or pixels.shape != original.pixels.shape:
        original = None
        Image.fromarray(pixels).save(path, **_options(suffix, None, quality), **_packet(suffix, xmp))
        return
    plain = suffix in _PLAIN
    samples = pixels if plain or original.samples is None else merged(pixels, original)
    icc, exif, alpha = (None if plain else original.icc), original.exif, original.alpha
    if samples.dtype == np.uint16 and suffix not in _DEEP:
        samples = rounded(samples)
    if alpha is not None and suffix in _ALPHA:
        same = alpha if alpha.dtype == samples.dtype else rounded(alpha)
        samples = np.dstack([samples, same if samples.dtype == same.dtype else same.astype(np.uint16) * 257])
    elif alpha is not None and alpha.min() < np.iinfo(alpha.dtype).max:
        logger.warning("%s holds no transparency: the photo's is left out; write .png to keep it", suffix)
    if exif is not None and suffix in _JPEG and len(exif) > _MOST_JPEG_EXIF:
        logger.warning("EXIF of %d bytes does not fit into a JPEG and is left out", len(exif))
        exif = None
    if samples.dtype == np.uint16:
        deep = samples.astype(np.uint16, copy=False)
        if suffix == ".png":
            depth.write_png(deep, path, icc, exif, original.dpi, xmp)
        else:
            depth.write_tiff(deep, path, icc, exif, original.dpi, xmp)
        return
    about: dict[str, Any] = {"icc_profile": icc, "exif": exif, "dpi": original.dpi}
    options = {
        name: value for name, value in about.items() if value is not None and not (plain and name == "exif")
    }
    more = _options(suffix, original, quality) | _packet(suffix, xmp)
    Image.fromarray(samples).save(path, **options, **more)


def _packet(suffix: str, xmp: bytes | None) -> dict[str, Any]:
    """Return Pillow's options that write a packet."""
    if xmp is None or suffix == ".gif":
        return {}
    if suffix == ".png":
        chunks = PngImagePlugin.PngInfo()
        chunks.add(b"iTXt", packets.png_chunk(xmp))
        return {"pnginfo": chunks}
    if suffix in (".webp", ".avif"):
        return {"xmp": xmp}
    if suffix in _JPEG:
        return {"extra": packets.jpeg_segment(xmp)}  # Pillow below 11 has no option for XMP in JPEG
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.tagtype[packets.TIFF_TAG] = 1  # bytes
    tags[packets.TIFF_TAG] = xmp
    return {"tiffinfo": tags}


def _fitting(xmp: bytes | None, suffix: str) -> bytes | None:
    """Return a packet, or None where the format cannot hold it."""
    if xmp is not None and suffix in _BARE:
        logger.warning("%s holds no metadata: the file does not say that it was edited; write .png", suffix)
        return None
    if xmp is not None and suffix in _JPEG and len(xmp) > packets.MOST_JPEG_XMP:
        logger.warning("XMP of %d bytes does not fit into a JPEG and is left out", len(xmp))
        return None
    return xmp


def merged(pixels: Pixels, original: Original) -> Samples:
    """Return the photo's own samples, and in place of pixels that changed these in its colours and depth."""
    assert original.samples is not None
    out = original.samples.copy()
    changed = (pixels != original.pixels).any(axis=2)
    if not changed.any():
        return out
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    new: Samples = np.ascontiguousarray(pixels[box])
    if original.icc is not None and original.samples is not original.pixels:
        new = colour.from_srgb(new, original.icc)
    if out.dtype == np.uint16:
        new = new.astype(np.uint16) * np.uint16(257)
    out[box][changed[box]] = new[changed[box]]
    return out


def check_quality(quality: Any, suffix: str) -> None:
    """Raise ArgumentError for a quality that is none, or for a format that has none."""
    whole = isinstance(quality, (int, np.integer)) and not isinstance(quality, bool)
    if not whole or not 1 <= quality <= 100:
        raise ArgumentError(f"quality: expected an integer from 1 to 100, got {quality!r}")
    if suffix not in LOSSY:
        raise ArgumentError(
            f"quality: {suffix} is lossless and has none; write .jpg, .webp or .avif, or leave it out"
        )


def _options(suffix: str, original: Original | None, quality: int | None) -> dict[str, Any]:
    """Return Pillow's options: of lossy formats the caller's quality, the photo's tables, or quality 95."""
    if quality is not None and suffix in LOSSY:
        return {"quality": int(quality)} | _SAMPLING.get(suffix, {})
    if suffix in _JPEG:
        if original is not None and original.jpeg is not None:
            return {"qtables": list(original.jpeg.tables), "subsampling": original.jpeg.subsampling}
        return {"quality": 95} | _SAMPLING[suffix]
    if suffix == ".avif":
        return {"quality": 95} | _SAMPLING[suffix]
    if suffix == ".webp":
        return (
            {"lossless": True, "exact": True}
            if original is not None and original.lossless
            else {"quality": 95}
        )
    return {}
