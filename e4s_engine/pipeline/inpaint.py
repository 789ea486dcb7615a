"""Inpainting: a hole, where the target's face reaches further than the source's, is drawn anew.

A step of the longer paper. The network works at 256 x 256 on the pasted face. Published, its picture is
restored by CodeFormer, whose weights are for non-commercial use; here it is enlarged only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine.photo import images, soft
from e4s_engine.photo.align import CROP
from e4s_engine.photo.boxes import bounds
from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Mask

Run = Callable[..., npt.NDArray[Any]]  # (network, function, arrays...) -> result, of a backend
Floats = npt.NDArray[np.float32]

KIND = "inpaint"
SIDE = 256


def wider(hole: Mask) -> Mask:
    """Return the pixels [512, 512] that the network draws: the hole a little wider."""
    return soft.blur(_taller(hole), soft.THREE) > 0


def opacity(hole: Mask) -> Floats:
    """Return the opacity of the drawn picture over the crop [1024, 1024], in 0..1."""
    wide = (soft.blur(_taller(hole), soft.SEVEN) > 0).astype(np.uint8) * 255
    mask = np.divide(soft.blur(wide, soft.THREE), np.float32(255), dtype=np.float32)
    return soft.erode(soft.resize_corners(mask, CROP)).clip(0, 1)


def _taller(hole: Mask) -> Pixels:
    """Return a hole grown by a row downwards, 0 or 255: the published element of 2 x 1 pixels."""
    grown = hole.copy()
    grown[1:] |= hole[:-1]
    return grown.astype(np.uint8) * 255


def fill(picture: Pixels, mask: Mask, run: Run) -> Pixels:
    """Draw what a mask [512, 512] covers of a crop; return the whole uint8 [256, 256, 3]."""
    small = images.resize(picture, SIDE, SIDE, Image.Resampling.BICUBIC)
    hole = np.asarray(mask.reshape(SIDE, 2, SIDE, 2).any((1, 3)))
    plain = np.where(hole[..., None], np.float32(0), small / np.float32(255))
    holed = np.concatenate([plain, hole[..., None]], axis=2, dtype=np.float32)
    share = np.full((1, 1, 1), hole.mean(), np.float32)
    box = bounds(hole)  # of the pixels that are read; the others may be anything
    boxes = None if box is None else np.array([box], np.int64)
    drawn = run(KIND, "fill", holed[None], share, boxes=boxes)[0][hole]
    filled = small.copy()
    filled[hole] = np.rint(drawn.clip(0, 1) * np.float32(255)).astype(np.uint8)
    return filled


def mix(picture: Pixels, drawn: Pixels, mask: Floats) -> Pixels:
    """Lay a drawn picture over a crop, as published: truncated to 8 bits."""
    share = mask[..., None]
    return (picture * (1 - share) + drawn * share).astype(np.uint8)


def inpaint(picture: Pixels, shown: Pixels, hole: Mask, run: Run) -> Pixels:
    """Return a face [1024, 1024, 3] with the hole drawn anew; without a hole, the face itself.

    shown: the face pasted into the target's crop, which the network sees.
    """
    if not hole.any():
        return picture
    drawn = fill(shown, wider(hole), run)
    large = images.resize(drawn, CROP, CROP, Image.Resampling.BICUBIC)
    return mix(picture, large, opacity(hole))
