"""Frames of a clip: pixels for the networks, and the decoder's own samples for what does not change."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.photo.images import Pixels
from e4s_engine.video.codecs import is_bare, pyav
from e4s_engine.video.turn import AS_STORED, Turn

BT709, BT601, UNKNOWN = 1, 5, 2  # colour matrices, numbered as in H.273
LIMITED, FULL = 1, 2  # sample ranges of FFmpeg
# SWS_BICUBIC, FULL_CHR_H_INT, FULL_CHR_H_INP and ACCURATE_RND: without them libswscale darkens pictures by 1
# to 2 levels.
_EXACT = 0x4 | 0x2000 | 0x4000 | 0x40000
_HIGH = 720  # rows from which players take an untagged clip's matrix to be BT.709


@dataclasses.dataclass(frozen=True)
class Colours:
    """Colour tags of a clip, numbered as in H.273: 2 is unknown. range: 0 unknown, 1 limited, 2 full."""

    range: int = 0
    matrix: int = UNKNOWN
    primaries: int = UNKNOWN
    transfer: int = UNKNOWN


@dataclasses.dataclass(frozen=True, eq=False)
class Frame:
    """One frame.

    number: from 0, in the order of display. pts, duration: in units of the clip's time base. native: the
    decoder's frame; None for frames that came as arrays. array: the frame as it came, if native is None.
    """

    number: int
    pts: int
    duration: int
    native: Any = None
    turn: Turn = AS_STORED
    array: Pixels | None = None

    @cached_property
    def pixels(self) -> Pixels:
        """Upright picture, uint8 [H, W, 3] sRGB-like; read-only."""
        pixels = to_pixels(self.native, self.turn) if self.array is None else self.array.view()
        pixels.flags.writeable = False
        return pixels


def to_pixels(native: Any, turn: Turn) -> Pixels:
    """Return a decoder's frame as uint8 [H, W, 3], upright."""
    rgb = native.reformat(format="rgb24", interpolation=_EXACT, **_colours_in(native))
    return turn.shown(rgb.to_ndarray())


def matrix_of(matrix: int, height: int) -> int:
    """Return a clip's colour matrix; that of an untagged one is what players assume."""
    return matrix if matrix not in (0, UNKNOWN) else BT709 if height >= _HIGH else BT601


def from_pixels(stored: Pixels, pix_fmt: str, matrix: int, full_range: bool) -> Any:
    """Return pixels [H, W, 3] as a frame in a pixel format. matrix: colour matrix of YUV formats."""
    frame = pyav().VideoFrame.from_ndarray(stored, format="rgb24")
    if is_bare(pix_fmt):
        return frame.reformat(format=pix_fmt, interpolation=_EXACT)
    return frame.reformat(
        format=pix_fmt,
        interpolation=_EXACT,
        dst_colorspace=matrix,
        src_color_range=FULL,
        dst_color_range=FULL if full_range else LIMITED,
    )


def in_format(native: Any, pix_fmt: str, matrix: int, full_range: bool) -> Any:
    """Return a decoder's frame in a pixel format, the same samples where the formats hold them."""
    name = native.format.name
    if name.replace("yuvj", "yuv") == pix_fmt:
        return _copied(native, pix_fmt) if name != pix_fmt else native
    more: dict[str, Any] = {"interpolation": _EXACT, **_colours_in(native)}
    if not is_bare(pix_fmt):
        more |= {"dst_colorspace": matrix, "dst_color_range": FULL if full_range else LIMITED}
    return native.reformat(format=pix_fmt, **more)


def with_changes(native: Any, before: Pixels, after: Pixels, matrix: int, full_range: bool) -> Any:
    """Return a frame to whose samples the difference of two pictures is added.

    Samples that no changed pixel touches stay as they are, bit for bit, in any depth.

    native: frame in a planar YUV format of three planes. before, after: what the frame shows and shall show,
    uint8 [H, W, 3] as stored.
    """
    pix_fmt = native.format.name
    differs = (before != after).any(axis=2)
    if not differs.any():
        return native
    window = _window(differs)
    old, new = (
        from_pixels(picture[window].copy(), pix_fmt, matrix, full_range) for picture in (before, after)
    )
    result = _copied(native, pix_fmt)
    top = (1 << native.format.components[0].bits) - 1
    for number, plane in enumerate(result.planes):
        whole = samples(plane)
        change = samples(new.planes[number]).astype(np.int32) - samples(old.planes[number])
        first = window[0].start * plane.height // native.height, window[1].start * plane.width // native.width
        part = whole[first[0] : first[0] + change.shape[0], first[1] : first[1] + change.shape[1]]
        part[:] = (part + change).clip(0, top)
    return result


def samples(plane: Any) -> npt.NDArray[Any]:
    """Return a view of a plane's samples [h, w], uint8 or uint16."""
    deep = plane.line_size >= 2 * plane.width
    rows = np.frombuffer(plane, np.uint16 if deep else np.uint8).reshape(plane.height, -1)
    return rows[:, : plane.width]


def _copied(native: Any, pix_fmt: str) -> Any:
    """Return a copy of a frame under the name of a format with the same samples."""
    result = pyav().VideoFrame(native.width, native.height, pix_fmt)
    for plane, own in zip(result.planes, native.planes, strict=True):
        samples(plane)[:] = samples(own)
    result.color_range, result.colorspace = native.color_range, native.colorspace
    return result


def _window(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """Return the rows and columns around a mask, on even borders with a margin for the chroma filter."""
    bounds = []
    for axis in (1, 0):
        along = np.flatnonzero(mask.any(axis))
        first = max(int(along[0]) - 8, 0) // 2 * 2
        bounds.append(slice(first, min((int(along[-1]) + 10) // 2 * 2, mask.shape[1 - axis])))
    return bounds[0], bounds[1]


def _colours_in(native: Any) -> dict[str, int]:
    """Return what FFmpeg must be told to convert from a frame."""
    name = native.format.name
    if is_bare(name):
        return {}
    full_range = native.color_range == FULL or name.startswith("yuvj")
    return {
        "src_colorspace": matrix_of(int(native.colorspace), native.height),
        "src_color_range": FULL if full_range else LIMITED,
    }
