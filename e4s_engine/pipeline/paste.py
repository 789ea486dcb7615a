"""Last stage of a swap: the face blended over the target's crop, the crop back in its photo, the `Result`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from e4s_engine.photo import align, blend, fade, images, match, tone
from e4s_engine.photo.align import Crop
from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline import compose, told
from e4s_engine.pipeline.generate import Generated
from e4s_engine.regions import Labels, Mask
from e4s_engine.result import Lazy, Result


def paste(crop: Crop, face: Generated, composed: compose.Shape, alpha: Pixels, mode: str) -> Result:
    """Blend a face over the target's crop and put the crop back into the photo.

    alpha: opacity of the face over the crop. mode: see `blend.alpha`.
    """
    pasted = tone.matched(match.matched(face.pasted, composed.matched, crop), crop.image)
    if mode in blend.PYRAMIDS and composed.foreground.any():
        large = images.resize(pasted, align.CROP, align.CROP, Image.Resampling.BICUBIC)
        pasted = blend.multiband(large, crop.image, composed.foreground, blend.PYRAMIDS[mode])
        if crop.quad is None:
            alpha = np.full_like(alpha, 255)  # as published, the pyramids reach over the whole crop
    alpha = fade.towards_edges(alpha, crop)
    shape, quad = crop.photo.shape[:2], crop.quad
    return Result(
        align.paste(crop, pasted, alpha),
        face.whole,
        composed.labels,
        composed.holes,
        read_only(crop.image),
        Lazy(lambda: _covered(shape, quad, alpha)),
        original=crop.original,
    )


def untouched(crop: Crop, labels: Labels, size: int) -> Result:
    """Return the target as it is. Copies: a target may come several times."""
    face = images.resize(crop.image, size, size, Image.Resampling.LANCZOS)
    shape = crop.photo.shape[:2]
    return Result(
        crop.photo.copy(),
        face.copy(),
        labels.copy(),
        np.zeros(labels.shape, bool),
        read_only(crop.image),
        Lazy(lambda: np.zeros(shape, bool)),
        original=crop.original,
    )


def together(results: Sequence[Result], crop: Crop) -> Result:
    """Return the last of results that were pasted one after the other, changed where any of them was.

    crop: the first of their crops.
    """
    first, last = results[0], results[-1]
    return Result(
        last.image,
        Lazy(lambda: first.face),
        first.labels,
        first.holes,
        first.crop,
        Lazy(lambda: np.logical_or.reduce([result.changed for result in results])),
        original=crop.original,
        faces=Lazy(lambda: tuple(face for result in results for face in result.faces)),
        statement=told.joined(results),
    )


def fused(
    image: Pixels, face: Pixels, labels: Labels, holes: Mask, crop: Crop, foreground: Callable[[], Mask]
) -> Result:
    """Return a fused swap of an aligned crop. foreground: function that computes what it pasted."""
    changed = Lazy(lambda: _differs(image, crop.image, foreground()))
    return Result(image, face, labels, holes, read_only(crop.image), changed, original=crop.original)


def resident(
    image: Any, face: Any, labels: Labels, holes: Mask, crop: Any, foreground: Callable[[], Mask]
) -> Result:
    """Return a fused swap whose pictures lie on a GPU and are copied when asked for."""
    pixels, below = Lazy(lambda: np.asarray(image)), Lazy(lambda: read_only(np.asarray(crop)))
    changed = Lazy(lambda: _differs(pixels.get(), below.get(), foreground()))
    return Result(pixels, Lazy(lambda: np.asarray(face)), labels, holes, below, changed, image)


def read_only(pixels: Pixels) -> Pixels:
    """Return a view of pixels that several results share."""
    view = pixels.view()
    view.flags.writeable = False
    return view


def _covered(shape: tuple[int, ...], quad: align.Points | None, alpha: Pixels) -> Mask:
    """Return where a paste with this opacity over the crop shows in a photo: white pasted over black."""
    black, white = np.zeros(shape, np.uint8), np.full_like(alpha, 255)
    return align.paste(Crop(black, black, quad), white, alpha) > 0


def _differs(image: Pixels, crop: Pixels, foreground: Mask) -> Mask:
    """Return where a fused swap pasted. GPUs round opacities in their own way: a 0 here may be a 1 there."""
    return (blend.alpha(foreground, "feather") > 0) | (image != crop).any(axis=2)
