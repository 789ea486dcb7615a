"""FFHQ alignment: photo + landmarks -> aligned crop, and back.

The alignment is the official code's, section 10 of the method (Karras et al., "A Style-Based Generator
Architecture", appendix on FFHQ).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine.errors import AlignmentError, BackendError
from e4s_engine.photo import images, tone
from e4s_engine.photo.boxes import Box, around, bounds
from e4s_engine.photo.images import Pixels
from e4s_engine.photo.original import Original
from e4s_engine.photo.tone import Tone
from e4s_engine.regions import Mask

Points = npt.NDArray[np.float64]

CROP = 1024  # side of the aligned crop that the stages work on
_SMALL = 512  # the parser sees aligned photos with a side below this at their own size


@dataclasses.dataclass(frozen=True)
class Crop:
    """Aligned face and the photo it came from.

    photo: uint8 [H, W, 3]. image: uint8 [1024, 1024, 3]. quad: corners of the crop in the photo (top left,
    bottom left, bottom right, top right; pixels), or None if the whole photo is the crop. original: what the
    photo's file was; None for arrays.
    """

    photo: Pixels
    image: Pixels
    quad: Points | None
    original: Original | None = None

    @property
    def for_parser(self) -> Pixels:
        """Return the parser's input: the crop, or the photo itself if that is small."""
        small = self.quad is None and self.photo.shape[0] < _SMALL
        return self.photo if small else self.image

    @functools.cached_property
    def tone(self) -> Tone | None:
        """Return the one tone that the crop's colours are of; None if it has several."""
        return tone.of(self.image)


def whole(photo: Pixels, argument: str = "image") -> Crop:
    """Return the crop of a photo that is aligned already. Raises AlignmentError if it is not square."""
    height, width = photo.shape[:2]
    if height != width:
        raise AlignmentError(
            f"{argument}: {width} x {height} pixels is not square, and align=False takes a photo as the "
            "aligned crop itself; cut a square around the face out of it, or leave align out and pass "
            "landmarks ([68, 2] or [5, 2], in pixels)"
        )
    return Crop(photo, images.resize(photo, CROP, CROP, Image.Resampling.BICUBIC), None)


def crop(photo: Pixels, landmarks: Any, argument: str = "landmarks") -> Crop:
    """Cut the aligned crop out of a photo. landmarks: [68, 2] (iBUG order) or [5, 2], in pixels."""
    quad = quad_of(check_landmarks(landmarks, argument), argument)
    check_reach(photo, quad, argument)
    return cut(photo, quad)


def cut(photo: Pixels, quad: Points) -> Crop:
    """Cut a crop out of a photo by its corners [4, 2], in the order of `quad_of`."""
    return Crop(photo, _extract(photo, quad), quad)


def again(crop: Crop, photo: Pixels) -> Pixels:
    """Return the same crop of another photo of the same size, uint8 [1024, 1024, 3]."""
    if crop.quad is None:
        return images.resize(photo, CROP, CROP, Image.Resampling.BICUBIC)
    return _extract(photo, crop.quad)


def check_landmarks(landmarks: Any, argument: str = "landmarks") -> Points:
    """Return landmarks as float64 [68, 2] or [5, 2]. Raises AlignmentError."""
    expected = "expected pixel coordinates [68, 2] or [5, 2]"
    try:
        if hasattr(landmarks, "detach"):
            landmarks = landmarks.detach().cpu()  # a torch tensor on any device
        array = np.asarray(landmarks)
        if array.dtype.kind not in "fiu":
            raise AlignmentError(f"{argument}: {expected}, got {array.dtype} {list(array.shape)}")
        points = array.astype(np.float64)
    except Exception as error:  # every library's arrays have their own exceptions
        if isinstance(error, AlignmentError):
            raise
        kind = type(landmarks).__name__
        raise AlignmentError(
            f"{argument}: {expected}, got a {kind} that is no array ({error!s:.80})"
        ) from error
    if points.shape not in ((68, 2), (5, 2)):
        raise AlignmentError(f"{argument}: {expected}, got {list(points.shape)}")
    if not np.isfinite(points).all():
        raise AlignmentError(f"{argument}: {expected}, some are NaN or infinite")
    return points


def quad_of(points: Points, argument: str = "landmarks") -> Points:
    """Return the FFHQ crop's corners [4, 2]: top left, bottom left, bottom right, top right.

    Five points are eyes, nose tip and mouth corners, left to right as seen in the picture.
    """
    if len(points) == 68:
        left, right = points[36:42].mean(0), points[42:48].mean(0)
        mouth = (points[48] + points[54]) / 2
    else:
        left, right = points[0], points[1]
        mouth = (points[3] + points[4]) / 2
    eyes = (left + right) / 2
    across, down = right - left, mouth - eyes
    axis = across - np.array([-down[1], down[0]])
    length = np.hypot(*axis)
    half = max(np.hypot(*across) * 2.0, np.hypot(*down) * 1.8)
    if length < 1e-6 or half < 4:
        raise AlignmentError(f"{argument}: eyes and mouth coincide; these are no landmarks of a face")
    x = axis / length * half
    y = np.array([-x[1], x[0]])
    centre = eyes + 0.1 * down
    return np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])


def check_reach(photo: Pixels, quad: Points, argument: str) -> None:
    """Raise AlignmentError for a crop that lies elsewhere than in the photo, or is far larger."""
    height, width = photo.shape[:2]
    centre = quad.mean(0)
    side = float(np.hypot(*(quad[3] - quad[0])))
    if not (0 <= centre[0] < width and 0 <= centre[1] < height):
        raise AlignmentError(
            f"{argument}: the face's centre is outside the {width} x {height} photo; expected pixels (x, y) "
            "of this photo"
        )
    if side > 4 * max(width, height):
        raise AlignmentError(
            f"{argument}: a face {side:.0f} wide in a {width} x {height} photo; expected pixels (x, y) of "
            "this photo"
        )


def _extract(photo: Pixels, quad: Points) -> Pixels:
    """Resample the quad to the crop's size; shrink the photo first if the quad is over twice that size."""
    corners = quad.copy()
    shrink = int(np.hypot(*(quad[3] - quad[1])) / CROP * 0.5)  # by the diagonal, as in the official code
    if shrink <= 1:
        picture = _around(photo, quad)
    else:
        picture = Image.fromarray(photo)
        size = (max(1, round(picture.width / shrink)), max(1, round(picture.height / shrink)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
        corners /= shrink
    corners = corners + 0.5  # pixel indices -> the continuous coordinates Pillow uses
    data = tuple(corners.ravel())
    return np.array(picture.transform((CROP, CROP), Image.Transform.QUAD, data, Image.Resampling.BILINEAR))


def _around(photo: Pixels, quad: Points) -> Image.Image:
    """Return a photo of which only the part around a quad is filled in, for bilinear samples inside it."""
    height, width = photo.shape[:2]
    top, left, bottom, right = around(quad, photo.shape, 2)
    picture = Image.new("RGB", (width, height), None)  # None: left as it is
    if left < right and top < bottom:
        picture.paste(Image.fromarray(photo[top:bottom, left:right]), (left, top))
    return picture


def paste(crop: Crop, face: Pixels, alpha: Pixels) -> Pixels:
    """Composite a face over the photo where its crop was.

    face: uint8 [s, s, 3], alpha: uint8 [a, a], both covering the whole crop. Where the resampled alpha is 0
    the photo's pixels are returned bit for bit.
    """
    if crop.quad is None:
        height, width = crop.photo.shape[:2]
        resized = images.resize(face, width, height, Image.Resampling.LANCZOS)
        return composite(crop.photo, resized, images.resize(alpha, width, height, Image.Resampling.BILINEAR))
    out = crop.photo.copy()
    _paste_quad(out, crop.quad, face, alpha)
    return out


def side_of(crop: Crop) -> int:
    """Return the side to which `paste` resizes a face."""
    return crop.photo.shape[0] if crop.quad is None else _side(crop.quad)


def _side(quad: Points) -> int:
    """Return about the side of a crop in its photo: bilinear sampling of a much larger face would alias."""
    return min(CROP, max(1, round(float(np.hypot(*(quad[3] - quad[0]))))))


def composite(photo: Pixels, face: Pixels, alpha: Pixels) -> Pixels:
    """Blend alpha / 255 of the face over a copy of the photo, rounded; all three have the same size."""
    out = photo.copy()
    rows, columns = (np.flatnonzero(alpha.any(axis)) for axis in (1, 0))
    if len(rows):  # Pillow sees the part where the face shows
        window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        parts = (Image.fromarray(pixels[window]) for pixels in (face, photo, alpha))
        out[window] = np.asarray(Image.composite(*parts))
    return out


def covered(shape: tuple[int, ...], quad: Points | None, alpha: Pixels) -> Mask:
    """Return where a paste with this opacity over a crop shows in a photo of a shape: white over black."""
    black, white = np.zeros(shape, np.uint8), np.full_like(alpha, 255)
    if quad is None:
        return paste(Crop(black, black, None), white, alpha) > 0
    top, left, bottom, right = _paste_quad(black, quad, white, alpha)
    part = black[top:bottom, left:right]
    part[...] = part > 0
    return black.view(np.bool_)


def _paste_quad(photo: Pixels, quad: Points, face: Pixels, alpha: Pixels) -> Box:
    """Paste into a photo, which is changed, and return the box beyond which it was not."""
    side = _side(quad)
    alpha = images.resize(alpha, side, side, Image.Resampling.BOX)
    seen = bounds(alpha > 0)
    if seen is None:
        return 0, 0, 0, 0
    top, left = (max(edge - 1, 0) for edge in seen[:2])  # bilinear samples reach a pixel
    bottom, right = (min(edge + 1, side) for edge in seen[2:])
    box = _under(quad, (top / side, left / side, bottom / side, right / side), photo.shape)
    if box[0] < box[2] and box[1] < box[3]:
        face = images.resize_part(face, side, (top, left, bottom, right))
        origin = around(quad, photo.shape)[:2]
        _warping()(photo, face, alpha, _photo_to_crop(quad - origin[::-1], side), origin, box)
    return box


def _warping() -> Callable[..., None]:
    """Return the compiled extension's paste. Raises BackendError if it is missing."""
    try:
        from e4s_engine import _native
    except ImportError as error:
        raise BackendError(
            f"backend: pasting needs the compiled extension, which cannot be loaded ({error}); install the "
            "package with `pip install .`"
        ) from error
    return _native.paste


def _under(quad: Points, part: tuple[float, ...], shape: tuple[int, ...]) -> Box:
    """Return the pixels of a photo that lie in a part of a quad (top, left, bottom, right; shares of it)."""
    across, down = quad[3] - quad[0], quad[1] - quad[0]
    corners = np.array([quad[0] + x * across + y * down for x in part[1::2] for y in part[::2]])
    return around(corners, shape)


def _photo_to_crop(quad: Points, side: int) -> tuple[float, ...]:
    """Return Pillow's affine coefficients from photo to crop coordinates; the quad is a parallelogram."""
    origin, down, across = quad[0] + 0.5, quad[1] - quad[0], quad[3] - quad[0]
    inverse = np.linalg.inv(np.stack([across, down], axis=1)) * side
    offset = -inverse @ origin
    return (*inverse[0], offset[0], *inverse[1], offset[1])
