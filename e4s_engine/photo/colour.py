"""Colour profiles: pictures into sRGB for the networks, and back into the profile of their file."""

from __future__ import annotations

import io
import logging
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

logger = logging.getLogger("e4s_engine")

Pixels = npt.NDArray[np.uint8]

_SAME = 2  # profiles whose conversion to sRGB moves no colour further are taken as sRGB
_STEPS = np.linspace(0, 255, 9).astype(np.uint8)
_CUBE = np.stack(np.meshgrid(_STEPS, _STEPS, _STEPS), axis=-1).reshape(27, 27, 3)


def to_srgb(picture: Pixels | Image.Image, icc: bytes, name: str) -> Pixels | None:
    """Convert uint8 [H, W, 3], or a CMYK image, from a profile to sRGB.

    Returns the same array if the profile is sRGB's, None (after a warning) if the profile cannot be used.
    name: the picture's name for the warning.
    """
    try:
        if isinstance(picture, Image.Image):
            return _convert(picture, icc, None)
        cube = _convert(Image.fromarray(_CUBE), icc, None).astype(int)
        if np.abs(cube - _CUBE).max() <= _SAME:
            return picture
        return _convert(Image.fromarray(picture), icc, None)
    except Exception as error:  # littlecms is missing, or the profile is damaged or of another kind of pixels
        logger.warning(
            "%s: its colour profile cannot be used, its colours are taken as sRGB (%s)", name, error
        )
        return None


def from_srgb(pixels: Pixels, icc: bytes) -> Pixels:
    """Convert uint8 [h, w, 3] from sRGB to a profile that `to_srgb` could use."""
    return _convert(Image.fromarray(pixels), None, icc)


def _convert(picture: Image.Image, source: bytes | None, target: bytes | None) -> Pixels:
    from PIL import ImageCms  # Pillow may be built without it

    def profile(icc: bytes | None) -> Any:
        return ImageCms.createProfile("sRGB") if icc is None else ImageCms.ImageCmsProfile(io.BytesIO(icc))

    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    out = ImageCms.profileToProfile(picture, profile(source), profile(target), intent, "RGB", flags=flags)
    assert out is not None
    return np.array(out)
