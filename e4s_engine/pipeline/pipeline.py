"""The stages composed: regions -> encode -> compose -> decode -> blend -> back into the photo.

This module alone calls one stage with what another gave; the stages never import each other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine import regions
from e4s_engine.backends import Backend
from e4s_engine.errors import ArgumentError, LabelsError
from e4s_engine.networks.bisenet import parse
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.rgi import relight as relighting
from e4s_engine.photo import align as alignment
from e4s_engine.photo import blend as blending
from e4s_engine.photo import images
from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline import compose, inputs
from e4s_engine.pipeline.inputs import Options, Portrait
from e4s_engine.regions import Labels
from e4s_engine.result import ResidentResult, Result

AT_ONCE = 8  # swaps of a batch that are in memory as floats at one time

Parser = Callable[[Pixels], Any]


@dataclasses.dataclass(frozen=True)
class Job:
    """One swap: which portraits give which regions to the target. chosen None is the whole face."""

    target: Portrait
    parts: list[tuple[Portrait, inputs.Ids]]
    chosen: inputs.Ids | None


@dataclasses.dataclass(frozen=True)
class _Composed:
    """What the decoder renders, and the part of it that is pasted."""

    labels: Labels
    holes: compose.Mask
    styles: compose.Styles
    foreground: compose.Mask


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """The stages over one backend.

    parser: a caller's own. classes: what the backend's parser tells apart. lights: of models that relight.
    """

    backend: Backend
    parser: Parser | None
    classes: ParserConfig | None
    size: int
    lights: relighting.Layers | None = None

    def published(self, options: Options) -> bool:
        """Whether swaps are done as in the published code: by the options, and without relighting."""
        return options.published and self._lights_for(options) is None

    def _lights_for(self, options: Options) -> relighting.Layers | None:
        return self.lights if options.relight else None

    def label(self, portraits: Iterable[Portrait]) -> None:
        """Labels for every portrait that came without."""
        for portrait in portraits:
            if portrait.labels is not None:
                continue
            assert portrait.crop is not None
            picture = portrait.crop.for_parser
            if self.parser is not None:
                found = self.parser(picture.copy())
                portrait.labels = inputs.check_labels(found, f"{portrait.argument}: parser")
            elif self.classes is not None:
                portrait.labels = self._classify(picture, self.classes)
            else:
                raise LabelsError(
                    f"{portrait.argument}: this engine has no parser; pass labels "
                    "(uint8 [h, w] in 0..11), or make the engine with Engine(parser=...)"
                )

    def _classify(self, picture: Pixels, classes: ParserConfig) -> Labels:
        """The regions of a picture by the backend's parser."""
        if picture.shape[0] < parse.SIDE:
            picture = images.resize(picture, parse.SIDE, parse.SIDE, Image.Resampling.BILINEAR)
        found = self.backend.run("parser", "parse", picture[None])[0]
        return found if classes.table == "regions" else regions.TABLES[classes.table][found]

    def complete(self, portraits: list[Portrait]) -> None:
        """Labels and style vectors for every portrait, the encodes in one batch."""
        self.label(portraits)
        missing = list({id(p): p for p in portraits if p.styles is None}.values())
        if missing:
            for portrait, styles in zip(
                missing, self.backend.run("rgi", "encode", *_stacked(missing)), strict=True
            ):
                portrait.styles = styles

    def decode(self, styles: compose.Styles, labels: Labels) -> npt.NDArray[np.float32]:
        """Style vectors [N,12,D] and labels [N,512,512] -> images [N,S,S,3]. Raises ArgumentError."""
        decoded = self.backend.run("rgi", "decode", styles, labels)
        if not np.isfinite(decoded).all():
            raise ArgumentError("styles: the image is not finite; these are no style vectors of this model")
        return decoded

    def swap(self, jobs: Sequence[Job], options: Options) -> list[Result]:
        """Every job done, a few at a time."""
        results: list[Result] = []
        for start in range(0, len(jobs), AT_ONCE):
            results += self._swap_some(jobs[start : start + AT_ONCE], options)
        return results

    def _swap_some(self, jobs: Sequence[Job], options: Options) -> list[Result]:
        self.label([job.target for job in jobs])
        done = {i: self._untouched(job.target) for i, job in enumerate(jobs) if job.chosen == ()}
        left = {i: job for i, job in enumerate(jobs) if i not in done}
        at_once = {i: job for i, job in left.items() if self._goes_at_once(job, jobs, options)}
        staged = {i: job for i, job in left.items() if i not in at_once}
        self.complete(
            [portrait for job in staged.values() for portrait in (job.target, *(p for p, _ in job.parts))]
        )
        lights = self._lights_for(options)
        composed = [(job.target, _compose(job, options, lights)) for job in staged.values()]
        done |= zip(staged, self._render(composed, options), strict=True)
        done |= zip(at_once, self._swap_at_once(list(at_once.values())), strict=True)
        return [done[i] for i in range(len(jobs))]

    def _goes_at_once(self, job: Job, jobs: Sequence[Job], options: Options) -> bool:
        """Whether the backend does all of this job in one go: as published, between two aligned crops.

        Of a source that comes again, or was encoded already, the style vectors are used again instead.
        """
        if self.backend.swapper is None or not self.published(options) or len(job.parts) > 1:
            return False
        source, target = job.parts[0][0], job.target
        fresh = source.crop is not None and source.styles is None and target.styles is None
        once = sum(source is part for other in jobs for part, _ in other.parts) == 1
        crop = target.crop
        return (
            fresh and once and crop is not None and crop.quad is None and crop.photo.shape == crop.image.shape
        )

    def _swap_at_once(self, jobs: Sequence[Job]) -> list[Result]:
        swapper = self.backend.swapper
        if not jobs or swapper is None:
            return []
        sources = [job.parts[0][0] for job in jobs]
        targets = [job.target for job in jobs]
        self.label(sources)
        given, kept = _stacked(sources), _stacked(targets)
        wanted = [compose.request(job.chosen, mask) for job, mask in zip(jobs, given[1], strict=True)]
        made = swapper.swap(*given, *kept, np.stack(wanted))
        # Copies: views would keep the whole batch alive.
        return [
            Result(image.copy(), face.copy(), labels.copy(), holes > 0)
            for image, face, labels, holes in zip(*made, strict=True)
        ]

    def swap_resident(
        self, source: Any, target: Any, labels: Sequence[Any], chosen: inputs.Ids | None
    ) -> Result | None:
        """A swap, options as published, of two crops on the backend's device; None where they are not.

        labels: of source and target, None for what the parser finds.
        """
        swapper = self.backend.swapper
        if swapper is None or chosen == ():
            return None
        given, kept = swapper.resident(source), swapper.resident(target)
        if given is None or kept is None:
            return None
        found = [
            self._labels_of(image, mask, argument)
            for image, mask, argument in zip((source, target), labels, ("source", "target"), strict=True)
        ]
        made = swapper.swap_resident(given, found[0], kept, found[1], compose.request(chosen, found[0]))
        return ResidentResult(made.pasted, made.faces, made.labels, made.holes > 0)

    def _labels_of(self, image: Any, labels: Any, argument: str) -> Labels:
        """Given labels checked, or the parser's, which sees a copy on the CPU."""
        if labels is not None:
            return inputs.check_labels(labels, f"{argument} labels")
        portrait = Portrait(argument, alignment.whole(images.read(image, argument), argument))
        self.label([portrait])
        assert portrait.labels is not None
        return portrait.labels

    def invert(self, portrait: Portrait, steps: int, rate: float) -> None:
        """Style vectors for the portrait: the encoder's, and that many steps down from them."""
        self.complete([portrait])
        labels, styles = known(portrait)
        if not steps:
            return
        assert portrait.crop is not None
        picture = images.resize(portrait.crop.image, self.size, self.size, Image.Resampling.LANCZOS)
        found = self.backend.invert(picture[None], labels[None], styles[None], steps, rate)[0]
        if not np.isfinite(found).all():
            raise ArgumentError(
                f"rate: {rate} leads nowhere, the style vectors are not finite; take a smaller one"
            )
        portrait.styles = found

    def reconstruct(self, portrait: Portrait, options: Options) -> Result:
        """The portrait's own style vectors in its own labels, pasted over it."""
        self.complete([portrait])
        labels, styles = known(portrait)
        holes = np.zeros(labels.shape, bool)
        composed = _Composed(labels, holes, styles, compose.whole_face_foreground(labels, holes))
        return self._render([(portrait, composed)], options)[0]

    def _render(self, composed: list[tuple[Portrait, _Composed]], options: Options) -> list[Result]:
        """Decode in one batch, then paste each face into its photo."""
        if not composed:
            return []
        styles = np.stack([made.styles for _, made in composed])
        labels = np.stack([made.labels for _, made in composed])
        faces = self.decode(styles, labels)
        return [_paste(p, to_uint8(f), made, options) for f, (p, made) in zip(faces, composed, strict=True)]

    def _untouched(self, target: Portrait) -> Result:
        """The result of swapping nothing: the target as it is. Copies: a target may come several times."""
        crop, mask = target.crop, target.labels
        assert crop is not None and mask is not None
        face = images.resize(crop.image, self.size, self.size, Image.Resampling.LANCZOS)
        return Result(crop.photo.copy(), face.copy(), mask.copy(), np.zeros(mask.shape, bool))


def _stacked(portraits: Sequence[Portrait]) -> tuple[Pixels, Labels]:
    """Crops and labels of labelled portraits."""
    crops = np.stack([portrait.crop.image for portrait in portraits if portrait.crop is not None])
    return crops, np.stack([portrait.labels for portrait in portraits if portrait.labels is not None])


def to_uint8(image: npt.NDArray[np.float32]) -> Pixels:
    """A decoded image in [-1, 1] as 8 bits: clamped and truncated, as in the published code."""
    return (((image + 1) / 2).clip(0, 1) * 255).astype(np.uint8)


def known(portrait: Portrait) -> tuple[Labels, compose.Styles]:
    """Labels and style vectors of a completed portrait."""
    assert portrait.labels is not None and portrait.styles is not None
    return portrait.labels, portrait.styles


def _compose(job: Job, options: Options, lights: relighting.Layers | None) -> _Composed:
    """Swap shape and texture: what to decode."""
    target_labels, target_styles = known(job.target)
    given = []
    for portrait, ids in job.parts:
        mask, vectors = known(portrait)
        if lights is not None:
            vectors = relighting.relight(vectors[None], target_styles[None], lights)[0]
        given.append((mask, vectors, compose.shown(mask, ids)))
    if job.chosen is None:
        source_labels, source_styles, _ = given[0]
        labels, holes = compose.whole_face_labels(source_labels, target_labels, options.hair_first)
        styles = compose.whole_face_styles(source_styles, target_styles, options.extent)
        shaped: list[tuple[compose.Styles, Sequence[int]]] = [(source_styles, regions.FACE)]
    else:
        labels, holes = compose.region_labels([(mask, ids) for mask, _, ids in given], target_labels)
        shaped = [(vectors, ids) for _, vectors, ids in given]
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
        chosen = [region for _, _, ids in given for region in ids]
        foreground = compose.region_foreground(chosen, labels, holes, target_labels)
    return _Composed(labels, holes, styles, foreground)


def _paste(target: Portrait, face: Pixels, made: _Composed, options: Options) -> Result:
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
