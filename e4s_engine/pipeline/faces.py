"""Faces that callers keep: what an encoded photo leaves in them, and one person from several."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from e4s_engine import regions
from e4s_engine.errors import ArgumentError
from e4s_engine.options import Average
from e4s_engine.photo import sharpness, thumbnail
from e4s_engine.pipeline import told
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.portraits import Person
from e4s_engine.result import Face

SHOWN = 0.7  # share of the largest area among the views from which a region counts as not hidden
# Share of the sharpest view's sharpness below which a view is blurred, and its labels are guesses.
CLEAR = 0.4

Shares = npt.NDArray[np.float64]  # [views, 12]


def kept(face: Face, portrait: Portrait, keep_photo: bool) -> Face:
    """Return a portrait's Face with what callers keep of its photo: sharpness and thumbnail.

    keep_photo: whether the photo and its crop stay in memory too. Swaps, which drop their Faces, do without.
    """
    crop = portrait.crop
    return dataclasses.replace(
        face,
        crop=crop if keep_photo else None,
        sharpness=sharpness.of_regions(crop.image, face.labels),
        thumbnail=thumbnail.of(crop.image),
        inputs=told.light(face.inputs),
    )


def known(person: Person, face: Face) -> Face:
    """Return the Face of a person whom a call read: a caller's own as it is, a photo's with what is kept."""
    return face if isinstance(person, Face) or person.face is not None else kept(face, person, False)


def check_how(how: Any) -> Average:
    """Return how faces are averaged. Raises ArgumentError."""
    if not isinstance(how, str) or how not in get_args(Average):
        raise ArgumentError(f"how: expected one of {', '.join(get_args(Average))}, got {how!r:.60}")
    chosen: Average = "mean" if how == "mean" else "best"
    return chosen


def average(views: Sequence[Face], how: Average) -> Face:
    """Return one Face from views of a person; see `Engine.average`.

    Raises ArgumentError for "best" without the views' sharpness.
    """
    unknown = [number for number, view in enumerate(views) if view.sharpness is None]
    if unknown and how == "best":
        raise ArgumentError(
            f"how: 'best' needs to know how sharp each region is, and images[{unknown[0]}] is a Face that "
            "does not say; encode its photo with Engine.encode, or pass how='mean'"
        )
    sharp = np.stack([_sharpness(view) for view in views])
    areas = np.stack([np.bincount(view.labels.ravel(), minlength=regions.COUNT) for view in views])
    visible = _visible(areas, sharp)
    shares = _mean(areas) if how == "mean" else _best(visible, sharp)
    main = views[_main(visible, sharp)]
    return dataclasses.replace(
        main,
        styles=np.einsum("vr,vrd->rd", shares, np.stack([view.styles for view in views])).astype(np.float32),
        sharpness=None if unknown else (shares * sharp).sum(0).astype(np.float32),
        crop=None,
        driven=None,
        consent=_joined([view.consent for view in views]),
        licence=_joined([view.licence for view in views]),
        inputs=tuple(dict.fromkeys(one for view in views for one in view.inputs)),
    )


def _sharpness(view: Face) -> npt.NDArray[np.float32]:
    return np.zeros(regions.COUNT, np.float32) if view.sharpness is None else view.sharpness


def _mean(areas: npt.NDArray[np.int64]) -> Shares:
    """Return equal shares of the views that show a region; of all views, if none does."""
    shows = (areas > 0) | ~(areas > 0).any(0)
    return shows / shows.sum(0)


def _visible(areas: npt.NDArray[np.int64], sharp: npt.NDArray[np.float32]) -> Shares:
    """Return how much of a region each view shows, from 0 to 1 for the most.

    Blurred views show only what no other does.
    """
    whole = _of_face(sharp)
    clear = whole >= CLEAR * whole.max()
    counts = np.where(clear[:, None] | ~(areas[clear] > 0).any(0), areas, 0)
    return counts / np.maximum(counts.max(0), 1)


def _of_face(sharp: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return how sharp each view is in the face's regions that all of them show, in shares of the best."""
    common = [region for region in regions.FACE if (sharp[:, region] > 0).all()]
    return np.mean(
        [sharp[:, region] / sharp[:, region].max() for region in common] or [np.ones(len(sharp))], 0
    )


def _best(visible: Shares, sharp: npt.NDArray[np.float32]) -> Shares:
    """Return all of a region to one view: the sharpest of those that do not hide it."""
    chosen = np.where(visible >= SHOWN, sharp, -1.0).argmax(0)
    shares = np.zeros(visible.shape)
    shares[chosen, np.arange(regions.COUNT)] = 1
    return shares


def _main(visible: Shares, sharp: npt.NDArray[np.float32]) -> int:
    """Return the view whose labels are the shape: the sharpest of those that hide about the least."""
    shown = visible[:, list(regions.FACE)].mean(1)
    return int(np.where(shown >= shown.max() - 0.1, _of_face(sharp), -1.0).argmax())


def _joined(texts: Sequence[str]) -> str:
    """Return the texts of all views, each once, a paragraph each."""
    return "\n\n".join(dict.fromkeys(text for text in texts if text))
