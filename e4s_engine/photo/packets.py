"""XMP packets in picture and video files, and whether a file carries a C2PA manifest.

Works on bytes: Pillow reads and writes XMP differently from version to version and from format to format.
"""

from __future__ import annotations

import contextlib
import io
import logging
import mmap
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image

logger = logging.getLogger("e4s_engine")

MOST_XMP_BYTES = 1 << 20  # a longer packet is left out: some programs store whole thumbnails and histories
MOST_JPEG_XMP = 65_502
TIFF_TAG = 700
_TIFF_C2PA = 52545
_JPEG_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_KEY = b"XML:com.adobe.xmp"
_GIF_XMP = b"\x21\xff\x0bXMP DataXMP"
_BEGIN, _END = b"<x:xmpmeta", b"</x:xmpmeta>"
KNOWN = "PNG, JPEG, WebP, TIFF, AVIF, HEIC, GIF, BMP, PNM, MP4, MOV, Matroska, WebM"
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free")  # with which MP4, MOV, AVIF and HEIC begin
HEIC_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")
_STILLS = (b"avif", b"avis", *HEIC_BRANDS)
_MATROSKA = b"\x1aE\xdf\xa3"
_MATROSKA_TAG = b"\x45\xa3\x83XMP"  # a TagName of three letters
_MATROSKA_HEAD = 4 << 20  # bytes in which the tag is searched
_XMP_BOX = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_BLOCK = 1 << 20
_C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


Data = bytes | mmap.mmap
_Reader = Callable[[Data], Iterator[tuple[str, bytes]]]


class Packets(NamedTuple):
    """Marks that a file carries. xmp: its packet. c2pa: whether it holds a manifest, which is not checked."""

    xmp: bytes | None = None
    c2pa: bool = False


def is_known(data: Data) -> bool:
    """Return whether a file is of a kind whose marks are found; BMP and PNM hold none."""
    holds_none = data[:2] == b"BM" or (data[:1] == b"P" and data[1:2] in b"123456")
    return holds_none or bool(_readers(data))


def find(data: Data) -> Packets:
    """Return what a file carries. Damaged files give what was found before the damage."""
    xmp, c2pa = None, False
    with contextlib.suppress(Exception):  # any bytes may come
        for kind, content in _parts(data):
            if kind == "c2pa":
                c2pa = True
            elif xmp is None:
                xmp = content.strip(b"\0")
    if xmp is not None and not 0 < len(xmp) <= MOST_XMP_BYTES:
        logger.warning("XMP of %d bytes is left out: at most %d are read", len(xmp), MOST_XMP_BYTES)
        xmp = None
    return Packets(xmp, c2pa)


def of_file(path: Path) -> Packets:
    """Return what a file carries, which may be a long clip: no more of it is read than is needed.

    Raises OSError.
    """
    with path.open("rb") as opened, mapped(opened) as data:
        return find(data)


@contextlib.contextmanager
def mapped(opened: BinaryIO) -> Iterator[Data]:
    """Yield the bytes of an open file, mapped into memory."""
    if not os.fstat(opened.fileno()).st_size:  # cannot be mapped
        yield b""
        return
    try:
        data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError:  # some network file systems map nothing
        yield opened.read()
        return
    with data:
        yield data


def video_suffix(data: Data) -> str:
    """Return ".mp4" or ".mov" for the bytes of such a video, "" for anything else."""
    if data[4:8] not in _BOXES or data[8:12] in _STILLS:
        return ""
    return ".mp4" if data[4:8] == b"ftyp" and data[8:12] != b"qt  " else ".mov"


def of_image(image: Image.Image) -> Packets:
    """Return what an image in memory brings from its file, as far as Pillow kept it."""
    found = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    xmp = found.encode() if isinstance(found, str) else found
    return Packets(xmp if isinstance(xmp, bytes) and 0 < len(xmp) <= MOST_XMP_BYTES else None)


def png_chunk(xmp: bytes) -> bytes:
    """Return the content of the chunk `iTXt` with a packet."""
    return _PNG_KEY + b"\0\0\0\0\0" + xmp


def insert_into_gif(path: Path, xmp: bytes) -> None:
    """Insert a packet into a GIF file without one.

    It is no sequence of blocks: readers that skip those land in the trailer, whose bytes lead to its end.
    """
    block = _GIF_XMP + xmp + bytes([1, *range(255, -1, -1), 0])
    with path.open("r+b") as opened:
        opened.write(b"GIF89a")
        opened.seek(10)
        flags = opened.read(1)[0]
        at = 13 + (3 << (flags & 7) + 1 if flags & 128 else 0)
        _shift(opened, at, len(block))
        opened.seek(at)
        opened.write(block)


def _shift(opened: BinaryIO, first: int, by: int) -> None:
    """Move the bytes of a file from `first` on towards its end, from the last on: clips may be large."""
    stop = opened.seek(0, io.SEEK_END)
    while stop > first:
        start = max(stop - _BLOCK, first)
        opened.seek(start)
        part = opened.read(stop - start)
        opened.seek(start + by)
        opened.write(part)
        stop = start


def most_xmp(path: object) -> int:
    """Return the longest packet that a file is written with, by the ending of its path."""
    return MOST_JPEG_XMP if str(path).lower().endswith((".jpg", ".jpeg")) else MOST_XMP_BYTES


def jpeg_segment(xmp: bytes) -> bytes:
    """Return the segment with a packet of at most MOST_JPEG_XMP bytes."""
    content = _JPEG_HEAD + xmp
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content


def mp4_box(xmp: bytes) -> bytes:
    """Return the top-level `uuid` box with a packet for MP4 and MOV; it may stand at the file's end."""
    return struct.pack(">I", 24 + len(xmp)) + b"uuid" + _XMP_BOX + xmp


def _parts(data: Data) -> Iterator[tuple[str, bytes]]:
    """Yield what a file carries, as ("xmp", packet) or ("c2pa", b"")."""
    for read in _readers(data):
        yield from read(data)


def _readers(data: Data) -> list[_Reader]:
    """Return the functions that read files of this kind."""
    starts = {
        b"\xff\xd8": _in_jpeg,
        PNG_START: _in_png,
        b"GIF": _in_gif,
        b"II*\0": _in_tiff,
        b"MM\0*": _in_tiff,
        _MATROSKA: _in_matroska,
    }
    found: list[_Reader] = [read for start, read in starts.items() if data[: len(start)] == start]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        found.append(_in_webp)
    if data[4:8] in _BOXES:
        found.append(lambda data: _in_boxes(data, 0, len(data)))
    return found


def _in_jpeg(data: Data) -> Iterator[tuple[str, bytes]]:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        content = data[at + 4 : at + 2 + length]
        if data[at + 1] == 0xE1 and content.startswith(_JPEG_HEAD):
            yield "xmp", content[len(_JPEG_HEAD) :]
        if data[at + 1] == 0xEB and b"jumb" in content[:32] and b"c2pa" in content:
            yield "c2pa", b""
        at += 2 + length


def _in_png(data: Data) -> Iterator[tuple[str, bytes]]:
    at = 8
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        content = data[at + 8 : at + 8 + length]
        if kind == b"iTXt" and content.startswith(_PNG_KEY + b"\0"):
            packed, rest = content[len(_PNG_KEY) + 1], content[len(_PNG_KEY) + 3 :]
            text = rest.split(b"\0", 2)[2]
            yield "xmp", zlib.decompressobj().decompress(text, MOST_XMP_BYTES + 1) if packed else text
        if kind == b"caBX":
            yield "c2pa", b""
        at += 12 + length


def _in_webp(data: Data) -> Iterator[tuple[str, bytes]]:
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"XMP ":
            yield "xmp", data[at + 8 : at + 8 + length]
        if data[at : at + 4] == b"C2PA":
            yield "c2pa", b""
        at += 8 + length + length % 2


def _in_gif(data: Data) -> Iterator[tuple[str, bytes]]:
    at = data.find(_GIF_XMP)
    if at >= 0:
        start = at + len(_GIF_XMP)
        end = data.find(b"\x01\xff\xfe", start)  # the trailer that ends readers' skipping
        yield "xmp", data[start : max(start, end)]
    if data.find(b"\x21\xff\x0bC2PA_GIF") >= 0:
        yield "c2pa", b""


def _in_tiff(data: Data) -> Iterator[tuple[str, bytes]]:
    with Image.open(io.BytesIO(data), formats=["TIFF"]) as opened:
        tags = getattr(opened, "tag_v2", {})
        packet = tags.get(TIFF_TAG)
        if packet:
            yield "xmp", packet if isinstance(packet, bytes) else str(packet).encode()
        if _TIFF_C2PA in tags:
            yield "c2pa", b""


def _in_matroska(data: Data) -> Iterator[tuple[str, bytes]]:
    """Find the tag XMP, which `Video.save` writes; tags stand before the pictures."""
    at = data.find(_MATROSKA_TAG, 0, _MATROSKA_HEAD)
    if at >= 0:
        yield from _first(data, at)


def _first(data: Data, at: int) -> Iterator[tuple[str, bytes]]:
    """Yield the first whole packet from a place on."""
    start = data.find(_BEGIN, at)
    end = data.find(_END, start, start + MOST_XMP_BYTES) if start >= 0 else -1
    if end >= 0:
        yield "xmp", data[start : end + len(_END)]


def _in_boxes(data: Data, at: int, end: int) -> Iterator[tuple[str, bytes]]:
    """Walk the boxes of MP4, MOV, AVIF and HEIC. The packet of a still picture is an item: searched for."""
    still = data[8:12] in _STILLS
    while at + 8 <= end:
        length, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        length = length or end - at
        if kind == b"uuid" and data[at + head : at + head + 16] == _XMP_BOX:
            yield "xmp", data[at + head + 16 : min(at + length, at + head + 17 + MOST_XMP_BYTES)]
        elif kind == b"uuid" and data[at + head : at + head + 16] == _C2PA_BOX:
            yield "c2pa", b""
        elif kind == b"XMP_":
            yield "xmp", data[at + head : min(at + length, at + head + 1 + MOST_XMP_BYTES)]
        elif kind in (b"moov", b"udta"):
            yield from _in_boxes(data, at + head, min(at + length, end))
        if length < head:
            return
        at += length
    if still:
        yield from _first(data, 0)
