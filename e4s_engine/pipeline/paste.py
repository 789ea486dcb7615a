"""Last stage of a swap: the face blended over the target's crop, the crop back in its photo, the `Result`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from e4s_engine.photo import align, blend, fade, images, match, soft, tone
from e4s_engine.photo.align import Crop
from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline import compose, told
from e4s_engine.pipeline.generate import Generated
from e4s_engine.regions import Labels, Mask
from e4s_engine.result import Lazy, Result


@dataclasses.dataclass(frozen=True)
class Finish:
    """What is done to a face between its generation and its paste.

    recolour: function face uint8 [S, S, 3], all of it generated -> [1024, 1024, 3]; None: not. inpaint:
    function (face [1024, 1024, 3], the same pasted into the crop) -> face; None: not. strength: share of the
    re-coloured face.
    """

    recolour: Callable[[Pixels], Pixels] | None = None
    inpaint: Callable[[Pixels, Pixels], Pixels] | None = None
    strength: float = 0.0


NOTHING = Finish()


def paste(
    crop: Crop,
    face: Generated,
    composed: compose.Shape,
    alpha: Pixels,
    mode: str,
    finish: Finish = NOTHING,
) -> Result:
    """Blend a face over the target's crop and put the crop back into the photo.

    alpha: opacity of the face over the crop. mode: see `blend.alpha`.
    """
    stages: list[tuple[str, Pixels]] = []
    pasted = face.pasted
    if finish.recolour is not None:
        pasted = finish.recolour(pasted)
        stages.append(("re-coloured", pasted))
    pasted = tone.matched(match.matched(pasted, composed.matched, crop), crop.tone)
    bands = mode in blend.PYRAMIDS and bool(composed.foreground.any())
    if bands:
        large = images.resize(pasted, align.CROP, align.CROP, Image.Resampling.BICUBIC)
        pasted = _blended(large, crop.image, composed.foreground, mode)
    if finish.inpaint is not None:
        pasted = images.resize(
            pasted, align.CROP, align.CROP, Image.Resampling.LANCZOS
        )  # as `align.paste` does
        shown = pasted if bands else align.composite(crop.image, pasted, alpha)
        pasted = tone.matched(finish.inpaint(pasted, shown), crop.tone)
        stages.append(("inpainted", pasted))
    if bands and crop.quad is None:
        alpha = np.full_like(alpha, 255)  # as published, the pyramids reach over the whole crop
    alpha = fade.towards_edges(alpha, crop)
    shape, quad = crop.photo.shape[:2], crop.quad
    return Result(
        align.paste(crop, pasted, alpha),
        face.whole,
        composed.labels,
        composed.holes,
        read_only(crop.image),
        Lazy(lambda: align.covered(shape, quad, alpha)),
        original=crop.original,
        recolored=finish.strength,
        inpainted=finish.inpaint is not None,
        stages=tuple(stages),
    )


def _blended(face: Pixels, target: Pixels, foreground: Mask, mode: str) -> Pixels:
    """Blend a face over the target by pyramids, over a hard or a soft edge."""
    if mode == "soft":
        return blend.blend_bands(face, target, *soft.face_opacity(foreground), blend.PYRAMIDS[mode])
    return blend.multiband(face, target, foreground, blend.PYRAMIDS[mode])


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
        recolored=first.recolored,
        inpainted=first.inpainted,
        stages=first.stages,
    )


def fused(
    image: Pixels,
    face: Pixels | Lazy[Pixels],
    labels: Labels,
    holes: Mask,
    crop: Crop,
    foreground: Callable[[], Mask],
) -> Result:
    """Return a fused swap of an aligned crop. foreground: function that computes what it pasted."""
    changed = Lazy(lambda: _differs(image, crop.image, foreground()))
    return Result(image, face, labels, holes, read_only(crop.image), changed, original=crop.original)


def resident(
    image: Any, face: Lazy[Pixels], labels: Labels, holes: Mask, crop: Any, foreground: Callable[[], Mask]
) -> Result:
    """Return a fused swap whose pictures lie on a GPU and are copied when asked for."""
    pixels, below = Lazy(lambda: np.asarray(image)), Lazy(lambda: read_only(np.asarray(crop)))
    changed = Lazy(lambda: _differs(pixels.get(), below.get(), foreground()))
    return Result(pixels, face, labels, holes, below, changed, image)


def read_only(pixels: Pixels) -> Pixels:
    """Return a view of pixels that several results share."""
    view = pixels.view()
    view.flags.writeable = False
    return view


def _differs(image: Pixels, crop: Pixels, foreground: Mask) -> Mask:
    """Return where a fused swap pasted. GPUs round opacities in their own way: a 0 here may be a 1 there."""
    return (blend.alpha(foreground, "feather") > 0) | (image != crop).any(axis=2)
