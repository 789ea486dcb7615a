"""Re-colouring: a generated face takes the colours that the same parts have in the target (longer paper).

The network works at 256 x 256 on both pictures and their parts. Published, its picture takes the face's
place, enlarged and restored. Here only the change of colour is enlarged and added, so that the face keeps its
detail. Pictures are never mirrored and parts are resized by nearest, as neither quirk of the published code
does any good; `see` and `published_parts` follow it for comparisons.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine import regions
from e4s_engine.networks.recolor.colour import COARSE, MEAN, STD
from e4s_engine.photo import blend, images, soft
from e4s_engine.photo.align import CROP
from e4s_engine.photo.boxes import Box, bounds
from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Labels

Run = Callable[..., npt.NDArray[Any]]  # (network, function, arrays...) -> result, of a backend
Floats = npt.NDArray[np.float32]
Parts = npt.NDArray[np.uint8]  # number of each pixel's part, 0 none

KIND = "recolor"
SIDE = 256
STRENGTH = 0.75  # share of the re-coloured face, as published
_REACH = 12  # of the windows that grow a head
_AROUND = 9  # number of the part that grows beyond the heads
_LEAST = 2  # parts with colours below which there are none, as published
_READ = 3  # pixels beside one that its enlargement reads, rounded up
_GREY = np.array((0.299, 0.587, 0.114), np.float32)

# Parts in the network's order: skin, hair, eyes, nose, lips, teeth, ears, brows.
_PARTS = (
    regions.SKIN, regions.HAIR, regions.EYES, regions.NOSE, regions.LIPS, regions.MOUTH, regions.EARS,
    regions.EYEBROWS,
)  # fmt: skip
# Regions that are re-coloured in a swap of the whole face: face and neck, as published.
FACE = (*regions.FACE, regions.NECK)


@dataclasses.dataclass(frozen=True, eq=False)
class Seen:
    """A picture as the network sees it: uint8 [256, 256, 3], its parts [256, 256], features [64, 64, C]."""

    picture: Pixels
    parts: Parts
    features: Floats


def parts_of(labels: Labels) -> Parts:
    """Return the parts of a label map in 0..11, resized by nearest."""
    table = np.zeros(regions.COUNT, np.uint8)
    table[list(_PARTS)] = np.arange(1, len(_PARTS) + 1)
    return table[regions.resize_nearest(labels, SIDE)]


def published_parts(labels: Labels) -> Parts:
    """Return the parts of a map of BiSeNet's classes as the published code resizes it: as an 8-bit picture.

    Edges then hold classes that lie between those of both sides.
    """
    numbers = images.resize(labels, SIDE, SIDE, Image.Resampling.BICUBIC)
    table = np.zeros(256, np.uint8)
    for part, classes in enumerate(((1,), (17,), (4, 5), (10,), (12, 13), (11,), (7, 8), (2, 3)), 1):
        table[list(classes)] = part
    return table[numbers]


def see(picture: Pixels, parts: Parts, run: Run, mirrored: bool = False) -> Seen:
    """Compute the features of a picture uint8 [256, 256, 3].

    mirrored: whether they are the mirrored picture's, unmirrored neither, as the published code does at
    random.
    """
    shown = picture[:, ::-1] if mirrored else picture
    return Seen(picture, parts, run(KIND, "features", _normal(shown)[None])[0])


def predict(own: Seen, other: Seen, run: Run, box: Box | None = None) -> Floats:
    """Draw a face in another's colours, RGB in 0..1 [256, 256, 3].

    box: pixels that are read, the same as without it; the others may be anything. None: all.
    """
    boxes = None if box is None else np.array([box], np.int64)
    return np.asarray(run(KIND, "colour", package(own, other, run)[None], boxes=boxes)[0])


def package(own: Seen, other: Seen, run: Run) -> Floats:
    """Return the U-Net's input [256, 256, 12]: colours, masks, the grey face, and the other's background."""
    heads = [seen.parts > 0 for seen in (own, other)]
    extent = blend.grown(heads[0] | heads[1], _REACH)
    around = [extent & ~heads[0], blend.grown(heads[1], _REACH) & ~heads[1]]
    mine, theirs = (
        np.where(hole, np.uint8(_AROUND), seen.parts)[::COARSE, ::COARSE]
        for seen, hole in zip((own, other), around, strict=True)
    )
    colours = _references(own, other, mine, theirs, run)
    outside = (mine == _AROUND)[..., None]
    large = soft.resize_corners(np.concatenate([colours * ~outside, colours * outside], axis=2), SIDE)
    grey = ((own.picture / np.float32(255)) @ _GREY).clip(0, 1) * heads[0]
    masks = np.stack([heads[0], around[0], grey], axis=2).astype(np.float32)
    background = _normal(other.picture) * ~extent[..., None]
    return np.concatenate([large, masks, background], axis=2, dtype=np.float32)


def _references(own: Seen, other: Seen, mine: Parts, theirs: Parts, run: Run) -> Floats:
    """Return the colours [64, 64, 3] of own pixels; zero where fewer than two parts are in both pictures."""
    shared = set(np.unique(mine).tolist()) & set(np.unique(theirs).tolist()) - {0}
    small = other.picture[::COARSE, ::COARSE] / np.float32(255)
    if len(shared) < _LEAST:
        return np.zeros_like(small)
    arrays = (own.features, other.features, mine, theirs, small)
    return np.asarray(run(KIND, "references", *(np.ascontiguousarray(array)[None] for array in arrays))[0])


def _normal(picture: Pixels) -> Floats:
    plain = picture / np.float32(255)
    return np.asarray((plain - np.array(MEAN, np.float32)) / np.array(STD, np.float32), np.float32)


def small(picture: Pixels) -> Pixels:
    """Return a crop at the size that the network sees."""
    return images.resize(picture, SIDE, SIDE, Image.Resampling.BICUBIC)


def face_mask(labels: Labels, chosen: Sequence[int], face: Pixels) -> Floats:
    """Return where a face [1024, 1024, 3] is re-coloured, in 0..1: chosen regions, soft, less its edges."""
    mask = soft.erode(soft.resize_corners(np.isin(labels, list(chosen)).astype(np.float32), CROP))
    if mask.any():
        mask -= soft.edges(face) / np.float32(255)
    return mask.clip(0, 1)


def mix(face: Pixels, coloured: Pixels, mask: Floats, strength: float = STRENGTH) -> Pixels:
    """Mix a face with its re-coloured picture, as published: truncated to 8 bits."""
    share = np.float32(strength) * mask[..., None]
    return (face * (1 - share) + coloured * share).astype(np.uint8)


def recolour(
    face: Pixels, labels: Labels, chosen: Sequence[int], target: Seen, strength: float, run: Run
) -> Pixels:
    """Return a face [1024, 1024, 3] whose chosen regions have the target's colours to a share of `strength`.

    Pixels where nothing is chosen keep every bit.
    """
    mask = face_mask(labels, chosen, face)
    seen = bounds(mask > 0)
    if seen is None:
        return face
    times = CROP // SIDE
    top, left = (max(side // times - _READ, 0) for side in seen[:2])
    bottom, right = (min(-(-side // times) + _READ, SIDE) for side in seen[2:])
    before, part = small(face), np.s_[top:bottom, left:right]
    after = predict(see(before, parts_of(labels), run), target, run, (top, left, bottom, right))
    coarse = np.zeros(before.shape, np.float32)
    coarse[part] = after[part] * np.float32(255) - before[part]
    change = np.stack([_enlarged(coarse[..., k]) for k in range(3)], axis=2)
    moved = face + change * (np.float32(strength) * mask[..., None])
    return np.rint(moved).clip(0, 255).astype(np.uint8)


def _enlarged(channel: Floats) -> Floats:
    picture = Image.fromarray(np.ascontiguousarray(channel, np.float32))
    return np.asarray(picture.resize((CROP, CROP), Image.Resampling.BICUBIC), np.float32)
