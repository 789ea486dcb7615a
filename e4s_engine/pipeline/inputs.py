"""What callers pass, made ready for the stages: options, portraits, and who gives which regions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from e4s_engine import regions
from e4s_engine.errors import AlignmentError, ArgumentError, LabelsError, RegionError
from e4s_engine.faces import landmarks as landmark_models
from e4s_engine.photo import align as alignment
from e4s_engine.photo import blend as blending
from e4s_engine.photo import images
from e4s_engine.pipeline.compose import Styles
from e4s_engine.regions import Labels
from e4s_engine.result import Face

_MOST_STEPS, _MOST_RATE = 100_000, 10.0  # of an inversion
_MOST_BATCH, _MOST_WAIT_MS = 256, 10_000.0  # of gathered calls

Image = Any  # a path, bytes, a PIL image, or an array: see images.read
RegionNames = str | Iterable[str]
Source = Image | Face | Mapping[str | tuple[str, ...], Image | Face]
Ids = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Options:
    """The options of a swap, checked."""

    extent: float = 1.0
    shape: bool = True
    texture: bool = True
    hair_first: bool = True
    relight: bool = True
    blend: str = "feather"
    align: str | bool = "auto"

    def __post_init__(self) -> None:
        if not _is_number(self.extent) or not 0 <= self.extent <= 1:
            raise ArgumentError(f"extent: expected a number in [0, 1], got {self.extent!r}")
        if not isinstance(self.blend, str) or self.blend not in blending.MODES:
            raise ArgumentError(f"blend: expected one of {', '.join(blending.MODES)}, got {self.blend!r}")
        # Exactly these: 1 and 0 equal True and False, but would be taken for "auto" later.
        if not isinstance(self.align, (str, bool)) or self.align not in ("auto", True, False):
            raise ArgumentError(f"align: expected 'auto', True or False, got {self.align!r}")
        for name in ("shape", "texture", "hair_first", "relight"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise ArgumentError(f"{name}: expected True or False, got {getattr(self, name)!r}")

    @property
    def published(self) -> bool:
        """Whether a swap is done as in the published code, by models that do not relight.

        `align` says only where the faces are.
        """
        return self == Options(align=self.align, relight=self.relight)


@dataclasses.dataclass
class Portrait:
    """An input on its way: its crop, then its labels, then its style vectors."""

    argument: str
    crop: alignment.Crop | None  # None for a Face, which needs none
    labels: Labels | None = None
    styles: Styles | None = None


Read = Callable[[Any, str, Any, Any], Portrait]


def reader(model: landmark_models.LandmarkModel | None, align: str | bool, style_dim: int) -> Read:
    """A function (image, argument, labels, landmarks) -> Portrait.

    An input that comes again, with the same labels and landmarks, is read only once.
    """
    seen: dict[tuple[int, int, int], tuple[Portrait, tuple[Any, ...]]] = {}

    def read(image: Any, argument: str, labels: Any, points: Any) -> Portrait:
        key = (id(image), id(labels), id(points))
        if key not in seen:
            if isinstance(image, Face):
                portrait = _from_face(image, argument, labels, points, style_dim)
            else:
                portrait = _from_image(image, argument, labels, points, model, align)
            seen[key] = portrait, (image, labels, points)  # kept alive: an id must not be used again
        return seen[key][0]

    return read


def _from_face(face: Face, argument: str, labels: Any, points: Any, style_dim: int) -> Portrait:
    if labels is not None or points is not None:
        raise ArgumentError(
            f"{argument}: a Face brings its own labels and needs no landmarks; pass none beside it"
        )
    mask = regions.check_labels(face.labels, f"{argument}.labels")
    return Portrait(argument, None, mask, check_styles(face.styles, f"{argument}.styles", style_dim))


def _from_image(
    image: Any,
    argument: str,
    labels: Any,
    points: Any,
    model: landmark_models.LandmarkModel | None,
    align: str | bool,
) -> Portrait:
    photo = images.read(image, argument)
    mask = None
    if labels is not None:
        mask = check_labels(labels, f"{argument} labels")
    if align is False and points is not None:
        raise ArgumentError(
            f"{argument}: align=False takes the photo as it is; pass no landmarks, or leave align out"
        )
    if align is False:
        return Portrait(argument, alignment.whole(photo, argument), mask)
    if points is None and model is not None:
        points = landmark_models.largest_face(model, photo, argument)
    if points is not None:
        return Portrait(argument, alignment.crop(photo, points, f"{argument} landmarks"), mask)
    if align is True:
        raise AlignmentError(
            f"{argument}: align=True needs landmarks; pass them, or make the engine with a landmark model "
            "(Engine(landmarks=...))"
        )
    return Portrait(argument, alignment.whole(photo, argument), mask)


def check_labels(labels: Any, argument: str) -> Labels:
    """A label map on any device -> uint8 [512, 512]. Raises LabelsError."""
    expected = f"a label map: an array uint8 [h, w] with values 0..{regions.COUNT - 1}"
    return regions.check_labels(images.to_numpy(labels, argument, expected, LabelsError), argument)


def check_styles(styles: Any, argument: str, style_dim: int) -> Styles:
    """Style vectors as float32 [12, D] of a model. Raises ArgumentError."""
    expected = f"style vectors: an array float32 [{regions.COUNT}, {style_dim}]"
    array = images.to_numpy(styles, argument, expected, ArgumentError)
    if array.shape != (regions.COUNT, style_dim) or array.dtype.kind != "f":
        got = f"{array.dtype} {list(array.shape)}"
        raise ArgumentError(
            f"{argument}: this model's style vectors are float32 [{regions.COUNT}, {style_dim}], got {got}"
        )
    with np.errstate(over="ignore"):
        vectors = array.astype(np.float32, copy=False)
    if not np.isfinite(vectors).all():
        raise ArgumentError(f"{argument}: some values are NaN or infinite; expected what encode returns")
    return vectors


def sources(
    source: Any, chosen: Ids | None, labels: Any, points: Any, argument: str, read: Read
) -> tuple[list[tuple[Portrait, Ids]], Ids | None]:
    """A source argument -> [(portrait, regions it gives)] and all regions given; None is the whole face."""
    if not isinstance(source, Mapping):
        return [(read(source, argument, labels, points), chosen if chosen is not None else ())], chosen
    if chosen is not None:
        raise RegionError("regions: a dict of sources names the regions itself; pass regions=None beside it")
    if not source:
        raise RegionError(f"{argument}: the dict of sources is empty; name at least one region")
    _check_keys(labels, source, f"{argument}_labels")
    _check_keys(points, source, f"{argument}_landmarks")
    parts: list[tuple[Portrait, Ids]] = []
    given: set[int] = set()
    for key, image in source.items():
        ids = regions.region_ids(key, f"{argument} key")
        if not ids:
            raise RegionError(f"{argument} key: {key!r} names no region; name at least one")
        twice = given.intersection(ids)
        if twice:
            names = ", ".join(regions.NAMES[r] for r in sorted(twice))
            raise RegionError(f"{argument}: {names} given by two sources; every region needs exactly one")
        given.update(ids)
        own = ((labels or {}).get(key), (points or {}).get(key))
        parts.append((read(image, f"{argument}[{key!r}]", *own), ids))
    return parts, tuple(sorted(given))


def _check_keys(values: Any, source: Mapping[Any, Any], argument: str) -> None:
    if values is None:
        return
    if not isinstance(values, Mapping):
        raise ArgumentError(f"{argument}: for a dict of sources expected a dict with the same keys")
    unknown = [key for key in values if key not in source]
    if unknown:
        raise ArgumentError(f"{argument}: the dict of sources has no key {unknown[0]!r}; use the same keys")


def per_item(values: Any, count: int, argument: str) -> Sequence[Any]:
    """One value per item of a batch; None stands for none at all."""
    if values is None:
        return [None] * count
    if not isinstance(values, (list, tuple)) or len(values) != count:
        got = f"{len(values)}" if isinstance(values, (list, tuple)) else type(values).__name__
        raise ArgumentError(f"{argument}: expected a list of {count}, got {got}")
    return values


def check_steps(steps: Any) -> int:
    """The number of an inversion's steps. Raises ArgumentError."""
    if not _is_whole(steps) or not 0 <= steps <= _MOST_STEPS:
        raise ArgumentError(f"steps: expected an integer from 0 to {_MOST_STEPS}, got {steps!r}")
    return int(steps)


def check_rate(rate: Any) -> float:
    """An inversion's rate. Raises ArgumentError."""
    if not _is_number(rate) or not 0 < rate <= _MOST_RATE:
        raise ArgumentError(f"rate: expected a number above 0, to {_MOST_RATE}, got {rate!r}")
    return float(rate)


def check_gathering(max_batch: Any, max_wait_ms: Any) -> tuple[int, float]:
    """How many concurrent calls go together, and how long one waits. Raises ArgumentError."""
    if not _is_whole(max_batch) or not 1 <= max_batch <= _MOST_BATCH:
        raise ArgumentError(f"max_batch: expected an integer from 1 to {_MOST_BATCH}, got {max_batch!r}")
    if not _is_number(max_wait_ms) or not 0 <= max_wait_ms <= _MOST_WAIT_MS:
        raise ArgumentError(
            f"max_wait_ms: expected milliseconds from 0 to {_MOST_WAIT_MS:.0f}, got {max_wait_ms!r}"
        )
    return int(max_batch), float(max_wait_ms)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
