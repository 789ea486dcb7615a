"""Damaged and hostile picture files: the whole picture, or an ImageError, and little memory."""

from __future__ import annotations

import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from picture_tools import PIXELS, encoded, rejected
from PIL import Image

from e4s_engine.errors import ImageError
from e4s_engine.photo import images


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
def test_truncated_files(kind):
    """However much is cut off, the result is the whole picture or an ImageError."""
    data = encoded(Image.fromarray(PIXELS), kind, **({"lossless": True} if kind == "WEBP" else {}))
    whole = images.read(data)
    failed = 0
    for length in sorted({*range(0, min(len(data), 120)), *range(0, len(data), 37), len(data) - 1}):
        try:
            read = images.read(data[:length], "target")
        except ImageError as error:
            failed += 1
            assert str(error).startswith("target: ")
        else:
            np.testing.assert_array_equal(read, whole)
    assert failed > 20


MAGIC = [
    b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\xff\xd8\xff\xe0\0\x10JFIF\0",
    b"\xff\xd8\xff\xe1", b"RIFF\x40\0\0\0WEBPVP8 ", b"RIFF\x40\0\0\0WEBPVP8L", b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08", b"BM", b"GIF89a",
    b"GIF87a", b"\0\0\x01\0\x01\0", b"8BPS\0\x01", b"P6 40 40 255\n", b"\0\0\0\x0cjP  \r\n\x87\n", b"DDS ",
    b"\0\0\0\x1cftypavif", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(magic=st.sampled_from(MAGIC), rest=st.binary(max_size=200))
def test_random_bytes_after_magic(magic, rest):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warnings about damaged metadata
        try:
            read = images.read(magic + rest)
        except ImageError:
            return
    assert read.dtype == np.uint8 and read.ndim == 3


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"]),
    flips=st.lists(st.tuples(st.floats(0, 0.999), st.integers(1, 255)), min_size=1, max_size=8),
)
def test_flipped_bytes(kind, flips):
    data = bytearray(encoded(Image.fromarray(PIXELS), kind))
    for where, change in flips:
        data[int(where * len(data))] ^= change
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            read = images.read(data)
        except ImageError:
            return
    assert read.dtype == np.uint8 and read.shape[2] == 3


def png(width, height, *chunks):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(3 * min(width, 64)) for _ in range(min(height, 64))))
    body = [(b"IHDR", header), *chunks, (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in body)


@pytest.mark.parametrize("side", [50_000, 10_000, 2**31 - 1])
def test_decompression_bombs(side, recwarn):
    rejected(png(side, side), "reduce the image first")
    assert not recwarn.list


@pytest.mark.parametrize("kind", [b"zTXt", b"iTXt"])
def test_a_text_chunk_that_expands_a_thousandfold_is_never_expanded(kind):
    text = zlib.compress(bytes(80 << 20), 9)
    start = b"XML:com.adobe.xmp\0\1\0\0\0" if kind == b"iTXt" else b"Comment\0\0"
    tracemalloc.start()
    try:
        assert images.read(png(40, 40, (kind, start + text))).shape == (40, 40, 3)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "chunk",
    [
        (b"tRNS", b""), (b"PLTE", b"\1"), (b"gAMA", b""), (b"pHYs", b"\0"), (b"iCCP", b"x\0\0\xff\xff"),
        (b"eXIf", b"\xff" * 30), (b"acTL", b"\0\0"), (b"fcTL", b""), (b"cHRM", b"1"), (b"iTXt", b"\0\1\2"),
        (b"IHDR", b""), (b"tEXt", b""), (b"\0\0\0\0", b"x"),
    ],
    ids=lambda chunk: repr(chunk[0]),
)  # fmt: skip
def test_hostile_png_chunks(chunk):
    try:
        read = images.read(png(40, 40, chunk))
    except ImageError:
        return
    np.testing.assert_array_equal(read, np.zeros((40, 40, 3)))


def test_postscript_is_not_run():
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\n(out) print\n%%EOF\n"
    rejected(data, "not an image that can be read")
