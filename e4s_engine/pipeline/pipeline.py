"""Pipeline of a swap: parse -> encode -> relight and compose -> decode -> paste (blend, back into the photo).

`located` and `portraits` read and align the photos before it. It decides the route of a swap and passes the
result of each stage to the next.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine import regions
from e4s_engine.backends import Backend
from e4s_engine.errors import ArgumentError, LabelsError, noted
from e4s_engine.networks.bisenet import parse
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.rgi import relight as relighting
from e4s_engine.options import SwapOptions
from e4s_engine.photo import align as alignment
from e4s_engine.photo import images, tone
from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline import aligned, compose, inputs
from e4s_engine.pipeline.compose import Composed
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.paste import fused, paste, resident, to_uint8, together, untouched
from e4s_engine.pipeline.portraits import Job, Person, Regions, Request, WholeFace
from e4s_engine.pipeline.stages import stage
from e4s_engine.regions import Labels, Mask
from e4s_engine.result import Face, Result

AT_ONCE = 8  # swaps of a batch that are in memory as floats at one time

PortraitLabels = dict[Portrait, Labels]


class Parser(Protocol):
    """A caller's own parser."""

    def __call__(self, image: Pixels, /) -> Any:
        """Return labels in 0..11, integers [h, w] of any array library, of an image uint8 [H, W, 3]."""


class Route(enum.Enum):
    """The three ways that a swap takes."""

    UNTOUCHED = "nothing was asked for"
    FUSED = "the backend swaps in one go"
    STAGED = "stage by stage"


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """The stages over one backend.

    parser: a caller's own. classes: config of the backend's parser. lights: layers of models that relight.
    """

    backend: Backend
    parser: Parser | None
    classes: ParserConfig | None
    size: int
    lights: relighting.Layers | None = None

    def label(self, portraits: Iterable[Portrait]) -> PortraitLabels:
        """Return the labels of every portrait: the caller's, else the parser's."""
        labels: PortraitLabels = {}
        for portrait in portraits:
            if portrait not in labels:
                own = portrait.labels
                labels[portrait] = self._parse(portrait) if own is None else own
        return labels

    def _parse(self, portrait: Portrait) -> Labels:
        with stage("parse"):
            labels = self._parsed(portrait)
        if portrait.assumed:
            aligned.check(labels, portrait.argument)
        # Neighbours in a group photo: to the parser their skin and hair are this face's.
        return labels if portrait.foreign is None else np.where(portrait.foreign, np.uint8(0), labels)

    def _parsed(self, portrait: Portrait) -> Labels:
        picture = portrait.crop.for_parser
        if self.parser is not None:
            with noted(f"{portrait.argument}: raised by the parser that the engine was made with"):
                labels = self.parser(picture.copy())
            return inputs.check_labels(labels, f"{portrait.argument}: parser")
        if self.classes is None:
            raise LabelsError(
                f"{portrait.argument}: this engine has no parser; pass labels "
                "(uint8 [h, w] in 0..11), or make the engine with Engine(parser=...)"
            )
        if picture.shape[0] < parse.SIDE:
            picture = images.resize(picture, parse.SIDE, parse.SIDE, Image.Resampling.BILINEAR)
        classes = self.backend.run("parser", "parse", picture[None])[0]
        return classes if self.classes.table == "regions" else regions.TABLES[self.classes.table][classes]

    def encode(self, people: Iterable[Person], labels: PortraitLabels | None = None) -> dict[Person, Face]:
        """Return everybody as a Face, the encodes in one batch. labels: of portraits already parsed."""
        people = list(dict.fromkeys(people))
        portraits = [person for person in people if isinstance(person, Portrait)]
        known = dict(labels or {})
        known |= self.label(portrait for portrait in portraits if portrait not in known)
        faces: dict[Person, Face] = {person: person for person in people if isinstance(person, Face)}
        if portraits:
            with stage("encode"):
                encoded = self.backend.run("rgi", "encode", *_stacked(portraits, known))
            for portrait, styles in zip(portraits, encoded, strict=True):
                faces[portrait] = Face(known[portrait], styles)
        return faces

    def decode(self, styles: compose.Styles, labels: Labels) -> npt.NDArray[np.float32]:
        """Decode style vectors [N,12,D] and labels [N,512,512] to images [N,S,S,3]. Raises ArgumentError."""
        with stage("decode"):
            decoded = self.backend.run("rgi", "decode", styles, labels)
        if not np.isfinite(decoded).all():
            raise ArgumentError("styles: the image is not finite; these are no style vectors of this model")
        return decoded

    def swap(self, jobs: Sequence[Job], options: SwapOptions) -> list[Result]:
        """Do every job, a few at a time, each into a photo of its own."""
        results: list[Result] = []
        for start in range(0, len(jobs), AT_ONCE):
            results += self._swap_some(jobs[start : start + AT_ONCE], options)
        return [_told(result, job) for result, job in zip(results, jobs, strict=True)]

    def swap_groups(self, groups: Sequence[Sequence[Job]], options: SwapOptions) -> list[Result]:
        """Do the jobs of every group into one photo; groups of one job together, as `swap` does them."""
        groups = [_worthwhile(group) for group in groups]
        single = iter(self.swap([group[0] for group in groups if len(group) == 1], options))
        return [next(single) if len(group) == 1 else self._swap_group(group, options) for group in groups]

    def _swap_group(self, jobs: Sequence[Job], options: SwapOptions) -> Result:
        """Swap several faces of one photo: each from the photo's pixels, pasted one after the other."""
        photo, results = jobs[0].target.crop.photo, []
        for start in range(0, len(jobs), AT_ONCE):
            some = jobs[start : start + AT_ONCE]
            labels = self.label(job.target for job in some)
            composed = self._composed(some, labels, options)
            for job, one, face in zip(some, composed, self._faces(composed), strict=True):
                with stage("blend"):
                    crop = dataclasses.replace(job.target.crop, photo=photo)
                    result = paste(crop, face, one, options.blend)
                photo = result.image
                results.append(_told(result, job))
        return together(results, jobs[0].target.crop)

    def _swap_some(self, jobs: Sequence[Job], options: SwapOptions) -> list[Result]:
        labels = self.label(job.target for job in jobs)
        routes = [self._route(job, jobs, options) for job in jobs]
        results: dict[int, Result] = {}
        for route in Route:
            numbers = [i for i, other in enumerate(routes) if other is route]
            some = [jobs[i] for i in numbers]
            if route is Route.UNTOUCHED:
                done = [untouched(job.target.crop, labels[job.target], self.size) for job in some]
            elif route is Route.FUSED:
                done = self._swap_fused(some, labels)
            else:
                done = self._swap_staged(some, labels, options)
            results |= zip(numbers, done, strict=True)
        return [results[i] for i in range(len(jobs))]

    def _route(self, job: Job, jobs: Sequence[Job], options: SwapOptions) -> Route:
        """Decide how a job is done.

        Fused are swaps as published between two aligned crops, the target in colour. A source that comes
        again, or was encoded already, goes through the stages: its style vectors are used again.
        """
        if job.request == Regions(()):
            return Route.UNTOUCHED
        source, crop = job.parts[0].person, job.target.crop
        once = sum(source is part.person for other in jobs for part in other.parts) == 1
        same_size = crop.quad is None and crop.photo.shape == crop.image.shape
        fits = len(job.parts) == 1 and isinstance(source, Portrait) and once and same_size
        can = self._can_fuse(options) and not self._skins(job.request, options)
        fused = fits and can and tone.of(crop.image) is None
        return Route.FUSED if fused else Route.STAGED

    def _can_fuse(self, options: SwapOptions) -> bool:
        """Return whether the backend swaps in one go, and does what these options ask for."""
        lights = self._lights_for(options)
        return self.backend.swapper is not None and options.fused and lights is None

    def _lights_for(self, options: SwapOptions) -> relighting.Layers | None:
        return self.lights if options.relight else None

    def _skins(self, request: Request, options: SwapOptions) -> list[int]:
        """Return the regions of skin that take the target's colours."""
        applies = self._lights_for(options) is None and options.shape and options.texture
        mode = "none" if options.match == "auto" and not applies else options.match
        return compose.matched_skins(_ids(request), mode)

    def _swap_staged(self, jobs: Sequence[Job], labels: PortraitLabels, options: SwapOptions) -> list[Result]:
        composed = self._composed(jobs, labels, options)
        return self._render([(job.target, one) for job, one in zip(jobs, composed, strict=True)], options)

    def _composed(self, jobs: Sequence[Job], labels: PortraitLabels, options: SwapOptions) -> list[Composed]:
        people = [person for job in jobs for person in (job.target, *(part.person for part in job.parts))]
        faces, lights = self.encode(people, labels), self._lights_for(options)
        with stage("compose"):
            return [
                self._matched(_compose(job, faces, options, lights), job, faces[job.target].labels, options)
                for job in jobs
            ]

    def _matched(self, composed: Composed, job: Job, target: Labels, options: SwapOptions) -> Composed:
        """Add what takes the target's colours. target: its labels."""
        skins = self._skins(job.request, options)
        areas = compose.matched_areas(skins, composed.labels, composed.holes, target)
        return dataclasses.replace(composed, matched=areas)

    def _swap_fused(self, jobs: Sequence[Job], labels: PortraitLabels) -> list[Result]:
        swapper = self.backend.swapper
        if not jobs or swapper is None:
            return []
        sources = [job.parts[0].person for job in jobs]
        portraits = [source for source in sources if isinstance(source, Portrait)]
        labels = labels | self.label(portrait for portrait in portraits if portrait not in labels)
        given, kept = _stacked(portraits, labels), _stacked([job.target for job in jobs], labels)
        flags = [compose.request(_ids(job.request), mask) for job, mask in zip(jobs, given[1], strict=True)]
        with stage("fused"):
            swapped = swapper.swap(*given, *kept, np.stack(flags))
        results = []
        for job, flag, *arrays in zip(jobs, flags, *swapped, strict=True):
            # Copies: views would keep the whole batch alive.
            image, face, mask, holes = (array.copy() for array in arrays)
            foreground = partial(_foreground, flag, mask, holes > 0, labels[job.target])
            results.append(fused(image, face, mask, holes > 0, job.target.crop, foreground))
        return results

    def swap_resident(
        self, source: Any, target: Any, labels: Sequence[Any], request: Request, options: SwapOptions
    ) -> Result | None:
        """Swap two crops on the backend's device, where they lie; return None if they do not, or it cannot.

        labels: of source and target; None for the parser's.
        """
        swapper = self.backend.swapper
        asked = request != Regions(()) and not self._skins(request, options)
        if swapper is None or not asked or not self._can_fuse(options):
            return None
        given, kept = swapper.resident(source), swapper.resident(target)
        if given is None or kept is None:
            return None
        if labels[1] is None and tone.of(images.read(target, "target")) is not None:
            return None  # the parser reads it on the CPU anyway; beside a caller's labels nothing is copied
        assumed = options.align is not False
        masks = [
            self._labels_of(image, mask, argument, assumed)
            for image, mask, argument in zip((source, target), labels, ("source", "target"), strict=True)
        ]
        flags = compose.request(_ids(request), masks[0])
        with stage("fused"):
            swapped, crop = swapper.swap_resident(given, masks[0], kept, masks[1], flags)
        holes = swapped.holes > 0
        foreground = partial(_foreground, flags, swapped.labels, holes, masks[1])
        result = resident(swapped.pasted, swapped.faces, swapped.labels, holes, crop, foreground)
        return result.of_face(None, None, _names(request))

    def _labels_of(self, image: Any, labels: Any, argument: str, assumed: bool) -> Labels:
        """Return labels checked, or the parser's, which sees a copy on the CPU."""
        if labels is not None:
            return inputs.check_labels(labels, f"{argument} labels")
        crop = alignment.whole(images.read(image, argument), argument)
        return self._parse(Portrait(argument, crop, assumed=assumed))

    def invert(self, portrait: Portrait, steps: int, rate: float) -> Face:
        """Return the portrait as a Face: the encoder's style vectors, and so many steps down from them."""
        face = self.encode([portrait])[portrait]
        if not steps:
            return face
        picture = images.resize(portrait.crop.image, self.size, self.size, Image.Resampling.LANCZOS)
        styles = self.backend.invert(picture[None], face.labels[None], face.styles[None], steps, rate)[0]
        if not np.isfinite(styles).all():
            raise ArgumentError(
                f"rate: {rate} leads nowhere, the style vectors are not finite; take a smaller one"
            )
        return Face(face.labels, styles)

    def reconstruct(self, portrait: Portrait, face: Face, options: SwapOptions) -> Result:
        """Render a portrait's own style vectors in its own labels, and paste them over it."""
        holes = np.zeros(face.labels.shape, bool)
        foreground = compose.whole_face_foreground(face.labels, holes)
        return self._render([(portrait, Composed(face.labels, holes, face.styles, foreground))], options)[0]

    def _render(self, composed: list[tuple[Portrait, Composed]], options: SwapOptions) -> list[Result]:
        """Decode in one batch, then paste each face into its photo."""
        if not composed:
            return []
        faces = self._faces([one for _, one in composed])
        with stage("blend"):
            return [
                paste(portrait.crop, face, one, options.blend)
                for face, (portrait, one) in zip(faces, composed, strict=True)
            ]

    def _faces(self, composed: Sequence[Composed]) -> list[Pixels]:
        """Decode in one batch."""
        styles = np.stack([one.styles for one in composed])
        decoded = self.decode(styles, np.stack([one.labels for one in composed]))
        return [to_uint8(face) for face in decoded]


def _stacked(portraits: Sequence[Portrait], labels: PortraitLabels) -> tuple[Pixels, Labels]:
    """Return crops and labels as batches."""
    crops = np.stack([portrait.crop.image for portrait in portraits])
    return crops, np.stack([labels[portrait] for portrait in portraits])


def _worthwhile(group: Sequence[Job]) -> Sequence[Job]:
    """Return the jobs of a photo that ask for anything, or one of them if none does."""
    return [job for job in group if job.request != Regions(())] or group[:1]


def _told(result: Result, job: Job) -> Result:
    """Return a job's result with what was swapped where."""
    return result.of_face(job.target.number, job.target.crop.quad, _names(job.request))


def _names(request: Request) -> tuple[str, ...] | None:
    return None if isinstance(request, WholeFace) else tuple(regions.NAMES[i] for i in request.ids)


def _ids(request: Request) -> tuple[int, ...] | None:
    """Return a request as `compose` takes it."""
    return None if isinstance(request, WholeFace) else request.ids


def _foreground(flags: Labels, labels: Labels, holes: Mask, target: Labels) -> Mask:
    """Return the paste mask of a fused swap. flags: see `compose.request`."""
    chosen = None if (flags == compose.WHOLE).any() else np.flatnonzero(flags).tolist()
    return compose.foreground(chosen, labels, holes, target)


def _compose(
    job: Job, faces: dict[Person, Face], options: SwapOptions, lights: relighting.Layers | None
) -> Composed:
    """Swap shape and texture."""
    target = faces[job.target]
    given = []
    for part in job.parts:
        face = faces[part.person]
        vectors = face.styles
        if lights is not None:
            vectors = relighting.relight(vectors[None], target.styles[None], lights)[0]
        given.append((face.labels, vectors, compose.shown(face.labels, part.ids)))
    if isinstance(job.request, WholeFace):
        source_labels, source_styles, _ = given[0]
        order = options.hair_first, options.earrings_first
        labels, holes = compose.whole_face_labels(source_labels, target.labels, *order)
        styles = compose.whole_face_styles(source_styles, target.styles, options.extent)
        shaped: list[tuple[compose.Styles, Sequence[int]]] = [(source_styles, regions.FACE)]
    else:
        labels, holes = compose.region_labels([(mask, ids) for mask, _, ids in given], target.labels)
        shaped = [(vectors, ids) for _, vectors, ids in given]
        styles = compose.region_styles(shaped, target.styles, options.extent)
    if not options.texture:
        styles = target.styles
    if options.shape:
        styles = compose.complete_styles(styles, shaped, target.styles)
    else:
        labels, holes = target.labels, np.zeros(target.labels.shape, bool)
    whole = isinstance(job.request, WholeFace)
    chosen = None if whole else [region for _, _, ids in given for region in ids]
    return Composed(labels, holes, styles, compose.foreground(chosen, labels, holes, target.labels))
