"""Reading pictures: every accepted kind gives the same pixels, any other a clear error."""

from __future__ import annotations

import io
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from picture_tools import GREY, GREY_AS_RGB, PIXELS, PNG, RGBA, encoded, rejected
from PIL import Image, ImageOps

from e4s_engine.errors import ArgumentError, OutputError
from e4s_engine.photo import images


class DLPackOnly:
    """Array of an unknown library, with DLPack only."""

    def __init__(self, array):
        self._array = array

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


ARRAYS = {
    "rgb": (PIXELS, PIXELS),
    "rgba": (RGBA, PIXELS),
    "grey": (GREY, GREY_AS_RGB),
    "grey with an axis": (GREY[:, :, None], GREY_AS_RGB),
    "fortran order": (np.asfortranarray(PIXELS), PIXELS),
    "every second pixel": (np.repeat(np.repeat(PIXELS, 2, 0), 2, 1)[::2, ::2], PIXELS),
    "flipped twice": (PIXELS[::-1, ::-1].copy()[::-1, ::-1], PIXELS),
    "torch": (torch.from_numpy(PIXELS), PIXELS),
    "torch, channels first in memory": (
        torch.from_numpy(PIXELS).permute(2, 0, 1).contiguous().permute(1, 2, 0),
        PIXELS,
    ),
    "dlpack": (DLPackOnly(PIXELS), PIXELS),
    "pil": (Image.fromarray(PIXELS), PIXELS),
    "bytes": (PNG, PIXELS),
    "bytearray": (bytearray(PNG), PIXELS),
    "memoryview": (memoryview(PNG), PIXELS),
    "strided memoryview": (memoryview(np.repeat(np.frombuffer(PNG, np.uint8), 2).tobytes())[::2], PIXELS),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_kinds_in_memory(kind):
    given_image, expected = ARRAYS[kind]
    read = images.read(given_image)
    assert read.dtype == np.uint8 and read.flags.c_contiguous
    np.testing.assert_array_equal(read, expected)


def test_paths(tmp_path):
    path = tmp_path / "a photo.png"
    path.write_bytes(PNG)
    for name in (path, str(path)):
        np.testing.assert_array_equal(images.read(name), PIXELS)


def test_wrong_ending_does_not_matter(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(PNG)
    np.testing.assert_array_equal(images.read(path), PIXELS)


@pytest.mark.parametrize("array", [PIXELS, RGBA, GREY, GREY[:, :, None]], ids=["rgb", "rgba", "grey", "hw1"])
@pytest.mark.parametrize(
    "wrap", [lambda a: a, torch.from_numpy, DLPackOnly], ids=["numpy", "torch", "dlpack"]
)
def test_the_callers_array_is_neither_aliased_nor_modified(array, wrap):
    own = array.copy()
    read = images.read(wrap(own))
    assert not np.shares_memory(read, own)
    read[...] = 0
    np.testing.assert_array_equal(own, array)


def test_the_callers_pil_image_is_not_modified():
    own = Image.fromarray(PIXELS)
    own.getexif()[0x0112] = 6
    read = images.read(own)
    assert read.shape == (52, 40, 3)
    read[...] = 0
    np.testing.assert_array_equal(np.asarray(own), PIXELS)
    assert own.getexif()[0x0112] == 6


# Transform that undoes each orientation: EXIF 2.3, tag 0x0112.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("opened", [False, True], ids=["bytes", "pil"])
def test_exif_orientation(orientation, opened):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(PIXELS), "PNG", exif=exif)
    read = images.read(Image.open(io.BytesIO(data)) if opened else data)
    np.testing.assert_array_equal(read, UPRIGHT[orientation](PIXELS))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_nonsense_orientation_is_ignored(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(images.read(encoded(Image.fromarray(PIXELS), "PNG", exif=exif)), PIXELS)


def test_damaged_exif_is_ignored():
    data = encoded(Image.fromarray(PIXELS), "JPEG", quality=95, exif=b"Exif\0\0MM\0\x2a\xff\xff\xff\xff")
    assert images.read(data).shape == PIXELS.shape


FLAT = Image.new("RGB", (40, 36), (200, 100, 50))
PALETTE = Image.fromarray(PIXELS).quantize(16)
TRANSPARENT = PALETTE.copy()
TRANSPARENT.info["transparency"] = bytes(range(0, 256, 16))


def animation(kind):
    frames = [Image.new("RGB", (40, 36), colour) for colour in ("red", "lime", "blue")]
    return encoded(
        frames[0],
        kind,
        save_all=True,
        append_images=frames[1:],
        **({"lossless": True} if kind == "WEBP" else {}),
    )


RED = np.full((36, 40, 3), (255, 0, 0), np.uint8)
SIXTEEN = (GREY.astype(np.uint16) * 257) + 100
PICTURES = {
    "grey": (Image.fromarray(GREY), GREY_AS_RGB, "PNG"),
    "grey and alpha": (Image.merge("LA", [Image.fromarray(GREY)] * 2), GREY_AS_RGB, "PNG"),
    "rgba": (Image.fromarray(RGBA), PIXELS, "PNG"),
    "palette": (PALETTE, np.asarray(PALETTE.convert("RGB")), "PNG"),
    "palette, transparent": (TRANSPARENT, np.asarray(PALETTE.convert("RGB")), "PNG"),
    "1 bit": (
        Image.fromarray(GREY > 99),
        np.repeat(((GREY > 99) * np.uint8(255))[:, :, None], 3, axis=2),
        "PNG",
    ),
    "16-bit png": (Image.fromarray(SIXTEEN), GREY_AS_RGB, "PNG"),
    "16-bit tiff": (Image.fromarray(SIXTEEN), GREY_AS_RGB, "TIFF"),
    "tiff": (Image.fromarray(PIXELS), PIXELS, "TIFF"),
    "bmp": (Image.fromarray(PIXELS), PIXELS, "BMP"),
    "gif": (PALETTE, np.asarray(PALETTE.convert("RGB")), "GIF"),
}


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("opened", [False, True], ids=["file", "pil"])
def test_picture_modes(kind, opened):
    picture, expected, format_name = PICTURES[kind]
    read = images.read(picture if opened else encoded(picture, format_name))
    np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I;16B"])
def test_every_pillow_mode(mode):
    try:
        picture = Image.new(mode, (40, 36))
    except ValueError:
        pytest.skip(f"this Pillow has no mode {mode}")
    read = images.read(picture)
    assert read.shape == (36, 40, 3) and read.dtype == np.uint8


def test_floating_point_pictures_are_refused():
    rejected(encoded(Image.new("F", (40, 40)), "TIFF"), "floating-point", "8 bits")


def test_32_bit_pictures_are_scaled_or_refused():
    np.testing.assert_array_equal(images.read(Image.fromarray(SIXTEEN.astype(np.int32))), GREY_AS_RGB)
    rejected(Image.fromarray(np.full((40, 40), 70_000, np.int32)), "32-bit", "save it with")


def test_cmyk_jpeg():
    read = images.read(encoded(FLAT.convert("CMYK"), "JPEG", quality=95))
    assert np.abs(read.astype(int) - np.asarray(FLAT)).max() <= 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_first_frame_of_an_animation(kind):
    np.testing.assert_array_equal(images.read(animation(kind)), RED)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("absent.png", ["no such file"]),
        (".", ["not a file"]),
        ("empty.png", ["not an image", "expected PNG"]),
        ("text.png", ["not an image", "expected PNG"]),
        ("a\0b.png", []),
        ("x" * 5000, ["not a usable path"]),
        ("é" * 200 + ".png", ["not a usable path"]),
    ],
)
def test_bad_paths(tmp_path, name, words):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("this is no picture\n" * 40)
    rejected(tmp_path / name, *words)
    rejected(str(tmp_path / name), *words)


def test_a_name_given_as_bytes_is_no_image():
    rejected(b"photo.png", "9 bytes", "not an image")


def test_no_pixels_and_too_few():
    rejected(np.zeros((0, 40, 3), np.uint8), "no pixels")
    rejected(np.zeros((40, 0), np.uint8), "no pixels")
    rejected(np.zeros((1, 1, 3), np.uint8), "1 x 1", "at least")
    rejected(encoded(Image.new("RGB", (1, 1)), "PNG"), "1 x 1", "at least")
    rejected(np.zeros((31, 500, 3), np.uint8), "500 x 31", "at least")
    assert images.read(np.zeros((images.MIN_SIDE, images.MIN_SIDE), np.uint8)).shape == (32, 32, 3)


def test_an_array_that_is_too_large():
    huge = np.broadcast_to(np.uint8(0), (30_000, 30_000, 3))
    rejected(huge, "30000 x 30000", "reduce")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((40, 40, 3), np.nan, np.float32), ["uint8", "NaN"]),
        (np.zeros((40, 40, 3)), ["uint8", "float64", "astype('uint8')"]),
        (np.zeros((40, 40, 3), np.float16), ["uint8", "float16"]),
        (np.zeros((40, 40, 3), complex), ["uint8", "complex"]),
        (np.zeros((40, 40, 3), np.uint16), ["uint8", "uint16"]),
        (np.zeros((40, 40, 3), bool), ["uint8", "bool"]),
        (np.zeros((40, 40, 3), int), ["uint8", "int64"]),
        (np.zeros((40, 40), object), ["uint8", "object"]),
        (np.zeros((40, 40, 2), np.uint8), ["[H, W, 3]", "[40, 40, 2]"]),
        (np.zeros((40, 40, 5), np.uint8), ["[H, W, 3]", "[40, 40, 5]"]),
        (np.zeros((3, 40, 40), np.uint8), ["[H, W, 3]", "[3, 40, 40]"]),
        (np.zeros(4000, np.uint8), ["[H, W, 3]", "[4000]"]),
        (np.zeros((1, 40, 40, 3), np.uint8), ["[H, W, 3]", "[1, 40, 40, 3]"]),
        (np.uint8(3), ["[H, W, 3]", "[]"]),
        (torch.zeros(40, 40, 3, dtype=torch.bfloat16), ["expected", "uint8"]),
        (torch.zeros(40, 40, 3, dtype=torch.uint8).to_sparse(), ["expected", "uint8"]),
        (torch.zeros(40, 40, 3, dtype=torch.uint8, device="meta"), ["expected", "uint8"]),
        (None, ["expected", "NoneType"]),
        (7, ["expected", "int"]),
        (PIXELS.tolist(), ["expected", "list"]),
        ({}, ["expected", "dict"]),
    ],
)
def test_what_is_no_image(array, words):
    rejected(array, *words)


def test_a_closed_pil_image(tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    with Image.open(tmp_path / "a.png") as picture:
        pass
    rejected(picture, "the PIL image")


def test_one_lazy_pil_image_read_by_many_threads(tmp_path):
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(np.tile(PIXELS, (8, 8, 1))), "PNG"))
    results = []
    with Image.open(tmp_path / "a.png") as picture:
        threads = [threading.Thread(target=lambda: results.append(images.read(picture))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 8
    assert all(np.array_equal(r, np.tile(PIXELS, (8, 8, 1))) for r in results)


def test_reading_leaves_the_warning_filters_alone():
    before = list(warnings.filters)
    threads = [threading.Thread(target=images.read, args=(PNG,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp", ".PNG"])
def test_lossless_round_trip(tmp_path, suffix):
    images.write(PIXELS, tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(images.read(tmp_path / f"a{suffix}"), PIXELS)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
def test_lossy_round_trip(tmp_path, suffix):
    smooth = np.asarray(ImageOps.autocontrast(Image.fromarray(PIXELS)))
    images.write(smooth, tmp_path / f"a{suffix}")
    assert np.abs(images.read(tmp_path / f"a{suffix}").astype(int) - smooth).mean() < 3


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.ppm", ["'.ppm'", ".png"]), ("a", ["''", ".png"]), (None, ["file name", "NoneType"]), (3, ["int"])],
)
def test_unknown_output_formats(tmp_path, name, words):
    with pytest.raises(ArgumentError) as caught:
        images.write(PIXELS, tmp_path / name if isinstance(name, str) else name, "out")
    assert str(caught.value).startswith("out: ")
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_pictures_larger_than_a_format_allows(tmp_path, name):
    with pytest.raises(OutputError, match=r"out: .*at most .*write \.png"):
        images.write(np.zeros((1, 70_000, 3), np.uint8), Path(tmp_path, name), "out")
    assert not list(tmp_path.iterdir())
