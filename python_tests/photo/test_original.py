"""The file that a photo was stays: profile, alpha, EXIF, resolution, compression and 16 bits."""

from __future__ import annotations

import io
import logging
import pickle
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from e4s_engine.photo import colour, images

ROWS, COLUMNS = np.indices((64, 72))
PIXELS = np.stack([ROWS * 4, COLUMNS * 3, (ROWS + COLUMNS) * 2 % 256], 2).astype(np.uint8)
DEEP = np.random.default_rng(0).integers(0, 65536, (64, 72, 4), dtype=np.uint16)
ALPHA = (ROWS * 3).astype(np.uint8)


def wide_profile():
    """Return a display profile with other primaries: sRGB's with the red and green columns changed."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", data, 128)[0]
    entries = (struct.unpack_from(">4sII", data, 132 + 12 * i) for i in range(count))
    tags = {name: offset for name, offset, _ in entries}
    for name, xyz in ((b"rXYZ", (0.5151, 0.2412, -0.0011)), (b"gXYZ", (0.2919, 0.6922, 0.0419)),
                      (b"bXYZ", (0.1572, 0.0666, 0.7841))):  # fmt: skip
        struct.pack_into(">iii", data, tags[name] + 8, *(round(value * 65536) for value in xyz))
    return bytes(data)


WIDE = wide_profile()


def encoded(kind, picture, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def deep_png(samples, icc=None):
    """Write a PNG with 16 bits, unfiltered, independently of the package."""
    height, width, channels = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    head = struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 6, 0, 0, 0)
    chunks = [
        b"IHDR" + head,
        *([b"iCCPx\0\0" + zlib.compress(icc)] if icc else []),
        b"IDAT" + zlib.compress(rows),
    ]
    packed = [
        struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in [*chunks, b"IEND"]
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def edited(pixels):
    """Return pixels with a part changed, and where."""
    out, where = pixels.copy(), np.zeros(pixels.shape[:2], bool)
    where[20:40, 30:50] = True
    out[where] = 255 - out[where]
    return out, where & (out != pixels).any(2)


def rewritten(data, path, change=True):
    """Read a file, change a part, write it; return what the original was, the new file's and where."""
    photo = images.read_photo(data)
    new, where = edited(photo.pixels) if change else (photo.pixels.copy(), None)
    images.write(new, path, "path", photo.original)
    return photo, images.read_photo(path), new, where


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "jpg"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_profile_exif_and_resolution_stay(tmp_path, kind, suffix):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    exif.get_ifd(0x8769)[0xA434] = "lens"
    about = {"exif": exif.tobytes(), "icc_profile": WIDE}
    data = encoded(kind, Image.fromarray(PIXELS), dpi=(300, 150), **about)
    images.write(images.read(data), tmp_path / f"a.{suffix}", "path", images.read_photo(data).original)
    with Image.open(tmp_path / f"a.{suffix}") as opened:
        assert opened.size == ((64, 72) if kind != "TIFF" else opened.size)
        assert opened.info["icc_profile"] == WIDE
        found = opened.getexif()
        assert found.get(0x0112, 1) == 1 and found[0x010F] == "maker"
        assert found.get_ifd(0x8769)[0xA434] == "lens"
        if suffix != "webp" and kind != "WEBP":
            assert np.allclose([float(v) for v in opened.info["dpi"]], (150, 300), atol=1)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("icc", [None, WIDE], ids=["srgb", "wide"])
def test_16_bits_stay_where_nothing_changed(tmp_path, channels, suffix, icc):
    deep = np.ascontiguousarray(DEEP[:, :, :channels])
    photo, again, new, where = rewritten(deep_png(deep, icc), tmp_path / f"a.{suffix}")
    assert np.array_equal(photo.original.samples, deep[:, :, :3])
    samples = again.original.samples
    assert samples.dtype == np.uint16
    np.testing.assert_array_equal(samples[~where], deep[:, :, :3][~where])
    if channels == 4:
        np.testing.assert_array_equal(again.original.alpha, deep[:, :, 3])
    if icc is None:
        np.testing.assert_array_equal(again.pixels, new)
        np.testing.assert_array_equal(photo.pixels, ((deep[:, :, :3].astype(int) + 128) // 257))
    else:
        assert again.original.icc == WIDE


def test_16_bit_tiff_and_grey(tmp_path):
    images.write(
        images.read(deep_png(DEEP)), tmp_path / "a.tif", "path", images.read_photo(deep_png(DEEP)).original
    )
    read = images.read_photo(tmp_path / "a.tif").original
    np.testing.assert_array_equal(read.samples, DEEP[:, :, :3])
    grey = DEEP[:, :, 0]
    _, again, _, where = rewritten(encoded("PNG", Image.fromarray(grey)), tmp_path / "grey.png")
    for channel in range(3):
        np.testing.assert_array_equal(again.original.samples[~where][:, channel], grey[~where])


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_alpha_stays(tmp_path, suffix):
    data = encoded("PNG", Image.fromarray(np.dstack([PIXELS, ALPHA])))
    _, again, _, where = rewritten(data, tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(again.original.alpha, ALPHA)
    if suffix != "webp":
        np.testing.assert_array_equal(again.pixels[~where], PIXELS[~where])


def test_alpha_that_a_format_cannot_hold_is_said(tmp_path, caplog):
    data = encoded("PNG", Image.fromarray(np.dstack([PIXELS, ALPHA])))
    rewritten(data, tmp_path / "a.jpg")
    assert "no transparency" in caplog.text


@pytest.mark.parametrize("quality", [30, 75, 97])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_quality_and_subsampling_of_a_jpeg_stay(tmp_path, quality, subsampling):
    data = encoded("JPEG", Image.fromarray(PIXELS), quality=quality, subsampling=subsampling)
    photo, again, _, _ = rewritten(data, tmp_path / "a.jpg")
    assert again.original.jpeg == photo.original.jpeg and photo.original.jpeg.subsampling == subsampling
    grey = encoded("JPEG", Image.fromarray(PIXELS[:, :, 0]), quality=quality)
    assert rewritten(grey, tmp_path / "grey.jpg")[1].pixels.shape == PIXELS.shape


def test_wide_colours_are_seen_as_srgb_and_stay(tmp_path):
    data = encoded("PNG", Image.fromarray(PIXELS), icc_profile=WIDE)
    photo, _, new, where = rewritten(data, tmp_path / "a.png")
    assert np.abs(photo.pixels.astype(int) - PIXELS).max() > 20
    with Image.open(tmp_path / "a.png") as opened:
        stored = np.asarray(opened)
    np.testing.assert_array_equal(stored[~where], PIXELS[~where])
    np.testing.assert_array_equal(stored[where], colour.from_srgb(new, WIDE)[where])
    images.write(new, tmp_path / "a.bmp", "path", photo.original)  # no profile there: sRGB
    np.testing.assert_array_equal(images.read(tmp_path / "a.bmp"), new)


def test_an_srgb_profile_changes_no_pixel(tmp_path):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    photo = images.read_photo(encoded("PNG", Image.fromarray(PIXELS), icc_profile=icc))
    np.testing.assert_array_equal(photo.pixels, PIXELS)
    assert photo.original.icc == icc and photo.original.samples is None


@pytest.mark.parametrize("icc", [b"junk" * 50, WIDE[:300], WIDE[:16] + b"GRAY" + WIDE[20:]])
def test_damaged_profiles_are_said_and_left_out(tmp_path, caplog, icc):
    photo = images.read_photo(encoded("PNG", Image.fromarray(PIXELS), icc_profile=icc))
    np.testing.assert_array_equal(photo.pixels, PIXELS)
    assert photo.original.icc is None and "taken as sRGB" in caplog.text


def test_a_pillow_without_littlecms_says_so(monkeypatch, caplog):
    monkeypatch.setattr(
        ImageCms, "profileToProfile", lambda *_, **__: (_ for _ in ()).throw(ImportError("no lcms"))
    )
    with caplog.at_level(logging.WARNING):
        photo = images.read_photo(encoded("PNG", Image.fromarray(PIXELS), icc_profile=WIDE))
    np.testing.assert_array_equal(photo.pixels, PIXELS)
    assert "no lcms" in caplog.text


def test_a_lossless_webp_stays_lossless(tmp_path):
    _, again, new, _ = rewritten(encoded("WEBP", Image.fromarray(PIXELS), lossless=True), tmp_path / "a.webp")
    np.testing.assert_array_equal(again.pixels, new)


def test_a_large_exif_block_does_not_stop_a_jpeg(tmp_path, caplog):
    exif = Image.Exif()
    exif[0x010E] = "x" * 70_000
    rewritten(encoded("PNG", Image.fromarray(PIXELS), exif=exif.tobytes()), tmp_path / "a.jpg")
    assert "does not fit" in caplog.text


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_a_swap_keeps_what_the_target_was(engine, people, tmp_path, suffix):
    (source, labels), (target, target_labels), _ = people
    deep = target[::4, ::4].astype(np.uint16) * 257
    deep[:, :, 0] ^= 5
    (tmp_path / "t.png").write_bytes(deep_png(deep, WIDE))
    result = engine.swap(
        source, tmp_path / "t.png", "nose", source_labels=labels, target_labels=target_labels
    )
    for kept in (result, pickle.loads(pickle.dumps(result))):
        kept.save(tmp_path / f"out.{suffix}")
        out = images.read_photo(tmp_path / f"out.{suffix}")
        assert out.original.icc == WIDE
        if suffix != "jpg":
            np.testing.assert_array_equal(out.original.samples[~result.changed], deep[~result.changed])
            assert (out.original.samples != deep).any()
