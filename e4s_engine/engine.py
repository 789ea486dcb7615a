"""The engine: composes the stages, images -> regions -> encode -> swap -> decode -> blend."""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine import align as alignment
from e4s_engine import backends, compose, images, inputs, parse, regions
from e4s_engine import blend as blending
from e4s_engine import landmarks as landmark_models
from e4s_engine.config import ModelConfig, ParserConfig
from e4s_engine.errors import ArgumentError, ClosedError, LabelsError, WeightsError
from e4s_engine.inputs import Options, Portrait, RegionNames, Source
from e4s_engine.result import Face, Result
from e4s_engine.weights import Model, find_parser
from e4s_engine.weights import load as load_weights

logger = logging.getLogger("e4s_engine")

WEIGHTS_VARIABLE = "E4S_WEIGHTS"
_CLOSED = "this engine was closed; make a new one"
_AT_ONCE = 8  # swaps of a batch that are in memory as floats at one time

LabelMap = npt.NDArray[np.uint8]
Parser = Callable[[npt.NDArray[np.uint8]], Any]


@dataclasses.dataclass(frozen=True)
class _Job:
    """One swap: which portraits give which regions to the target. chosen None is the whole face."""

    target: Portrait
    parts: list[tuple[Portrait, inputs.Ids]]
    chosen: inputs.Ids | None


@dataclasses.dataclass(frozen=True)
class _Composed:
    """What the decoder renders, and the part of it that is pasted."""

    labels: LabelMap
    holes: compose.Mask
    styles: compose.Styles
    foreground: compose.Mask


class Engine:
    """Swaps faces by region with one model on one device.

    An engine does not change once it is made: any number of threads may call it at the same time. It is a
    context manager; `close()` releases the weights.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = None,
        *,
        parser: str | os.PathLike[str] | Parser | None = "auto",
        landmarks: landmark_models.LandmarkModel | str | None = None,
        device: str = "auto",
        precision: str = "auto",
        backend: str = "auto",
    ) -> None:
        """Load a model.

        weights: converted safetensors or an official `.pt`; None is the file that the environment variable
            E4S_WEIGHTS names.
        parser: "auto" (the parser beside the weights, if there is one), a path to converted or official
            parser weights, a callable image uint8 [H, W, 3] -> labels [h, w] in 0..11, or None.
        landmarks: a callable image uint8 [H, W, 3] -> list of [68, 2] or [5, 2] arrays in pixels, or its
            name as "module:attribute".
        device: "auto", "cpu", "cuda" or "cuda:N". precision: "auto", "fp32", "bf16" or "fp16".
        backend: "auto", "native" or "reference".

        Raises WeightsError, ArgumentError, or BackendError where the machine lacks what was asked for.
        """
        path = _weights_path(weights)
        self._landmarks = landmark_models.resolve(landmarks)
        model = load_weights(path, "rgi", "weights")
        self._parser, parser_model = _load_parser(parser, path)
        assert isinstance(model.config, ModelConfig)
        classes = parser_model.config if parser_model is not None else None
        self._classes = classes if isinstance(classes, ParserConfig) else None
        self.config = model.config
        self._backend: backends.Backend | None = backends.create(
            model, parser_model, backend, device, precision
        )
        self.backend = self._backend.name
        self.device, self.precision = self._backend.device, self._backend.precision
        logger.info("engine: %s backend on %s in %s", self.backend, self.device, self.precision)

    @property
    def parser(self) -> str:
        """How this engine parses: "network", "callable" or "none"."""
        if self._parser is not None:
            return "callable"
        return "none" if self._classes is None else "network"

    def close(self) -> None:
        """Release the weights. Later calls raise ClosedError, and so may calls under way."""
        self._backend = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def swap(
        self,
        source: Source,
        target: inputs.Image,
        regions: RegionNames | None = None,
        *,
        extent: float = 1.0,
        shape: bool = True,
        texture: bool = True,
        hair_first: bool = True,
        blend: str = "feather",
        align: str | bool = "auto",
        source_labels: Any = None,
        target_labels: Any = None,
        source_landmarks: Any = None,
        target_landmarks: Any = None,
    ) -> Result:
        """Put the source's face, or some regions of it, into the target photo.

        source: an image, a Face, or {region or tuple of regions: image or Face} for several people.
        target: an image.
        regions: names or presets to take from the source; None is the published whole-face swap
            (E4S section 3.4), [] changes nothing.
        extent: how far the texture goes, from 0 (the target's) to 1 (the source's).
        shape, texture: whether the source's shape and texture are taken at all.
        hair_first: in a whole-face swap the target's hair lies under the source's face, else over it.
        blend: "feather", "multiband" or "none".
        align: "auto" (by landmarks where there are any, else the photo must be a square aligned portrait),
            True (landmarks needed) or False (the photo is aligned).
        source_labels, target_labels: uint8 [h, w] in 0..11 of the aligned crop, instead of the parser's
            (for a dict of sources a dict with the same keys).
        source_landmarks, target_landmarks: [68, 2] or [5, 2] in pixels of the photo, instead of the
            landmark model's (for a dict of sources a dict with the same keys).

        Raises ArgumentError or one of its kinds: ImageError, LabelsError, RegionError, AlignmentError.
        """
        options = Options(extent, shape, texture, hair_first, blend, align)
        read = self._reader(align)
        parts, chosen = inputs.sources(source, regions, source_labels, source_landmarks, "source", read)
        portrait = _image_only(read(target, "target", target_labels, target_landmarks))
        return self._swap([_Job(portrait, parts, chosen)], options)[0]

    def swap_batch(
        self,
        sources: Source | Sequence[Source],
        targets: Sequence[inputs.Image],
        regions: RegionNames | None = None,
        *,
        extent: float = 1.0,
        shape: bool = True,
        texture: bool = True,
        hair_first: bool = True,
        blend: str = "feather",
        align: str | bool = "auto",
        source_labels: Sequence[Any] | None = None,
        target_labels: Sequence[Any] | None = None,
        source_landmarks: Sequence[Any] | None = None,
        target_landmarks: Sequence[Any] | None = None,
    ) -> list[Result]:
        """Many swaps at once: source i into target i, or one source into every target.

        Labels and landmarks are lists as long as what they belong to (for a single source, of length 1);
        the rest is as in `swap`. A source that occurs several times is encoded once. Every input is checked
        before any is swapped.
        """
        options = Options(extent, shape, texture, hair_first, blend, align)
        if not isinstance(targets, (list, tuple)):
            raise ArgumentError(f"targets: expected a list of images, got {type(targets).__name__}")
        if isinstance(regions, Iterator):
            regions = list(regions)  # each source reads them
        many = list(sources) if isinstance(sources, (list, tuple)) else [sources]
        if len(many) not in (1, len(targets)):
            raise ArgumentError(f"sources: expected 1 or {len(targets)} (one per target), got {len(many)}")
        read = self._reader(align)
        labels = inputs.per_item(source_labels, len(many), "source_labels")
        points = inputs.per_item(source_landmarks, len(many), "source_landmarks")
        given = [
            inputs.sources(source, regions, labels[i], points[i], f"sources[{i}]", read)
            for i, source in enumerate(many)
        ]
        labels = inputs.per_item(target_labels, len(targets), "target_labels")
        points = inputs.per_item(target_landmarks, len(targets), "target_landmarks")
        jobs = []
        for i, target in enumerate(targets):
            portrait = _image_only(read(target, f"targets[{i}]", labels[i], points[i]))
            parts, chosen = given[i if len(given) > 1 else 0]
            jobs.append(_Job(portrait, parts, chosen))
        return self._swap(jobs, options)

    def edit(
        self,
        image: inputs.Image,
        reference: Source,
        regions: RegionNames | None,
        extent: float = 1.0,
        *,
        blend: str = "feather",
        align: str | bool = "auto",
        labels: Any = None,
        reference_labels: Any = None,
        landmarks: Any = None,
        reference_landmarks: Any = None,
    ) -> Result:
        """Mix the reference's texture into some regions of the image; every shape stays.

        Hair colour, make-up, eye colour: v = (1 - extent) * image's + extent * reference's, per region.
        Arguments and errors as in `swap`.
        """
        return self.swap(
            reference,
            image,
            regions,
            extent=extent,
            shape=False,
            blend=blend,
            align=align,
            source_labels=reference_labels,
            target_labels=labels,
            source_landmarks=reference_landmarks,
            target_landmarks=landmarks,
        )

    def reconstruct(
        self,
        image: inputs.Image,
        labels: Any = None,
        *,
        blend: str = "feather",
        align: str | bool = "auto",
        landmarks: Any = None,
    ) -> Result:
        """The image through the model and back: its own codes in its own labels, pasted over it."""
        options = Options(blend=blend, align=align)
        portrait = _image_only(self._reader(align)(image, "image", labels, landmarks))
        self._complete([portrait])
        mask, styles = _known(portrait)
        holes = np.zeros(mask.shape, bool)
        composed = _Composed(mask, holes, styles, compose.whole_face_foreground(mask, holes))
        return self._render([(portrait, composed)], options)[0]

    def encode(
        self,
        image: inputs.Image,
        labels: Any = None,
        *,
        align: str | bool = "auto",
        landmarks: Any = None,
    ) -> Face:
        """An image as a reusable Face: labels uint8 [512, 512], style vectors float32 [12, D]."""
        portrait = _image_only(self._reader(align)(image, "image", labels, landmarks))
        self._complete([portrait])
        return Face(*_known(portrait))

    def decode(self, styles: Any, labels: Any) -> npt.NDArray[np.float32]:
        """Style vectors [12, D] and labels [h, w] -> image float32 [S, S, 3], in [-1, 1] but not clamped."""
        checked = inputs.check_styles(styles, "styles", self.config.style_dim)
        mask = inputs.check_labels(labels, "labels")
        return self._runtime.decode(checked[None], mask[None])[0]

    def parse(
        self, image: inputs.Image, *, align: str | bool = "auto", landmarks: Any = None
    ) -> npt.NDArray[np.uint8]:
        """The regions of the image's aligned crop, uint8 [512, 512]."""
        portrait = _image_only(self._reader(align)(image, "image", None, landmarks))
        self._label([portrait])
        assert portrait.labels is not None
        return portrait.labels

    def crop(
        self, image: inputs.Image, *, align: str | bool = "auto", landmarks: Any = None
    ) -> npt.NDArray[np.uint8]:
        """The aligned crop that the stages work on, uint8 [1024, 1024, 3]."""
        portrait = _image_only(self._reader(align)(image, "image", None, landmarks))
        assert portrait.crop is not None
        return portrait.crop.image

    @property
    def _runtime(self) -> backends.Backend:
        if self._backend is None:
            raise ClosedError(_CLOSED)
        return self._backend

    def _reader(self, align: str | bool) -> inputs.Read:
        if self._backend is None:  # say so before any work
            raise ClosedError(_CLOSED)
        return inputs.reader(self._landmarks, Options(align=align).align, self.config.style_dim)

    def _label(self, portraits: Iterable[Portrait]) -> None:
        """Labels for every portrait that came without."""
        for portrait in portraits:
            if portrait.labels is not None:
                continue
            assert portrait.crop is not None
            picture = portrait.crop.for_parser
            if self._parser is not None:
                portrait.labels = inputs.check_labels(
                    self._parser(picture.copy()), f"{portrait.argument}: parser"
                )
            elif self._classes is not None:
                portrait.labels = self._classify(picture, self._classes)
            else:
                raise LabelsError(
                    f"{portrait.argument}: this engine has no parser; pass labels "
                    "(uint8 [h, w] in 0..11), or make the engine with Engine(parser=...)"
                )

    def _classify(self, picture: images.Pixels, classes: ParserConfig) -> LabelMap:
        """The regions of a picture by the engine's own parser network."""
        if picture.shape[0] < parse.SIDE:
            picture = images.resize(picture, parse.SIDE, parse.SIDE, Image.Resampling.BILINEAR)
        found = self._runtime.parse(picture[None])[0]
        return found if classes.table == "regions" else regions.TABLES[classes.table][found]

    def _complete(self, portraits: list[Portrait]) -> None:
        """Labels and style vectors for every portrait, the encodes in one batch."""
        self._label(portraits)
        missing = list({id(p): p for p in portraits if p.styles is None}.values())
        if missing:
            crops = np.stack([p.crop.image for p in missing if p.crop is not None])
            labels = np.stack([p.labels for p in missing if p.labels is not None])
            for portrait, styles in zip(missing, self._runtime.encode(crops, labels), strict=True):
                portrait.styles = styles

    def _swap(self, jobs: list[_Job], options: Options) -> list[Result]:
        results: list[Result] = []
        for start in range(0, len(jobs), _AT_ONCE):
            results += self._swap_some(jobs[start : start + _AT_ONCE], options)
        return results

    def _swap_some(self, jobs: list[_Job], options: Options) -> list[Result]:
        self._label([job.target for job in jobs])
        active = [job for job in jobs if job.chosen != ()]
        self._complete([portrait for job in active for portrait in (job.target, *(p for p, _ in job.parts))])
        rendered = iter(self._render([(job.target, _compose(job, options)) for job in active], options))
        return [_untouched(job.target) if job.chosen == () else next(rendered) for job in jobs]

    def _render(self, composed: list[tuple[Portrait, _Composed]], options: Options) -> list[Result]:
        """Decode in one batch, then paste each face into its photo."""
        if not composed:
            return []
        styles = np.stack([made.styles for _, made in composed])
        labels = np.stack([made.labels for _, made in composed])
        faces = self._runtime.decode(styles, labels)
        return [_paste(p, to_uint8(f), made, options) for f, (p, made) in zip(faces, composed, strict=True)]


def to_uint8(image: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """A decoded image in [-1, 1] as 8 bits: clamped and truncated, as in the published code."""
    return (((image + 1) / 2).clip(0, 1) * 255).astype(np.uint8)


def _compose(job: _Job, options: Options) -> _Composed:
    """Swap shape and texture: what to decode."""
    target_labels, target_styles = _known(job.target)
    known = [(*_known(portrait), ids) for portrait, ids in job.parts]
    if job.chosen is None:
        source_labels, source_styles, _ = known[0]
        labels, holes = compose.whole_face_labels(source_labels, target_labels, options.hair_first)
        styles = compose.whole_face_styles(source_styles, target_styles, options.extent)
        shaped: list[tuple[compose.Styles, Sequence[int]]] = [(source_styles, regions.FACE)]
    else:
        labels, holes = compose.region_labels([(mask, ids) for mask, _, ids in known], target_labels)
        shaped = [(vectors, ids) for _, vectors, ids in known]
        styles = compose.region_styles(shaped, target_styles, options.extent)
    if not options.texture:
        styles = target_styles
    if options.shape:
        styles = compose.complete_styles(styles, shaped, target_styles)
    else:
        labels, holes = target_labels, np.zeros(target_labels.shape, bool)
    if job.chosen is None:
        foreground = compose.whole_face_foreground(labels, holes)
    else:
        foreground = compose.region_foreground(job.chosen, labels, holes, target_labels)
    return _Composed(labels, holes, styles, foreground)


def _paste(target: Portrait, face: npt.NDArray[np.uint8], made: _Composed, options: Options) -> Result:
    """Blend the face over the target's crop and put the crop back into the photo."""
    crop = target.crop
    assert crop is not None
    alpha = blending.alpha(made.foreground, options.blend)
    pasted = face
    if options.blend == "multiband" and made.foreground.any():
        large = images.resize(face, alignment.CROP, alignment.CROP, Image.Resampling.BICUBIC)
        pasted = blending.multiband(large, crop.image, made.foreground)
        if crop.quad is None:
            alpha = np.full_like(alpha, 255)  # as published, the pyramids reach over the whole crop
    return Result(alignment.paste(crop, pasted, alpha), face, made.labels, made.holes)


def _untouched(target: Portrait) -> Result:
    """The result of swapping nothing: the target as it is."""
    crop, mask = target.crop, target.labels
    assert crop is not None and mask is not None
    # Copies, as in a batch the same target may come several times.
    return Result(crop.photo.copy(), crop.image.copy(), mask.copy(), np.zeros(mask.shape, bool))


def _known(portrait: Portrait) -> tuple[LabelMap, compose.Styles]:
    assert portrait.labels is not None and portrait.styles is not None
    return portrait.labels, portrait.styles


def _image_only(portrait: Portrait) -> Portrait:
    if portrait.crop is None:
        raise ArgumentError(f"{portrait.argument}: expected an image, got a Face, which has no picture")
    return portrait


def _weights_path(weights: str | os.PathLike[str] | None) -> str | os.PathLike[str]:
    path = weights if weights is not None else os.environ.get(WEIGHTS_VARIABLE)
    if path is None or (isinstance(path, str) and not path):
        raise WeightsError(
            "weights: this version ships no model; pass converted safetensors or the official "
            f"iteration_300000.pt, or name the file in the environment variable {WEIGHTS_VARIABLE}"
        )
    return path


def _load_parser(
    parser: str | os.PathLike[str] | Parser | None, weights_path: str | os.PathLike[str]
) -> tuple[Parser | None, Model | None]:
    """A callable parser, or a parser's weights, or neither."""
    if parser is None:
        return None, None
    if callable(parser):
        return parser, None
    if parser == "auto":
        found = find_parser(weights_path)
        if found is None:
            return None, None
        logger.info("engine: parser %s", found)
        parser = found
    if not isinstance(parser, (str, os.PathLike)):
        raise ArgumentError(f"parser: expected 'auto', a path, a callable or None, got {parser!r}")
    return None, load_weights(parser, "parser", "parser")


_default: list[Engine] = []  # the engine behind `swap`, once it is made
_default_lock = threading.Lock()


def default_engine() -> Engine:
    """The engine behind `e4s_engine.swap`, made at its first use with default arguments."""
    with _default_lock:
        if not _default:
            _default.append(Engine())
        return _default[0]


def swap(source: Source, target: inputs.Image, regions: RegionNames | None = None, **options: Any) -> Result:
    """`Engine.swap` on a default engine, made at the first call."""
    return default_engine().swap(source, target, regions, **options)
