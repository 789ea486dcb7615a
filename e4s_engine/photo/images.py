"""Image input and output: any accepted kind of image to a uint8 RGB array, and arrays to files."""

from __future__ import annotations

import contextlib
import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, features

from e4s_engine._forks import Lock
from e4s_engine.errors import ArgumentError, ImageError, OutputError
from e4s_engine.photo import depth, opening, saving
from e4s_engine.photo.files import check_writable, is_there, is_url, read_bounded, replacing, url_of
from e4s_engine.photo.original import Original, describe, is_turned

Pixels = npt.NDArray[np.uint8]

MIN_SIDE = 32
_CHUNK = 1 << 20  # bytes read from a stream at once
FORMATS = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".gif"}
_MAX_SIDE = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}  # limits of the formats

# Pillow reads an image's file at the first use of the image, which two threads must not do at once; nor may
# both change the process's warning filters.
_pillow_lock = Lock()


class Photo(NamedTuple):
    """A picture as the networks see it, uint8 [H, W, 3] sRGB, and what its file was; None for arrays."""

    pixels: Pixels
    original: Original | None


def read(image: Any, argument: str = "image") -> Pixels:
    """Read an image of any accepted kind as uint8 [H, W, 3] sRGB, upright.

    Files have a format of `opening.DECODERS`.

    Accepts a path, bytes, an open file (binary; read from its start), a PIL image, or an array (NumPy, CuPy,
    torch, anything with DLPack): uint8 [H, W, 3], [H, W] grey or [H, W, 4] with alpha, which is dropped. EXIF
    orientation is honoured; an animation gives its first frame; 16 bits are scaled to 8; colours of a profile
    (ICC) are converted.
    Raises ImageError.
    """
    return read_photo(image, argument).pixels


def read_photo(image: Any, argument: str = "image") -> Photo:
    """Read an image like `read`, and with it what its file was, for `write`. Raises ImageError."""
    if isinstance(image, (str, os.PathLike)):
        photo = _decode(_file_bytes(image, argument), argument, str(os.fspath(image)))
    elif isinstance(image, (bytes, bytearray, memoryview)):
        data = _bytes_of(image, argument)
        photo = _decode(data, argument, f"{len(data)} bytes")
    elif is_stream(image):
        data = _stream_bytes(image, argument)
        photo = _decode(data, argument, f"the stream of {len(data)} bytes")
    elif isinstance(image, Image.Image):
        with _pillow_lock:
            photo = _from_pillow(image, argument, "the PIL image")
    else:
        photo = Photo(_from_array(image, argument), None)
    height, width = photo.pixels.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise ImageError(
            f"{argument}: the image is {width} x {height} pixels, at least {MIN_SIDE} x {MIN_SIDE} needed"
        )
    return photo


class Header(NamedTuple):
    """What a picture file says of itself. suffix: usual ending of its format's names."""

    width: int
    height: int
    suffix: str


def header(data: bytes, argument: str = "image") -> Header:
    """Return a picture file's header; no pixel is decoded. Raises ImageError."""
    with _pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about large images, which the caller is to judge
        with opening.open_picture(data, argument, f"{len(data)} bytes") as picture:
            endings = opening.DECODERS.get(str(picture.format), opening.DECODERS["JPEG"])  # MPO
            width, height = picture.size
            return Header(width, height, endings[0])


def _bytes_of(image: bytes | bytearray | memoryview, argument: str) -> bytes:
    try:
        return bytes(image)
    except ValueError as error:  # a memoryview that was released
        raise ImageError(f"{argument}: these bytes cannot be read ({error})") from error


def is_stream(image: Any) -> bool:
    """Return whether an image is an open file. Attributes of a caller's object may raise anything."""
    try:
        return not isinstance(image, Image.Image) and callable(getattr(image, "read", None))
    except Exception:
        return False


def _stream_bytes(stream: Any, argument: str) -> bytes:
    """Return all bytes of an open file, from its start where it can seek. Raises ImageError."""
    with contextlib.suppress(Exception):  # a pipe or a socket
        stream.seek(0)
    chunks: list[bytes] = []
    size = 0
    try:
        while chunk := stream.read(_CHUNK):
            if isinstance(chunk, str):
                raise ImageError(f"{argument}: the file was opened as text; open it with mode 'rb'")
            chunks.append(bytes(chunk))
            size += len(chunk)
            if size > opening.MAX_FILE_BYTES:
                raise ImageError(f"{argument}: the stream has more than {opening.MAX_FILE_BYTES} bytes")
    except ImageError:
        raise
    except Exception as error:  # closed, written only, or a stream of the caller's own
        raise ImageError(f"{argument}: the {type(stream).__name__} cannot be read ({error})") from error
    return b"".join(chunks)


def _file_bytes(path: str | os.PathLike[str], argument: str) -> bytes:
    if is_url(path):
        raise ImageError(
            f"{argument}: {url_of(path):.80} is a URL, nothing is downloaded; fetch it and pass the file or "
            "its bytes"
        )
    try:
        file = Path(path)
        if not is_there(file):
            raise ImageError(f"{argument}: no such file: {file}")
        if not file.is_file():
            raise ImageError(f"{argument}: {file} is not a file")
        return read_bounded(file, opening.MAX_FILE_BYTES)
    except (OSError, ValueError, TypeError) as error:  # too long, with a NUL, of bytes; a file too large
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{argument}: not a usable path: {error}") from error


def _decode(data: bytes, argument: str, name: str) -> Photo:
    with _pillow_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about bad EXIF, and large images: the check of sizes is stricter
        picture = opening.open_picture(data, argument, name)
        low = None
        if depth.is_deep(picture):  # opened again, for the lower half of 16 bits
            low = opening.open_picture(data, argument, name)
            depth.decode_low_half(low)
    with picture, low or contextlib.nullcontext():
        return _from_pillow(picture, argument, name, data, low)


def _from_pillow(
    image: Image.Image, argument: str, name: str, data: bytes = b"", low: Image.Image | None = None
) -> Photo:
    """Decode an opened picture. data: its file's bytes. low: the same, decoding to the lower 8 of 16 bits."""
    try:
        return _photo_of(image, argument, name, data, low)
    except ImageError:
        raise
    except Exception as error:  # decoders, and the conversions of images with odd `info`, raise many kinds
        raise ImageError(
            f"{argument}: {name} is truncated or damaged "
            f"({error or type(error).__name__}); save or download it again"
        ) from error


def _photo_of(image: Image.Image, argument: str, name: str, data: bytes, low: Image.Image | None) -> Photo:
    if not data:  # a file's was checked at its opening
        opening.check_header(image, argument, name)
    turned = is_turned(image)
    image.load()
    opening.check_size(*image.size, argument)  # the true size of some formats is known only now
    upright = _upright(image)
    if upright.mode == "F":
        raise ImageError(f"{argument}: {name} holds floating-point pixels; save it with 8 bits per channel")
    deep = depth.joined(upright, low) if low is not None else None
    if upright.mode.startswith("I"):
        deep = _grey_16_bit(np.asarray(upright), argument)
    original = describe(upright, image, data, deep, turned, name)
    return Photo(original.pixels, original)


def _upright(image: Image.Image) -> Image.Image:
    try:
        if image.getexif().get(0x0112, 1) == 1:
            return image  # exif_transpose would copy it
        return ImageOps.exif_transpose(image)
    except Exception:
        return image  # a damaged EXIF block gives no orientation; viewers ignore it too


def _grey_16_bit(grey: npt.NDArray[Any], argument: str) -> depth.Deep:
    if grey.min() < 0 or grey.max() > 65535:
        raise ImageError(f"{argument}: 32-bit integer pixels; save it with 8 or 16 bits per channel")
    return grey.astype(np.uint16)[:, :, None]


def _from_array(image: Any, argument: str) -> Pixels:
    array = to_numpy(image, argument)
    described = f"{array.dtype} {list(array.shape)}"
    if array.dtype != np.uint8:
        hint = ""
        if array.dtype.kind == "f":
            nan = array.size > 0 and bool(np.isnan(array).any())
            hint = "; it holds NaN" if nan else "; scale to 0..255 and convert with .astype('uint8')"
        raise ImageError(f"{argument}: expected uint8 pixels, got {described}{hint}")
    channels = array.shape[2] if array.ndim == 3 else 1
    if array.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise ImageError(f"{argument}: expected [H, W, 3], [H, W] or [H, W, 4], got {described}")
    opening.check_size(array.shape[1], array.shape[0], argument)
    if channels == 1:
        return np.repeat(array.reshape(*array.shape[:2], 1), 3, axis=2)
    return np.array(array[:, :, :3], order="C")


def to_numpy(
    array: Any,
    argument: str,
    expected: str = "a path, bytes, an open file, a PIL image or a uint8 array",
    error_type: type[ArgumentError] = ImageError,
) -> npt.NDArray[Any]:
    """Convert any array on any device to NumPy. Raises error_type if the object is not an array."""
    if isinstance(array, np.ndarray):
        return array
    try:
        if hasattr(array, "__cuda_array_interface__") and hasattr(array, "get"):
            return np.asarray(array.get())  # CuPy
        if hasattr(array, "detach") and hasattr(array, "cpu"):
            return np.asarray(array.detach().cpu().numpy())  # torch
        if hasattr(array, "__cuda_array_interface__") and hasattr(array, "__array__"):
            return np.asarray(array)  # the engine's own arrays (Result.resident), Numba
        if hasattr(array, "__dlpack__"):
            return np.from_dlpack(array)
        if hasattr(array, "__array_interface__"):
            return np.asarray(array)
    except Exception as error:  # every library has its own exceptions
        raise error_type(
            f"{argument}: this {type(array).__name__} cannot be read on the CPU ({error}); "
            f"expected {expected}"
        ) from error
    raise error_type(f"{argument}: expected {expected}, got {type(array).__name__}")


def half(pixels: Pixels) -> Pixels:
    """Reduce a picture [2H, 2W, 3] to [H, W, 3] by the means of 2 x 2 pixels, halves rounded up.

    It is OpenCV's bilinear resize at exactly half the size.
    """
    rows = pixels[::2].astype(np.uint16) + pixels[1::2]
    return ((rows[:, ::2] + rows[:, 1::2] + 2) >> 2).astype(np.uint8)


def resize(pixels: Pixels, width: int, height: int, resample: Image.Resampling) -> Pixels:
    """Resize pixels [h, w, 3] or [h, w]; return them as they are if they have the size already."""
    if pixels.shape[1] == width and pixels.shape[0] == height:
        return pixels
    return np.array(Image.fromarray(pixels).resize((width, height), resample))


def resize_part(pixels: Pixels, side: int, part: tuple[int, int, int, int]) -> Pixels:
    """Resize a square [s, s, 3] or [s, s] by Lanczos; only a part (top, left, bottom, right) need be right.

    Its bits are those of `resize`. Pillow filters a square along rows, rounds, then along columns: each pass
    is done by itself, on the rows and on the columns that the part depends on.
    """
    size = len(pixels)
    if size == side:
        return pixels
    top, left, bottom, right = part
    scale = size / side
    reach = 3 * max(scale, 1) + 1  # of the filter
    first, last = max(math.floor(top * scale - reach), 0), min(math.ceil(bottom * scale + reach), size)
    lanczos = Image.Resampling.LANCZOS
    wide = Image.fromarray(pixels[first:last]).resize((side, last - first), lanczos)
    tall = Image.new(wide.mode, (right - left, size), None)  # None: left as it is
    tall.paste(wide.crop((left, 0, right, last - first)), (0, first))
    out = np.zeros((side, side, *pixels.shape[2:]), np.uint8)
    out[top:bottom, left:right] = np.asarray(tall.resize((right - left, side), lanczos))[top:bottom]
    return out


def check_output(path: str | os.PathLike[str], argument: str = "path") -> None:
    """Raise ArgumentError for an unknown extension, OutputError if no picture can be written there."""
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"{argument}: expected a file name to write to, got {type(path).__name__}")
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        known = ", ".join(sorted(FORMATS))
        raise ArgumentError(f"{argument}: unknown picture format {suffix!r}, expected one of {known}")
    if suffix == ".avif" and not features.check("avif"):
        raise ArgumentError(
            f"{argument}: this Pillow writes no AVIF; `pip install -U pillow`, or write .webp"
        )
    check_writable(path, argument)


def write(
    pixels: Pixels,
    path: str | os.PathLike[str],
    argument: str = "path",
    original: Original | None = None,
    quality: int | None = None,
    xmp: bytes | None = None,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Write pixels [H, W, 3] or [H, W] in the format of the extension; an existing file is never damaged.

    original: what the photo was that these pixels were made of (`read_photo`): see `saving.save`. Without it,
    JPEG and WebP are written with quality 95. quality: 1 to 100, for JPEG and WebP, in place of either.
    xmp: packet for the file, in place of the photo's. finish: called with the file before it takes its name.

    Raises ArgumentError for an unknown extension or quality, OutputError if the file cannot be written.
    """
    check_output(path, argument)
    suffix = Path(path).suffix.lower()
    if quality is not None:
        saving.check_quality(quality, suffix)
    height, width = pixels.shape[:2]
    if max(height, width) > _MAX_SIDE.get(suffix, max(height, width)):
        raise OutputError(
            f"{argument}: {suffix} holds at most {_MAX_SIDE[suffix]} pixels a side, this picture is "
            f"{width} x {height}; write .png"
        )
    with replacing(path, argument) as temporary:
        saving.save(pixels, temporary, suffix, original, quality, xmp)
        if finish is not None:
            finish(temporary)
