"""Labels that a caller painted over those that a swap composed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from e4s_engine import regions
from e4s_engine.errors import ArgumentError, LabelsError
from e4s_engine.photo import blend, images
from e4s_engine.photo.match import Area
from e4s_engine.pipeline.compose import Composed, Styles
from e4s_engine.pipeline.portraits import Job
from e4s_engine.regions import LABEL_SIZE, UNPAINTED, Labels, Mask
from e4s_engine.result import Face

_PARTS = (
    regions.LIPS, regions.EYEBROWS, regions.EYES, regions.NOSE, regions.EARS, regions.MOUTH, regions.GLASSES,
    regions.EARRINGS,
)  # fmt: skip
_NEAR = 32  # distance in label pixels from the paint within which colours are matched


def painted(jobs: Sequence[Job], labels: Any) -> list[Job]:
    """Return the jobs of a swap with what its caller painted; None: nothing. Raises ArgumentError."""
    if labels is None:
        return list(jobs)
    if len(jobs) > 1:
        raise ArgumentError(f"painted: labels describe one crop, but this swap has {len(jobs)} faces")
    return [dataclasses.replace(jobs[0], painted=check(labels))]


def check(labels: Any) -> Labels:
    """Return painted labels as uint8 [512, 512]. Raises LabelsError."""
    expected = (
        f"an array uint8 [h, w] with values 0..{regions.COUNT - 1}, {UNPAINTED} where nothing is painted"
    )
    array = images.to_numpy(labels, "painted", expected, LabelsError)
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "iu":
        raise LabelsError(f"painted: expected {expected}; got {array.dtype} {list(array.shape)}")
    wrong = array[((array < 0) | (array >= regions.COUNT)) & (array != UNPAINTED)]
    if wrong.size:
        raise LabelsError(f"painted: expected {expected}; found {int(wrong[0])}")
    return regions.resize_nearest(array.astype(np.uint8), LABEL_SIZE)


def ids(labels: Labels | None) -> list[int]:
    """Return the regions that were painted."""
    if labels is None:
        return []
    return [int(region) for region in np.unique(labels) if region != UNPAINTED]


def over(composed: Composed, labels: Labels, sources: Sequence[Styles]) -> Composed:
    """Lay painted labels over a composition, and paste what changes by it.

    Pixels that get another region are pasted; a part of the face that grows or shrinks is pasted as a whole,
    as its shading follows its shape. A region that the composition has no texture for takes it from the
    first source that shows the region. Raises LabelsError if none does.
    """
    where = labels != UNPAINTED
    mixed = np.where(where, labels, composed.labels)
    styles = composed.styles.copy()
    for region in ids(labels):
        if not styles[region].any():
            styles[region] = _texture(region, sources)
    return dataclasses.replace(
        composed,
        labels=mixed,
        holes=composed.holes & ~where,
        foreground=composed.foreground | _pasted(composed.labels, mixed),
        styles=styles,
    )


def areas(composed: Composed, labels: Labels, target: Face) -> tuple[Area, ...]:
    """Return what takes the target's colours: what is pasted near the paint with the target's own texture.

    A region is compared with the target where both show it. Areas that the composition matches already are
    left out: nothing is moved twice.
    """
    near = blend.grown(labels != UNPAINTED, _NEAR)
    listed = []
    for region in np.unique(composed.labels[near & composed.foreground]):
        if np.array_equal(composed.styles[region], target.styles[region]):
            moved = composed.labels == region
            if region not in _PARTS:
                moved &= near
            for area in composed.matched:
                moved &= ~area.moved
            both = moved & (target.labels == region)
            listed.append(Area(moved, both, both))
    return tuple(listed)


def _pasted(before: Labels, after: Labels) -> Mask:
    changed = before != after
    parts = [int(region) for region in np.unique([before[changed], after[changed]]) if region in _PARTS]
    return changed | np.isin(before, parts) | np.isin(after, parts)


def _texture(region: int, sources: Sequence[Styles]) -> Styles:
    for vectors in sources:
        if vectors[region].any():
            return vectors[region]
    raise LabelsError(
        f"painted: {regions.NAMES[region]} ({region}) is painted, but neither target nor sources show any to "
        "take the texture from; paint another region, or add a source that shows it"
    )
