"""Generation of faces: only what is pasted, or all of them.

The opacity of a paste is known from labels before anything is decoded. A backend that can computes only the
pixels that the paste reads; they are the same, bit for bit, as those of the whole face.
"""

from __future__ import annotations

import dataclasses
import math
import weakref
from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from e4s_engine.backends import Backend, Boxes
from e4s_engine.errors import ArgumentError, ClosedError
from e4s_engine.photo import align, blend
from e4s_engine.photo.align import CROP, Crop
from e4s_engine.photo.boxes import Box, bounds
from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline import compose
from e4s_engine.pipeline.compose import Composed, Shape, Styles
from e4s_engine.pipeline.stages import stage
from e4s_engine.regions import LABEL_SIZE, Labels
from e4s_engine.result import Lazy


@dataclasses.dataclass(frozen=True)
class Cover:
    """Hold what a paste reads of a face.

    alpha: opacity over the crop, uint8 [1024, 1024] (`blend.alpha`). box: pixels of the face; None: none.
    """

    alpha: Pixels
    box: Box | None


@dataclasses.dataclass(frozen=True)
class Generated:
    """A generated face.

    pasted: uint8 [S, S, 3], the pixels that its paste reads; the others may be black. whole: all of it, which
    may be computed when it is asked for.
    """

    pasted: Pixels
    whole: Pixels | Lazy[Pixels]


def to_uint8(image: npt.NDArray[np.float32]) -> Pixels:
    """Return a decoded image in [-1, 1] as 8 bits: clamped and truncated, as in the published code."""
    return (((image + 1) / 2).clip(0, 1) * 255).astype(np.uint8)


def cover(crop: Crop, composed: Shape, mode: str, size: int) -> Cover:
    """Return what a paste reads of a face [size, size]. mode: see `blend.alpha`."""
    alpha = blend.alpha(composed.foreground, mode)
    seen = bounds(blend.read_by(composed.foreground, alpha, mode))
    if seen is None:
        return Cover(alpha, None)
    box = _scaled(seen, size, reach(crop, mode, size))
    for area in composed.matched:  # its statistics read the face beyond what is pasted
        given = bounds(area.given)
        if given is not None:
            top, left, bottom, right = (CROP // LABEL_SIZE * side for side in given)
            box = _around(box, _scaled((top, left, bottom, right), size, 1))
    return Cover(alpha, box)


def _around(one: Box, other: Box) -> Box:
    """Return the smallest box around two."""
    return (
        min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])
    )  # fmt: skip


def _scaled(box: Box, size: int, reach: int) -> Box:
    """Return the pixels of a face under a box of the crop, and those around it."""
    top, left = (max(side * size // CROP - reach, 0) for side in box[:2])
    bottom, right = (min(-(-side * size // CROP) + reach, size) for side in box[2:])
    return top, left, bottom, right


def reach(crop: Crop, mode: str, size: int) -> int:
    """Return how many pixels of the face beside a pixel of the opacity the resampling into the photo reads.

    The opacity's own resampling spreads it by a pixel of the coarser picture, the warp by two; Lanczos reads
    three pixels of the coarser picture to each side, the bicubic filter of a multi-band blend two.
    """
    if mode in blend.PYRAMIDS:  # blended in the crop, before it goes back into the photo
        return 0 if size == CROP else math.ceil(2 * size / min(size, CROP)) + 1
    side = align.side_of(crop)
    spread = 0.0 if crop.quad is None and side == CROP else 2 / min(side, CROP)
    filtered = 0.0 if side == size else 3 / min(side, size)
    return math.ceil(size * (spread + filtered)) + 1 if spread or filtered else 0


def share(backend: Backend, size: int, chosen: Sequence[int] | None, labels: Labels) -> float:
    """Return the part of the decoder's work that a swap of regions takes. chosen: ids; None: whole face.

    labels: of source and target alike.
    """
    foreground = compose.foreground(chosen, labels, np.zeros(labels.shape, bool), labels)
    crop = Crop(np.empty((CROP, CROP, 3), np.uint8), np.empty((CROP, CROP, 3), np.uint8), None)
    shape = Shape(labels, np.zeros(labels.shape, bool), foreground)
    box = cover(crop, shape, "feather", size).box
    return 0.0 if box is None else backend.share("rgi", "decode", box)


def decode(
    backend: Backend, styles: Styles, labels: Labels, boxes: Boxes | None = None
) -> npt.NDArray[np.float32]:
    """Decode style vectors [N,12,D] and labels [N,512,512] to images [N,S,S,3]. Raises ArgumentError.

    boxes: see `Backend.run`.
    """
    with stage("decode"):
        decoded = backend.run("rgi", "decode", styles, labels, boxes=boxes)
    parts = [slice(None)] * len(decoded) if boxes is None else [_window(box) for box in boxes.tolist()]
    if not all(np.isfinite(image[part]).all() for image, part in zip(decoded, parts, strict=True)):
        raise ArgumentError("styles: the image is not finite; these are no style vectors of this model")
    return decoded


def _window(box: Sequence[int]) -> tuple[slice, slice]:
    top, left, bottom, right = box
    return slice(top, bottom), slice(left, right)


def faces(
    backend: Backend, size: int, composed: Sequence[Composed], covers: Sequence[Cover], full: bool
) -> list[Generated]:
    """Generate faces in one batch. full: flag that generates all of them at once."""
    if full or not backend.in_boxes:
        whole = [to_uint8(image) for image in decode(backend, *_stacked(composed))]
        return [Generated(face, face) for face in whole]
    shown = [i for i, one in enumerate(covers) if one.box is not None]
    generated = [
        Generated(np.zeros((size, size, 3), np.uint8), later(backend, one.styles, one.labels))
        for one in composed
    ]
    if shown:
        boxes = np.array([covers[i].box for i in shown], np.int64)
        decoded = decode(backend, *_stacked([composed[i] for i in shown]), boxes)
        for i, image, box in zip(shown, decoded, boxes.tolist(), strict=True):
            part = _window(box)
            generated[i].pasted[part] = to_uint8(image[part])
            if box == [0, 0, size, size]:
                generated[i] = Generated(generated[i].pasted, generated[i].pasted)
    return generated


def _stacked(composed: Sequence[Composed]) -> tuple[Styles, Labels]:
    return np.stack([one.styles for one in composed]), np.stack([one.labels for one in composed])


def later(backend: Backend, styles: Styles, labels: Labels) -> Lazy[Pixels]:
    """Return a face that is generated when it is asked for. It does not keep the backend alive."""
    return Lazy(partial(_finish, weakref.ref(backend), styles, labels))


def _finish(reference: weakref.ref[Backend], styles: Styles, labels: Labels) -> Pixels:
    backend = reference()
    if backend is None:
        raise ClosedError(
            "face: only its pasted part was generated, and the engine that could complete it is closed; read "
            "Result.face before, or swap with full_face=True"
        )
    return to_uint8(decode(backend, styles[None], labels[None])[0])
