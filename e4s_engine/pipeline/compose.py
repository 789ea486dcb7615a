"""The swap itself: composing label maps (shape) and style vectors (texture).

Labels are uint8 [512, 512], holes and foregrounds bool [512, 512], style vectors float32 [12, D].
D is the source ("driven", once it is reenacted), T the target.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from e4s_engine import regions
from e4s_engine.regions import Labels

Mask = npt.NDArray[np.bool_]
Styles = npt.NDArray[np.float32]
Part = tuple[Labels, Sequence[int]]  # one source's labels and the regions taken from it

KEPT_TEXTURE = (regions.BACKGROUND, regions.HAIR, regions.GLASSES, regions.EARRINGS)
# Every face has these. Where a source shows none of one (its glasses or a hand hide it) there is nothing to
# take, and the target's stays. The published whole-face swap leaves skin there: a face without eyes.
UNIVERSAL = (regions.LIPS, regions.EYES, regions.NOSE)
KEPT_SHAPE = (regions.BACKGROUND, regions.GLASSES, regions.HAIR)  # unless they are themselves chosen
NOT_PASTED = (regions.BACKGROUND, regions.EARRINGS, regions.HAIR)

# Who lies over whom where parts of several sources claim one pixel; later wins.
_ORDER = (
    regions.BACKGROUND, regions.NECK, regions.EARS, regions.EARRINGS, regions.SKIN, regions.HAIR,
    regions.LIPS, regions.MOUTH, regions.NOSE, regions.EYES, regions.EYEBROWS, regions.GLASSES,
)  # fmt: skip


def shown(source: Labels, chosen: Sequence[int]) -> list[int]:
    """The regions that a source can give of those that are chosen: all but UNIVERSAL ones that it hides."""
    hidden = set(UNIVERSAL) - set(np.unique(source).tolist())
    return [region for region in chosen if region not in hidden]


# What `request` says of a region: it is taken; this is a published swap of the whole face.
TAKEN, WHOLE = 1, 2


def request(chosen: Sequence[int] | None, source: Labels) -> npt.NDArray[np.uint8]:
    """What a swap takes from a source, uint8 [12] for backends that compose. chosen: None: the whole face."""
    if chosen is None:
        return np.full(regions.COUNT, WHOLE, np.uint8)
    said = np.zeros(regions.COUNT, np.uint8)
    said[shown(source, chosen)] = TAKEN
    return said


def whole_face_labels(source: Labels, target: Labels, hair_first: bool = True) -> tuple[Labels, Mask]:
    """The published composition: the source's inner face in the target's head -> labels, holes.

    hair_first: the target's hair lies under the source's face; otherwise over it. Pixels that nothing
    claims are holes, and labelled skin.
    """
    out = np.full_like(target, 255)  # nothing claims these yet
    under, over = layers(hair_first)
    _paint(out, target, under, np.ones_like(out, bool))
    _paint(out, source, regions.FACE, target != regions.BACKGROUND)
    _paint(out, target, over, np.ones_like(out, bool))
    holes = out == 255
    out[holes] = regions.SKIN
    return out, holes


def layers(hair_first: bool) -> tuple[list[int], list[int]]:
    """The target's regions under the source's face, and those over it."""
    under = [regions.BACKGROUND, regions.NECK, regions.EARS, regions.EARRINGS]
    over = [regions.GLASSES]
    (under if hair_first else over).append(regions.HAIR)
    return under, over


def _paint(out: Labels, labels: Labels, chosen: Sequence[int], where: Mask) -> None:
    mask = np.isin(labels, chosen) & where
    out[mask] = labels[mask]


def region_labels(parts: Sequence[Part], target: Labels) -> tuple[Labels, Mask]:
    """The target's labels with some regions' shapes taken from the sources -> labels, holes.

    What a chosen region leaves in the target becomes a hole, then skin; hair leaves background where its
    source shows background. The target's background, glasses and hair are never painted over, unless the
    glasses or the hair are themselves among the chosen; but hair reaches over the background.
    """
    chosen = [r for _, ids in parts for r in ids]
    fixed = set(KEPT_SHAPE) - (set(chosen) - {regions.BACKGROUND})
    free = ~np.isin(target, list(fixed))
    over_background = free | (target == regions.BACKGROUND)
    vacated = np.isin(target, chosen) & (target != regions.BACKGROUND)
    out, claimed = target.copy(), np.zeros_like(free)
    for region in _ORDER:
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
    """The published texture swap: the source's vectors but for background, hair, glasses and earrings.

    A source without ears gives half the target's ear vector, one without an inner mouth keeps the
    target's. extent in [0, 1] mixes: (1 - extent) * target + extent * swapped.
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
    """The target's vectors with those of some regions mixed with the sources'.

    A region that a source does not show has no texture there to take: the target's stays.
    """
    out = target.copy()
    for styles, ids in parts:
        for region in ids:
            if styles[region].any():
                out[region] = mix(target[region], styles[region], extent)
    return out


def complete_styles(out: Styles, parts: Sequence[tuple[Styles, Sequence[int]]], target: Styles) -> Styles:
    """Texture for regions that come with the shape but that the target does not show: the source's."""
    out = out.copy()
    for styles, ids in parts:
        for region in ids:
            if not target[region].any():
                out[region] = styles[region]
    return out


def mix(target: Styles, source: Styles, extent: float) -> Styles:
    """(1 - extent) * target + extent * source, exact at both ends."""
    if extent in (0, 1):
        return (source if extent else target).copy()
    return (np.float32(1 - extent) * target + np.float32(extent) * source).astype(np.float32)


def whole_face_foreground(labels: Labels, holes: Mask) -> Mask:
    """What the published code pastes: all but background, earrings and hair, and every hole."""
    return ~np.isin(labels, NOT_PASTED) | holes


def region_foreground(chosen: Sequence[int], labels: Labels, holes: Mask, target: Labels) -> Mask:
    """What a swap of some regions pastes: where they are now and where they were, and every hole."""
    touched = np.isin(labels, list(chosen)) | np.isin(target, list(chosen)) | holes
    # The background keeps its shape but where hair covers it, and is pasted only where its texture was
    # asked for.
    kept = (
        (target == regions.BACKGROUND) & (labels == regions.BACKGROUND) & (regions.BACKGROUND not in chosen)
    )
    return touched & ~kept
