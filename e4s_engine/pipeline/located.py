"""Faces of a photo as portraits: where they are, which are meant, and their aligned crops."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from e4s_engine.errors import AlignmentError, ArgumentError, LabelsError
from e4s_engine.faces import files, handedness
from e4s_engine.faces.choose import Which, choose, is_largest
from e4s_engine.faces.face import DetectedFace
from e4s_engine.faces.landmarks import Finder
from e4s_engine.photo import align as alignment
from e4s_engine.photo import border, images
from e4s_engine.photo.align import Points
from e4s_engine.photo.images import Pixels
from e4s_engine.photo.original import Original
from e4s_engine.pipeline.inputs import check_labels
from e4s_engine.regions import LABEL_SIZE, Labels, Mask
from e4s_engine.result import Driven, Face

logger = logging.getLogger("e4s_engine")

_HEAD = 0.8  # radius of a head with its hair, in half sides of the crop
_ALIGNED = 0.1  # largest distance of a crop's corner from the photo's, in sides, in an aligned portrait


@dataclasses.dataclass(frozen=True, eq=False)
class Portrait:
    """A photo with its aligned crop.

    argument: name of the photo in error messages. labels: regions of the crop; None: the parser's are wanted.
    number: which of the photo's faces it is, 0 the largest; None for landmarks of the caller's and for photos
        that are aligned already. foreign: where the crop shows other faces, bool [512, 512], which the parser
        cannot tell from this one; None: nowhere. face: the portrait encoded, if it was before. assumed: a
        square photo that counts as aligned unless the parser's labels show that it is not (`aligned.check`).
    parsed: whether the labels are the parser's. driven: how the crop was made of the photo, if it was driven;
    origin: that photo's file.
    """

    argument: str
    crop: alignment.Crop
    labels: Labels | None = None
    number: int | None = None
    foreign: Mask | None = None
    face: Face | None = None
    assumed: bool = False
    parsed: bool = False
    driven: Driven | None = None
    origin: Original | None = None

    def __repr__(self) -> str:
        height, width = self.crop.photo.shape[:2]
        known = "unparsed" if self.labels is None else "parsed"
        return f"<Portrait: {self.argument}, {width} x {height} pixels, {known}>"


def found(image: Any, argument: str, finder: Finder) -> list[DetectedFace]:
    """Return all faces of a photo, largest first. Raises AlignmentError without a finder."""
    return _detect(images.read(image, argument), argument, finder)


def _detect(photo: Pixels, argument: str, finder: Finder) -> list[DetectedFace]:
    if finder.detect is None:
        raise AlignmentError(f"{argument}: this engine looks for no faces; {_remedy(finder)}")
    try:
        return finder.detect(photo)
    except AlignmentError as error:
        raise AlignmentError(f"{argument}: {error}") from error


def portraits(
    image: Any,
    argument: str,
    labels: Any,
    points: Any,
    finder: Finder,
    align: str | bool,
    which: Which = "largest",
) -> list[Portrait]:
    """Read a photo and return the portraits of the faces that `which` names, each aligned."""
    photo, original = images.read_photo(image, argument)
    mask = None if labels is None else check_labels(labels, f"{argument} labels")
    if mask is not None and not mask.any():
        raise LabelsError(f"{argument} labels: all of it is background (0); expected a face's regions, 1..11")
    if align is False and points is not None:
        raise ArgumentError(
            f"{argument}: align=False takes the photo as it is; pass no landmarks, or leave align out"
        )
    if not is_largest(which) and (align is False or points is not None):
        reason = "align=False takes the photo as one face" if align is False else "landmarks name one face"
        raise ArgumentError(f"{argument}: {reason}; leave faces out beside it")

    def portrait(crop: alignment.Crop, number: int | None = None, foreign: Mask | None = None) -> Portrait:
        return Portrait(argument, dataclasses.replace(crop, original=original), mask, number, foreign)

    if align is False:
        return [portrait(alignment.whole(photo, argument))]
    if points is not None:
        handedness.check(alignment.check_landmarks(points, f"{argument} landmarks"), f"{argument} landmarks")
        return [portrait(_crop(photo, points, argument))]
    chosen = _chosen(photo, argument, finder, align, which, mask is not None)
    if chosen is None:
        whole = portrait(alignment.whole(photo, argument))
        return [dataclasses.replace(whole, assumed=finder.detect is None)]
    faces, picked = chosen
    if mask is not None and len(picked) > 1:
        raise ArgumentError(f"{argument}: labels describe one crop, but faces names {len(picked)} faces")
    numbers = {id(face): number for number, face in enumerate(faces)}
    listed = []
    for face in picked:
        if face.warning:
            logger.warning("%s: %s", argument, face.warning)
        foreign = foreign_to(face.quad, [other.quad for other in faces if other is not face])
        listed.append(portrait(_crop(photo, face.points, argument), numbers.get(id(face)), foreign))
    return listed


def _crop(photo: Pixels, points: Any, argument: str) -> alignment.Crop:
    return border.reflected(alignment.crop(photo, points, f"{argument} landmarks"))


def _chosen(
    photo: Pixels, argument: str, finder: Finder, align: str | bool, which: Which, labelled: bool
) -> tuple[list[DetectedFace], list[DetectedFace]] | None:
    """Return all faces and those that are meant; None if the photo counts as aligned.

    A detector decides, where there is one; but labels describe an aligned crop, so a square photo that came
    with them and shows no face is one.
    """
    square = photo.shape[0] == photo.shape[1]
    may_be_aligned = square and align == "auto" and not finder.chosen and is_largest(which)
    if finder.detect is None:
        if may_be_aligned:
            return None
        what = "align=True needs landmarks" if align is True else _shape(photo)
        raise AlignmentError(f"{argument}: {what}; {_remedy(finder)}")
    faces = _detect(photo, argument, finder)
    if may_be_aligned and (_is_aligned(photo, faces[0]) if faces else labelled):
        return None
    return faces, choose(faces, which, argument, finder.name, square)


def foreign_to(quad: Points, others: Sequence[Points]) -> Mask | None:
    """Return where a face's crop shows other faces, bool [512, 512]; None if nowhere.

    A pixel belongs to the face whose centre is nearest, measured in half sides of the faces' crops, and to
    another only within the reach of its head.

    quad, others: corners of the faces' crops [4, 2].
    """
    if not len(others):
        return None
    place = (np.arange(LABEL_SIZE) + 0.5) / LABEL_SIZE
    across, down = quad[3] - quad[0], quad[1] - quad[0]
    pixels = quad[0] + place[None, :, None] * across + place[:, None, None] * down
    own = _distance(pixels, quad)
    mask = np.zeros(own.shape, np.bool_)
    for other in others:
        theirs = _distance(pixels, other)
        mask |= (theirs < _HEAD) & (theirs < own)
    return mask if mask.any() else None


def _distance(pixels: Points, quad: Points) -> Points:
    """Return the distance of pixels [h, w, 2] from a crop's centre, in half its sides."""
    return np.hypot(*np.moveaxis(pixels - quad.mean(0), -1, 0)) / (np.hypot(*(quad[3] - quad[0])) / 2)


def _is_aligned(photo: Pixels, face: DetectedFace) -> bool:
    """Return whether the crop of a square photo's face is about the whole photo."""
    side = photo.shape[0]
    corners = np.array([[0, 0], [0, side], [side, side], [side, 0]]) - 0.5
    return bool(np.abs(face.quad - corners).max() < _ALIGNED * side)


def _shape(photo: Pixels) -> str:
    return f"{photo.shape[1]} x {photo.shape[0]} pixels is not an aligned square portrait"


def _remedy(finder: Finder) -> str:
    if finder.refused:
        return (
            "the engine was made with landmarks=None: make it with landmarks='auto', or pass landmarks "
            "([68, 2] or [5, 2], in pixels)"
        )
    return (
        f"install a face detector (`{files.INSTALL}`), pass landmarks ([68, 2] or [5, 2], in pixels), or "
        "make the engine with a landmark model (Engine(landmarks=...))"
    )
