"""Opening of picture files: a short list of decoders, and limits that are checked on the header."""

from __future__ import annotations

import contextlib
import io
import os
import re
import struct
import subprocess
import sys
import types
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from e4s_engine.errors import ImageError
from e4s_engine.photo import files, images, opening

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 52, 3), dtype=np.uint8)
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\n{} loop\n"


def encoded(kind, picture=None, **options):
    buffer = io.BytesIO()
    (picture or Image.fromarray(PIXELS)).save(buffer, kind, **options)
    return buffer.getvalue()


def iptc(inner, width=40, height=40):
    def field(record, number, data):
        return bytes([0x1C, record, number]) + struct.pack(">H", len(data)) + data

    size = field(3, 20, struct.pack(">H", width)) + field(3, 30, struct.pack(">H", height))
    return field(3, 60, b"\1\0") + size + field(3, 120, b"\1") + field(8, 10, inner)


def refused(data, *words):
    with pytest.raises(ImageError) as caught:
        images.read(data, "source")
    assert str(caught.value).startswith("source: ")
    for word in words:
        assert word in str(caught.value)


@pytest.fixture
def no_programs(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))


@pytest.mark.parametrize("inner", [EPS, encoded("PNG", Image.new("1", (13370, 13370)))], ids=["eps", "large"])
def test_containers_are_not_opened(no_programs, inner):
    refused(iptc(inner), "not an image that can be read", "expected PNG, JPEG")
    refused(
        b"icns" + struct.pack(">I", len(inner) + 16) + b"ic07" + struct.pack(">I", len(inner) + 8) + inner
    )


def test_postscript_is_not_opened(no_programs):
    refused(EPS, "not an image that can be read")


@pytest.mark.parametrize("kind", ["TGA", "PCX", "SGI", "DDS", "MSP", "JPEG2000", "QOI"])
def test_other_decoders_are_not_used(kind):
    picture = Image.fromarray(PIXELS)
    if kind == "MSP":
        picture = picture.convert("1")
    try:
        data = encoded(kind, picture)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {kind}")
    with Image.open(io.BytesIO(data)) as opened:
        refused(data, "not an image that can be read")
        if opened.tile:
            refused(opened, kind, "which is not read")
            opened.load()
        assert images.read(opened).shape == (40, 52, 3)  # decoded by the caller: pixels are pixels


def test_text_formats_are_not_parsed():
    size, values = b"40 40 255\n", b"1 " * 4800
    for data in (b"P1\n40 40\n" + values, b"P2\n" + size + values, b"P3\n" + size + values):
        refused(data, "no binary PPM")
    refused(b"SIMPLE  =                    T" + b" " * 50 + b"END".ljust(2800))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF", "MPO"])
def test_the_formats_that_are_read(kind):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    assert images.read(encoded(kind)).shape == PIXELS.shape


def test_a_phones_jpeg_of_two_pictures():
    data = encoded("MPO", append_images=[Image.new("RGB", (64, 64))], save_all=True)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.format == "MPO"
    assert images.read(data).shape == PIXELS.shape


@pytest.mark.parametrize(
    ("most", "read"), [(255, True), (254, False), (1, False), (65535, False), (0, False), (10**8, False)]
)
def test_ppm_of_8_bits(most, read):
    data = b"P6\n# a remark\n40 40\n%d\n" % most + bytes(40 * 40 * 6)
    if read:
        assert not images.read(data).any()
    else:
        refused(data, "no binary PPM of 8 bits")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def huge(kind, side):
    """Make the header of a picture far larger than the file."""
    if kind == "PNG":
        head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", head)
            + chunk(b"IDAT", zlib.compress(b""))
            + chunk(b"IEND", b"")
        )
    if kind == "WEBP":
        vp8x = b"\0\0\0\0" + (side - 1).to_bytes(3, "little") * 2
        frame = encoded("WEBP")[12:]
        body = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + vp8x + frame
        return b"RIFF" + struct.pack("<I", len(body)) + body
    if kind == "WEBP, lossless":
        data = bytearray(encoded("WEBP", lossless=True))
        bits = struct.unpack_from("<I", data, 21)[0] & 0xF0000000 | (side - 1) | (side - 1) << 14
        struct.pack_into("<I", data, 21, bits)
        return bytes(data)
    if kind == "GIF":
        data = bytearray(encoded("GIF"))
        struct.pack_into("<HH", data, 6, side, side)
        return bytes(data)
    data = bytearray(encoded("BMP"))
    struct.pack_into("<ii", data, 18, side, side)
    return bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "WEBP, lossless", "GIF", "BMP"])
@pytest.mark.parametrize("side", [9_500, 16_383])
def test_sizes_are_checked_before_memory_is_taken(kind, side, monkeypatch):
    data = huge(kind, side)
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("was decoded"))
    if kind.startswith("WEBP"):
        monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("took the canvas's memory"))
    refused(data, "reduce the image first")


def test_a_jpeg_of_a_thousand_scans_is_not_decoded():
    data = encoded("JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    refused(data[:start] + data[start:-2] * 1000 + data[-2:], "more than 200 scans")
    assert images.read(data).shape == PIXELS.shape


def test_a_tiff_of_enormous_tiles_is_not_decoded():
    tags = {256: 40, 257: 40, 258: 8, 259: 8, 262: 1, 277: 1, 322: 30_000, 323: 30_000, 324: 200, 325: 50}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    data = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)
    refused(data.ljust(200, b"\0") + zlib.compress(bytes(3000)), "tiles far larger")


def test_a_large_bmp_of_run_lengths_is_not_decoded():
    head = (
        b"BM"
        + struct.pack("<IHHI", 0, 0, 0, 1078)
        + struct.pack("<IiiHHIIiiII", 40, 9000, 9000, 1, 8, 1, 0, 0, 0, 256, 0)
    )
    refused(head + bytes(1024) + b"\1\1" * (3 << 20), "run lengths")


def test_files_that_are_too_large_or_no_files(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "MAX_FILE_BYTES", 100)
    path = tmp_path / "a.png"
    path.write_bytes(encoded("PNG"))
    refused(path, "more than 100 bytes")
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    refused(pipe, "is not a file")
    with pytest.raises(ValueError, match="not a regular file"):
        files.read_bounded(pipe, 100)
    with pytest.raises(ValueError, match="No such file"):
        files.read_bounded(tmp_path / "absent", 100)


def test_heic_without_its_plugin():
    if "HEIF" in Image.OPEN:
        pytest.skip("pillow-heif is registered here")
    refused(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(60), "pip install pillow-heif")


def test_a_plugin_for_heic_is_used(monkeypatch):
    def register_heif_opener():
        Image.register_open(
            "HEIF", lambda file, _: Image.open(io.BytesIO(file.read()[32:])), lambda head: b"heic" in head
        )

    plugin = types.ModuleType("pillow_heif")
    plugin.register_heif_opener = register_heif_opener
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    opening._decoders.cache_clear()
    try:
        data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".ljust(32, b"\0") + encoded("PNG")
        np.testing.assert_array_equal(images.read(data), PIXELS)
    finally:
        opening._decoders.cache_clear()


@pytest.mark.parametrize(
    "transparency",
    ["x", -1, 1 << 70, (1, 2), [1], None, 0.5, object(), b"", {}, (-1, 300, 1 << 40)],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1", "LA", "RGBA", "I", "CMYK"])
def test_malformed_transparency(mode, transparency):
    picture = Image.new(mode, (40, 40))
    picture.info["transparency"] = transparency
    with contextlib.suppress(ImageError):
        assert images.read(picture).shape == (40, 40, 3)


def test_bytes_that_were_released():
    view = memoryview(b"abc")
    view.release()
    refused(view, "cannot be read")


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12345\n"
PAGE = b"\n<!DOCTYPE html><html><head><title>Sign in</title></head></html>"


def test_what_was_downloaded_wrongly_is_named(tmp_path):
    refused(LFS, "source: 70 bytes is a Git LFS pointer", "`git lfs pull`")
    refused(PAGE, "is a web page, not the file itself", "open the link in a browser")
    (tmp_path / "photo.jpg").write_bytes(PAGE)
    with pytest.raises(ImageError, match=r"photo\.jpg is a web page"):
        images.read(tmp_path / "photo.jpg")
    for start in (encoded("PNG"), encoded("JPEG"), b"", b"<svg xmlns='http://www.w3.org/2000/svg'/>"):
        assert files.impostor(start) == ""
    assert "web page" in files.impostor(b"\xef\xbb\xbf<!-- saved from --> <HTML lang='en'>")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.jpg",
        "HTTP://x/a.png",
        "file:///a.png",
        "s3://b/a.png",
        "data:image/png;base64,iVBO",
    ],
)
def test_a_url_is_refused_by_name(url):
    for kind in (str, Path):  # Path drops a slash
        with pytest.raises(ImageError, match=rf"source: {re.escape(url)} is a URL, nothing"):
            images.read(kind(url), "source")
    assert not files.is_url("https.jpg") and not files.is_url("c:/photos/a.jpg") and not files.is_url(b"a:")


def test_streams_are_read_from_their_start(tmp_path):
    file = tmp_path / "a.jpg"
    file.write_bytes(encoded("JPEG"))
    expected = images.read_photo(file)
    buffer = io.BytesIO(file.read_bytes())
    buffer.seek(0, io.SEEK_END)  # as after writing into it
    with file.open("rb") as opened, file.open("rb", buffering=0) as raw:
        for stream in (buffer, opened, raw, buffer):
            photo = images.read_photo(stream)
            np.testing.assert_array_equal(photo.pixels, expected.pixels)
            assert photo.original.jpeg == expected.original.jpeg  # saved as what the file was
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as out:
        out.write(file.read_bytes())
    with os.fdopen(reader, "rb", buffering=0) as pipe:  # cannot seek, and gives what it has
        np.testing.assert_array_equal(images.read(pipe), expected.pixels)


def test_streams_that_cannot_be_read(tmp_path, monkeypatch):
    file = tmp_path / "a.txt"
    file.write_text("no picture")
    closed = io.BytesIO(b"")
    closed.close()
    with file.open() as text, file.open("ab") as writing:
        for stream, words in (
            (text, "opened as text; open it with mode 'rb'"),
            (writing, "cannot be read"),
            (closed, "closed file"),
            (io.BytesIO(b""), "the stream of 0 bytes is not an image"),
        ):
            with pytest.raises(ImageError, match=words):
                images.read(stream)
    monkeypatch.setattr(opening, "MAX_FILE_BYTES", 10)
    with pytest.raises(ImageError, match="the stream has more than 10 bytes"):
        images.read(io.BytesIO(bytes(11)))
