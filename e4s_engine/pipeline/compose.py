"""Composition of label maps (shape) and style vectors (texture): the swap itself.

Labels are uint8 [512, 512], holes and foregrounds bool [512, 512], style vectors float32 [12, D].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from e4s_engine import regions
from e4s_engine.photo import blend
from e4s_engine.photo.match import Area
from e4s_engine.regions import Labels, Mask

Styles = npt.NDArray[np.float32]
Part = tuple[Labels, Sequence[int]]  # labels of one source and the regions that the swap uses of it


@dataclasses.dataclass(frozen=True)
class Shape:
    """Shape of a swapped face, and the part of it that is pasted.

    matched: areas of the picture that take the target's colours.
    """

    labels: Labels
    holes: Mask
    foreground: Mask
    matched: tuple[Area, ...] = dataclasses.field(default=(), kw_only=True)


@dataclasses.dataclass(frozen=True)
class Composed(Shape):
    """Input of the decoder, and the part of its picture that is pasted."""

    styles: Styles


KEPT_TEXTURE = (regions.BACKGROUND, regions.HAIR, regions.GLASSES, regions.EARRINGS)
# Regions that every face has. Where the source hides one (behind glasses or a hand), the target's stays. The
# published whole-face swap leaves skin there: a face without eyes.
UNIVERSAL = (regions.LIPS, regions.EYES, regions.NOSE)
KEPT_SHAPE = (regions.BACKGROUND, regions.GLASSES, regions.HAIR)  # unless they are themselves chosen
SKINS = (regions.SKIN, regions.NOSE, regions.EARS, regions.NECK)
_NEAR = 32  # distance in label pixels to which skin is near a hole
BAND = 6  # width in label pixels of the generated skin that is pasted beside vanished hair
NOT_PASTED = (regions.BACKGROUND, regions.EARRINGS, regions.HAIR)

# Painting order where parts of several sources claim one pixel; later regions win.
ORDER = (
    regions.BACKGROUND, regions.NECK, regions.EARS, regions.EARRINGS, regions.SKIN, regions.HAIR,
    regions.LIPS, regions.MOUTH, regions.NOSE, regions.EYES, regions.EYEBROWS, regions.GLASSES,
)  # fmt: skip


def shown(source: Labels, chosen: Sequence[int]) -> list[int]:
    """Return the chosen regions that a source shows: all except UNIVERSAL ones that it hides."""
    return [region for region in chosen if region not in UNIVERSAL or bool((source == region).any())]


# Options of a swap that backends which compose take as floats, in this order.
SETTINGS = ("extent", "shape", "texture", "hair_first", "earrings_first")

# Values of a `request`: the region is swapped; it belongs to a published swap of the whole face.
TAKEN, WHOLE = 1, 2


def request(chosen: Sequence[int] | None, source: Labels) -> npt.NDArray[np.uint8]:
    """Return the request for backends that compose, uint8 [12]. chosen: region ids; None: whole face."""
    if chosen is None:
        return np.full(regions.COUNT, WHOLE, np.uint8)
    said = np.zeros(regions.COUNT, np.uint8)
    said[shown(source, chosen)] = TAKEN
    return said


def whole_face_labels(
    source: Labels, target: Labels, hair_first: bool = True, earrings_first: bool = True
) -> tuple[Labels, Mask]:
    """Compose the published way: the source's inner face in the target's head -> labels, holes.

    hair_first, earrings_first: whether the target's hair and earrings lie under the source's face, or over
    it. Both lie under it as published. Pixels that no region claims are holes and become skin.
    """
    out = np.full_like(target, 255)  # unclaimed
    under, over = layers(hair_first, earrings_first)
    _paint(out, target, under, np.ones_like(out, bool))
    _paint(out, source, regions.FACE, target != regions.BACKGROUND)
    _paint(out, target, over, np.ones_like(out, bool))
    holes = out == 255
    out[holes] = regions.SKIN
    return out, holes


# The longer paper takes less from the source, and pastes less of it: ears and neck stay the target's.
LONGER_PARTS = (
    regions.LIPS, regions.EYEBROWS, regions.EYES, regions.NOSE, regions.SKIN, regions.MOUTH,
)  # fmt: skip
NO_FACE = (regions.BACKGROUND, regions.HAIR, regions.EARS, regions.NECK, regions.EARRINGS)


def longer_labels(source: Labels, target: Labels) -> tuple[Labels, Mask]:
    """Compose the longer paper's way (arXiv 2310.15081): the source's inner face under the target's hair.

    Holes are where the target's face reaches further than the source's, below the eyes; they do not depend on
    which region claimed their pixels -> labels, holes.
    """
    out = np.full_like(target, 255)
    anywhere = np.ones(target.shape, bool)
    _paint(out, target, (regions.BACKGROUND, regions.NECK, regions.EARS, regions.EARRINGS), anywhere)
    _paint(out, source, (regions.LIPS, regions.EYEBROWS), anywhere)
    out[(source == regions.HAIR) & (target == regions.EYEBROWS)] = regions.EYEBROWS
    _paint(out, source, (regions.EYES, regions.NOSE, regions.SKIN, regions.MOUTH), anywhere)
    out[_before_forehead(target)] = regions.BACKGROUND
    _paint(out, target, (regions.HAIR, regions.GLASSES), anywhere)
    out[out == 255] = regions.SKIN
    holes = ~np.isin(target, NO_FACE) & np.isin(source, NO_FACE)
    holes[: _eye_line(source)] = False
    return out, holes


def _before_forehead(target: Labels) -> Mask:
    """Return the target's background above its forehead, a hat or a hand: it stays before the face."""
    skin = target == regions.SKIN
    skin[0] = False
    top = np.where(skin.any(0), skin.argmax(0), -1)
    return (target == regions.BACKGROUND) & (np.arange(len(target))[:, None] <= top)


def _eye_line(source: Labels) -> int:
    """Return the lowest row of the source's eyes, else of its brows, else two fifths of the height."""
    for region in (regions.EYES, regions.EYEBROWS):
        rows = np.flatnonzero((source == region).any(1))
        if len(rows):
            return int(rows[-1])
    return 2 * len(source) // 5


def longer_styles(source: Styles, target: Styles, extent: float = 1.0) -> Styles:
    """Swap the textures of the longer paper: the inner face's; a mouth that the source hides stays."""
    out, parts = target.copy(), list(LONGER_PARTS)
    out[parts] = source[parts]
    if not source[regions.MOUTH].sum():
        out[regions.MOUTH] = target[regions.MOUTH]
    return mix(target, out, extent)


def layers(hair_first: bool, earrings_first: bool) -> tuple[list[int], list[int]]:
    """Return the target's regions under the source's face and those over it."""
    under = [regions.BACKGROUND, regions.NECK, regions.EARS]
    over = [regions.GLASSES]
    (under if earrings_first else over).append(regions.EARRINGS)
    (under if hair_first else over).append(regions.HAIR)
    return under, over


def _paint(out: Labels, labels: Labels, chosen: Sequence[int], where: Mask) -> None:
    mask = np.isin(labels, chosen) & where
    out[mask] = labels[mask]


def region_labels(parts: Sequence[Part], target: Labels) -> tuple[Labels, Mask]:
    """Replace the shapes of some regions of the target by the sources' -> labels, holes.

    Pixels that a chosen region of the target vacates are holes and become skin; vacated hair becomes
    background where its source shows background. The target's background, glasses and hair are never painted
    over, unless glasses or hair are among the chosen regions; new hair covers the background.
    """
    chosen = [r for _, ids in parts for r in ids]
    fixed = set(KEPT_SHAPE) - (set(chosen) - {regions.BACKGROUND})
    free = ~np.isin(target, list(fixed))
    over_background = free | (target == regions.BACKGROUND)
    vacated = np.isin(target, chosen) & (target != regions.BACKGROUND)
    out, claimed = target.copy(), np.zeros_like(free)
    for region in ORDER:
        for labels, ids in parts:
            if region in ids:
                mask = (labels == region) & (over_background if region == regions.HAIR else free)
                out[mask] = region
                claimed |= mask
    holes = vacated & ~claimed
    out[holes] = regions.SKIN
    for labels, ids in parts:
        if regions.HAIR in ids:  # skin there would be a halo around the head
            out[holes & (target == regions.HAIR) & (labels == regions.BACKGROUND)] = regions.BACKGROUND
    return out, holes


def whole_face_styles(source: Styles, target: Styles, extent: float = 1.0) -> Styles:
    """Swap textures the published way: all but background, hair, glasses and earrings.

    If the source shows no ears, the ears' vector is the mean of both; if it shows no inner mouth, the
    target's vector stays. extent in [0, 1] mixes: (1 - extent) * target + extent * swapped.
    """
    out = source.copy()
    out[list(KEPT_TEXTURE)] = target[list(KEPT_TEXTURE)]
    if not source[regions.EARS].sum():
        out[regions.EARS] = (target[regions.EARS] + source[regions.EARS]) / 2
    if not source[regions.MOUTH].sum():
        out[regions.MOUTH] = target[regions.MOUTH]
    return mix(target, out, extent)


def region_styles(
    parts: Sequence[tuple[Styles, Sequence[int]]], target: Styles, extent: float = 1.0
) -> Styles:
    """Mix the vectors of some regions of the target with the sources'.

    A region that its source does not show keeps the target's vector.
    """
    out = target.copy()
    for styles, ids in parts:
        for region in ids:
            if styles[region].any():
                out[region] = mix(target[region], styles[region], extent)
    return out


def complete_styles(out: Styles, parts: Sequence[tuple[Styles, Sequence[int]]], target: Styles) -> Styles:
    """Use the source's vectors for regions the target lacks but the swap adds."""
    out = out.copy()
    for styles, ids in parts:
        for region in ids:
            if not target[region].any():
                out[region] = styles[region]
    return out


def mix(target: Styles, source: Styles, extent: float) -> Styles:
    """Return (1 - extent) * target + extent * source, exact at both ends."""
    if extent in (0, 1):
        return (source if extent else target).copy()
    return (np.float32(1 - extent) * target + np.float32(extent) * source).astype(np.float32)


def matched_skins(chosen: Sequence[int] | None, mode: str) -> list[int]:
    """Return the regions whose colours become the target's. chosen: region ids; None: whole face.

    mode: "color", "none", or "auto", which leaves all as they are where the face's skin is chosen: its colour
    is then the wish.
    """
    if mode == "none" or (mode == "auto" and (chosen is None or regions.SKIN in chosen)):
        return []
    return [region for region in SKINS if chosen is None or region in chosen]


def matched_areas(skins: Sequence[int], labels: Labels, holes: Mask, target: Labels) -> tuple[Area, ...]:
    """Return what takes the target's colours: regions of skin, and the face's skin that fills holes.

    A region is compared with itself in the target. Holes have the target's own skin, as well as it was
    encoded: it is compared with the target's near them where both show skin.
    """
    if not skins:
        return ()
    areas = [Area(labels == skin, labels == skin, target == skin) for skin in skins]
    if regions.SKIN not in skins:
        filled = (labels == regions.SKIN) & blend.grown(holes, _NEAR)
        both = filled & (target == regions.SKIN)
        areas.append(Area(filled, both, both))
    return tuple(areas)


def foreground(
    chosen: Sequence[int] | None, labels: Labels, holes: Mask, target: Labels, blend: str = "feather"
) -> Mask:
    """Return the paste mask of a swap. chosen: regions that its sources show; None: whole face."""
    if chosen is None:
        return whole_face_foreground(labels, holes, blend)
    return region_foreground(chosen, labels, holes, target)


def whole_face_foreground(labels: Labels, holes: Mask, blend: str = "feather") -> Mask:
    """Return the published paste mask: all but background, earrings and hair, and every hole.

    blend: "soft" is the longer paper's, which pastes no ears and no neck either.
    """
    return ~np.isin(labels, NO_FACE if blend == "soft" else NOT_PASTED) | holes


def region_foreground(chosen: Sequence[int], labels: Labels, holes: Mask, target: Labels) -> Mask:
    """Return the paste mask of a swap of some regions: their new and old pixels, and every hole.

    Where hair leaves bare skin, a band of the skin beside it is pasted too: the hair's shadow lies there.
    """
    touched = np.isin(labels, list(chosen)) | np.isin(target, list(chosen)) | holes
    if regions.HAIR in chosen:
        skin = labels == regions.SKIN
        bared = skin & (target == regions.HAIR)
        touched |= blend.grown(bared, BAND) & skin & (target == regions.SKIN)
    # Unchanged background is pasted only where its texture is swapped.
    kept = (
        (target == regions.BACKGROUND) & (labels == regions.BACKGROUND) & (regions.BACKGROUND not in chosen)
    )
    return touched & ~kept
