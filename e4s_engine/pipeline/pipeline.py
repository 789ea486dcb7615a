"""Pipeline of a swap: parse -> encode -> relight and compose -> decode -> paste (blend, back into the photo).

`located` and `portraits` read and align the photos before it. It decides the route of a swap and passes the
result of each stage to the next.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine import regions
from e4s_engine.backends import APART, PASTED, WHOLE, Ask, Backend, Given, Swapper
from e4s_engine.errors import ArgumentError, LabelsError, noted
from e4s_engine.networks.rgi import relight as relighting
from e4s_engine.options import SwapOptions
from e4s_engine.photo import align as alignment
from e4s_engine.photo import blend, images, tone
from e4s_engine.photo.images import Pixels
from e4s_engine.photo.match import Area
from e4s_engine.pipeline import aligned, compose, generate, inputs, painting, told
from e4s_engine.pipeline.compose import Composed, Shape
from e4s_engine.pipeline.driving import NO_DRIVER, Driver
from e4s_engine.pipeline.finishing import NO_FINISHER, Asked, Finisher
from e4s_engine.pipeline.generate import Cover, Generated, cover
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.parsing import ParserNetwork
from e4s_engine.pipeline.paste import fused, paste, resident, together, untouched
from e4s_engine.pipeline.portraits import Job, Person, Regions, Request, WholeFace
from e4s_engine.pipeline.stages import stage
from e4s_engine.regions import Labels, Mask
from e4s_engine.result import Face, Lazy, Result

AT_ONCE = 8  # swaps of a batch that are in memory as floats at one time

PortraitLabels = dict[Portrait, Labels]


class Parser(Protocol):
    """A caller's own parser."""

    def __call__(self, image: Pixels, /) -> Any:
        """Return labels in 0..11, integers [h, w] of any array library, of an image uint8 [H, W, 3]."""


class Route(enum.Enum):
    """The three ways that a swap takes."""

    UNTOUCHED = "nothing was asked for"
    FUSED = "the backend swaps and pastes in one go"
    APART = "the face is made, then pasted into its photo"


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """The stages over one backend.

    parser: a caller's own. network: the backend's parser. lights: layers of models that relight.
    driver: reenactment and restoration of sources. finisher: re-colouring and inpainting of faces.
    model: fingerprint of the model, which its Faces carry.
    """

    backend: Backend
    parser: Parser | None
    network: ParserNetwork | None
    size: int
    lights: relighting.Layers | None = None
    driver: Driver = NO_DRIVER
    finisher: Finisher = NO_FINISHER
    model: str | None = None

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
        if self.network is None:
            raise LabelsError(
                f"{portrait.argument}: this engine has no parser; pass labels "
                "(uint8 [h, w] in 0..11), or make the engine with Engine(parser=...)"
            )
        return self.network.labels(self.backend, picture)

    def encode(self, people: Iterable[Person], labels: PortraitLabels | None = None) -> dict[Person, Face]:
        """Return everybody as a Face, the encodes in one batch. labels: of portraits already parsed."""
        people = list(dict.fromkeys(people))
        portraits = [person for person in people if isinstance(person, Portrait)]
        known = dict(labels or {})
        known |= self.label(portrait for portrait in portraits if portrait not in known)
        faces: dict[Person, Face] = {person: person for person in people if isinstance(person, Face)}
        faces |= {portrait: portrait.face for portrait in portraits if portrait.face is not None}
        portraits = [portrait for portrait in portraits if portrait.face is None]
        if portraits:
            with stage("encode"):
                encoded = self.backend.run("rgi", "encode", *_stacked(portraits, known))
            for portrait, styles in zip(portraits, encoded, strict=True):
                faces[portrait] = Face(
                    known[portrait],
                    styles,
                    driven=portrait.driven,
                    model=self.model,
                    inputs=told.sources([portrait]),
                )
        return faces

    def decode(self, styles: compose.Styles, labels: Labels) -> npt.NDArray[np.float32]:
        """Decode style vectors [N,12,D] and labels [N,512,512] to images [N,S,S,3]. Raises ArgumentError."""
        return generate.decode(self.backend, styles, labels)

    def share(self, request: Request, labels: Labels) -> float:
        """Return the part of the decoder's work that a swap takes between two faces of these labels."""
        return generate.share(self.backend, self.size, _ids(request), labels)

    def swap(self, jobs: Sequence[Job], options: SwapOptions) -> list[Result]:
        """Do every job, each into a photo of its own; in stages a few at a time."""
        step = AT_ONCE if self.backend.swapper is None else max(len(jobs), 1)
        results: list[Result] = []
        for start in range(0, len(jobs), step):
            some = self.driver.jobs(jobs[start : start + step], options)
            done = self._swap_some(some, options)
            results += [_told(result, job, options) for result, job in zip(done, some, strict=True)]
        return results

    def swap_groups(self, groups: Sequence[Sequence[Job]], options: SwapOptions) -> list[Result]:
        """Do the jobs of every group into one photo; groups of one job together, as `swap` does them."""
        if options.idle:
            groups = [[dataclasses.replace(job, request=Regions(())) for job in group] for group in groups]
        groups = [_worthwhile(group) for group in groups]
        single = iter(self.swap([group[0] for group in groups if len(group) == 1], options))
        return [next(single) if len(group) == 1 else self._swap_group(group, options) for group in groups]

    def _swap_group(self, jobs: Sequence[Job], options: SwapOptions) -> Result:
        """Swap several faces of one photo: each from the photo's pixels, pasted one after the other."""
        photo, results = jobs[0].target.crop.photo, []
        for start in range(0, len(jobs), AT_ONCE):
            some = self.driver.jobs(jobs[start : start + AT_ONCE], options)
            labels = self.label(job.target for job in some)
            for job, (face, shape, alpha) in zip(some, self._rendered(some, labels, options), strict=True):
                crop = dataclasses.replace(job.target.crop, photo=photo)
                result = self._pasted(job, crop, (face, shape, alpha), labels[job.target], options)
                photo = result.image
                results.append(_told(result, job, options))
        return together(results, jobs[0].target.crop)

    def _swap_some(self, jobs: Sequence[Job], options: SwapOptions) -> list[Result]:
        labels = self.label(job.target for job in jobs)
        routes = [self._route(job, options) for job in jobs]
        results: dict[int, Result] = {}
        for route in Route:
            numbers = [i for i, other in enumerate(routes) if other is route]
            some = [jobs[i] for i in numbers]
            if route is Route.UNTOUCHED:
                done = [untouched(job.target.crop, labels[job.target], self.size) for job in some]
            elif route is Route.FUSED:
                done = self._swap_fused(some, labels, options)
            else:
                done = self._swap_apart(some, labels, options)
            results |= zip(numbers, done, strict=True)
        return [results[i] for i in range(len(jobs))]

    def _route(self, job: Job, options: SwapOptions) -> Route:
        """Decide how a job is done.

        Fused are feathered pastes over photos that are aligned crops, in colour.
        """
        if job.painted is not None:
            return Route.APART
        if job.request == Regions(()):
            return Route.UNTOUCHED
        crop = job.target.crop
        whole = crop.quad is None and crop.photo.shape == crop.image.shape
        fits = whole and options.blend == "feather" and self.backend.swapper is not None
        finished = fits and bool(self._asked_of(job.request, options))
        plain = fits and not finished and not self._skins(job.request, options)
        plain = plain and crop.tone is None
        return Route.FUSED if plain else Route.APART

    def _asked_of(self, request: Request, options: SwapOptions) -> Asked:
        """Return what is done to a face after its generation."""
        return Asked() if request == Regions(()) else self.finisher.asked(_ids(request), options)

    def _lights_for(self, request: Request, options: SwapOptions) -> relighting.Layers | None:
        """Return the layers that relight; None where nothing is relit, or the face is re-coloured."""
        return self.lights if options.relight and not self._asked_of(request, options).recolors else None

    def _skins(self, request: Request, options: SwapOptions) -> list[int]:
        """Return the regions of skin that take the target's colours."""
        if self._asked_of(request, options).recolors:
            return []
        applies = self._lights_for(request, options) is None and options.shape and options.texture
        mode = "none" if options.match == "auto" and not applies else options.match
        return compose.matched_skins(_ids(request), mode)

    def _areas(self, job: Job, shape: Shape, target: Labels, options: SwapOptions) -> tuple[Area, ...]:
        """Return what takes the target's colours. target: its labels."""
        skins = self._skins(job.request, options)
        return compose.matched_areas(skins, shape.labels, shape.holes, target)

    def _swap_apart(self, jobs: Sequence[Job], labels: PortraitLabels, options: SwapOptions) -> list[Result]:
        rendered = self._rendered(jobs, labels, options)
        return [
            self._pasted(job, job.target.crop, one, labels[job.target], options)
            for job, one in zip(jobs, rendered, strict=True)
        ]

    def _pasted(
        self,
        job: Job,
        crop: alignment.Crop,
        rendered: tuple[Generated, Shape, Pixels],
        target: Labels,
        options: SwapOptions,
    ) -> Result:
        """Finish a face and paste it. target: labels of the crop."""
        face, shape, alpha = rendered
        finish = self.finisher.finish(self._asked_of(job.request, options), shape, crop, target)
        with stage("blend"):
            return paste(crop, face, shape, alpha, options.blend, finish)

    def _rendered(
        self, jobs: Sequence[Job], labels: PortraitLabels, options: SwapOptions
    ) -> list[tuple[Generated, Shape, Pixels]]:
        """Return every job's face, its shape, and the face's opacity over the crop."""
        if not jobs:
            return []
        swapper = self.backend.swapper
        apart = any(job.painted is not None or self._recolors(job, options) for job in jobs)
        if swapper is None or options.blend == "soft" or apart:
            composed = self._composed(jobs, labels, options)
            looks = any(self._recolors(job, options) for job in jobs)  # the network looks at all of a face
            full = dataclasses.replace(options, full_face=options.full_face or looks)
            faces = self._faces([job.target for job in jobs], composed, full)
            return [(face, one, over.alpha) for one, (over, face) in zip(composed, faces, strict=True)]
        outputs = APART if options.blend == "feather" else APART[:-1]
        rendered = []
        for job, (ask, made) in zip(jobs, self._asked(swapper, jobs, labels, options, outputs), strict=True):
            shape = Shape(made["labels"], made["holes"] > 0, made["foreground"] > 0)
            areas = self._areas(job, shape, ask.target_labels, options)
            face, alpha = made["picture"], made.get("opacity")
            alpha = blend.alpha(shape.foreground, options.blend) if alpha is None else alpha
            whole = face if ask.reach >= WHOLE else generate.later(self.backend, made["styles"], shape.labels)
            rendered.append((Generated(face, whole), dataclasses.replace(shape, matched=areas), alpha))
        return rendered

    def _recolors(self, job: Job, options: SwapOptions) -> bool:
        return self._asked_of(job.request, options).recolors

    def _reach(self, job: Job, options: SwapOptions) -> int:
        """Return how many pixels of the crop a paste reads of the face beyond the face's opacity."""
        if options.full_face or options.blend != "feather" or self._skins(job.request, options):
            return WHOLE
        return math.ceil(
            generate.reach(job.target.crop, options.blend, self.size) * alignment.CROP / self.size
        )

    def _composed(self, jobs: Sequence[Job], labels: PortraitLabels, options: SwapOptions) -> list[Composed]:
        people = [person for job in jobs for person in (job.target, *(part.person for part in job.parts))]
        faces = self.encode(people, labels)
        with stage("compose"):
            composed = [_compose(job, faces, options, self._lights_for(job.request, options)) for job in jobs]
            return [
                self._matched(job, one, faces[job.target], options)
                for job, one in zip(jobs, composed, strict=True)
            ]

    def _matched(self, job: Job, composed: Composed, target: Face, options: SwapOptions) -> Composed:
        """Return a composition with what takes the target's colours."""
        one = dataclasses.replace(composed, matched=self._areas(job, composed, target.labels, options))
        if job.painted is None or options.match == "none":
            return one
        return dataclasses.replace(one, matched=one.matched + painting.areas(one, job.painted, target))

    def _asked(
        self,
        swapper: Swapper,
        jobs: Sequence[Job],
        labels: PortraitLabels,
        options: SwapOptions,
        outputs: tuple[str, ...],
    ) -> list[tuple[Ask, dict[str, Any]]]:
        """Have jobs done by the backend in one go; return what was asked for, and what came."""
        people = {part.person: None for job in jobs for part in job.parts}
        portraits = [person for person in people if isinstance(person, Portrait)]
        labels = labels | self.label(portrait for portrait in portraits if portrait not in labels)
        given = {person: _given(person, labels) for person in people}
        asks = [
            Ask(
                tuple(given[part.person] for part in job.parts),
                job.target.crop.image,
                labels[job.target],
                np.stack([_flags(job.request, part.ids, given[part.person].labels) for part in job.parts]),
                _settings(options),
                self._lights_for(job.request, options) is not None,
                outputs,
                self._reach(job, options),
                None if job.target.face is None else job.target.face.styles,
            )
            for job in jobs
        ]
        with stage("fused"):
            return list(zip(asks, swapper.swap(asks), strict=True))

    def _swap_fused(self, jobs: Sequence[Job], labels: PortraitLabels, options: SwapOptions) -> list[Result]:
        swapper = self.backend.swapper
        if not jobs or swapper is None:
            return []
        outputs = (*PASTED, "picture") if options.full_face else PASTED
        results = []
        for job, (ask, made) in zip(jobs, self._asked(swapper, jobs, labels, options, outputs), strict=True):
            mask, holes = made["labels"], made["holes"] > 0
            foreground = partial(_foreground, ask.chosen, mask, holes, ask.target_labels)
            face = (
                made["picture"] if options.full_face else generate.later(self.backend, made["styles"], mask)
            )
            results.append(fused(made["pasted"], face, mask, holes, job.target.crop, foreground))
        return results

    def swap_resident(
        self, source: Any, target: Any, labels: Sequence[Any], request: Request, options: SwapOptions
    ) -> Result | None:
        """Swap a crop, or a Face, into a crop on the backend's device; return None if this is no such swap.

        labels: of source and target; None for the parser's.
        """
        swapper = self.backend.swapper
        if swapper is None or request == Regions(()) or options.idle or options.blend != "feather":
            return None
        if self._skins(request, options) or self._asked_of(request, options):
            return None
        if self.driver.drives(options, source):
            return None
        kept = swapper.resident(target)
        pixels = None if isinstance(source, Face) else swapper.resident(source)
        if kept is None or (pixels is None and not isinstance(source, Face)):
            return None
        if labels[1] is None and tone.of(images.read(target, "target")) is not None:
            return None  # the parser reads it on the CPU anyway; beside a caller's labels nothing is copied
        assumed = options.align is not False
        if isinstance(source, Face):
            given = Given(source.labels, styles=source.styles)
        else:
            given = Given(self._labels_of(source, labels[0], "source", assumed), pixels)
        mask = self._labels_of(target, labels[1], "target", assumed)
        flags = _flags(request, _ids(request) or (), given.labels)[None]
        lit = self._lights_for(request, options) is not None
        outputs, reach = ((*PASTED, "picture"), WHOLE) if options.full_face else (PASTED, 0)
        with stage("fused"):
            (made,) = swapper.swap(
                [Ask((given,), kept, mask, flags, _settings(options), lit, outputs, reach)]
            )
        holes = made["holes"] > 0
        foreground = partial(_foreground, flags, made["labels"], holes, mask)
        if options.full_face:
            face = Lazy(lambda: np.asarray(made["picture"]))
        else:
            face = generate.later(self.backend, made["styles"], made["labels"])
        result = resident(made["pasted"], face, made["labels"], holes, made["target_pixels"], foreground)
        return result.of_face(None, None, _names(request), statement=told.swapped(options))

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
        return Face(face.labels, styles, model=self.model, inputs=face.inputs)

    def reconstruct(self, portrait: Portrait, face: Face, options: SwapOptions) -> Result:
        """Render a portrait's own style vectors in its own labels, and paste them over it."""
        holes = np.zeros(face.labels.shape, bool)
        foreground = compose.whole_face_foreground(face.labels, holes, options.blend)
        composed = Composed(face.labels, holes, foreground, face.styles)
        (result,) = self._render([(portrait, composed)], options)
        statement = told.reconstructed(portrait)
        return result.of_face(portrait.number, portrait.crop.quad, None, statement=statement)

    def _render(self, composed: list[tuple[Portrait, Composed]], options: SwapOptions) -> list[Result]:
        """Decode in one batch, then paste each face into its photo."""
        if not composed:
            return []
        faces = self._faces([one for one, _ in composed], [one for _, one in composed], options)
        with stage("blend"):
            return [
                paste(portrait.crop, face, one, over.alpha, options.blend)
                for (over, face), (portrait, one) in zip(faces, composed, strict=True)
            ]

    def _faces(
        self, targets: Sequence[Portrait], composed: Sequence[Composed], options: SwapOptions
    ) -> Iterable[tuple[Cover, Generated]]:
        """Generate in one batch what is pasted of the faces, or all of them."""
        with stage("compose"):
            pairs = zip(targets, composed, strict=True)
            covers = [cover(target.crop, one, options.blend, self.size) for target, one in pairs]
        faces = generate.faces(self.backend, self.size, composed, covers, options.full_face)
        return zip(covers, faces, strict=True)


def _stacked(portraits: Sequence[Portrait], labels: PortraitLabels) -> tuple[Pixels, Labels]:
    """Return crops and labels as batches."""
    crops = np.stack([portrait.crop.image for portrait in portraits])
    return crops, np.stack([labels[portrait] for portrait in portraits])


def _worthwhile(group: Sequence[Job]) -> Sequence[Job]:
    """Return the jobs of a photo that ask for anything, or one of them if none does."""
    return [job for job in group if job.request != Regions(())] or group[:1]


def _told(result: Result, job: Job, options: SwapOptions) -> Result:
    """Return a job's result with what was swapped where, and how."""
    driven = tuple(part.person.driven for part in job.parts if part.person.driven is not None)
    names = _names(job.request, painting.ids(job.painted))
    place = job.target.number, job.target.crop.quad, names
    return result.of_face(*place, driven, told.swapped(options, job))


def _names(request: Request, painted: Sequence[int] = ()) -> tuple[str, ...] | None:
    """Return the names of the regions that a swap changes; None for a whole face."""
    if isinstance(request, WholeFace):
        return None
    return tuple(regions.NAMES[region] for region in sorted({*request.ids, *painted}))


def _ids(request: Request) -> tuple[int, ...] | None:
    """Return a request as `compose` takes it."""
    return None if isinstance(request, WholeFace) else request.ids


def _given(person: Person, labels: PortraitLabels) -> Given:
    """Return a person as backends that compose take them."""
    face = person if isinstance(person, Face) else person.face
    if face is not None:
        return Given(face.labels, styles=face.styles)
    assert isinstance(person, Portrait)
    return Given(labels[person], person.crop.image)


def _flags(request: Request, ids: Sequence[int], labels: Labels) -> Labels:
    """Return the swap flags of one source."""
    return compose.request(None if isinstance(request, WholeFace) else ids, labels)


def _settings(options: SwapOptions) -> npt.NDArray[np.float32]:
    """Return a swap's settings as backends take them, see `Ask`."""
    return np.array([getattr(options, name) for name in compose.SETTINGS], np.float32)


def _foreground(flags: Labels, labels: Labels, holes: Mask, target: Labels) -> Mask:
    """Return the paste mask of a fused swap. flags: see `compose.request`, a row per source."""
    chosen = None if (flags == compose.WHOLE).any() else np.flatnonzero(flags.any(0)).tolist()
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
        shaped: list[tuple[compose.Styles, Sequence[int]]] = [(source_styles, regions.FACE)]
        if options.blend == "soft":
            labels, holes = compose.longer_labels(source_labels, target.labels)
            styles = compose.longer_styles(source_styles, target.styles, options.extent)
        else:
            order = options.hair_first, options.earrings_first
            labels, holes = compose.whole_face_labels(source_labels, target.labels, *order)
            styles = compose.whole_face_styles(source_styles, target.styles, options.extent)
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
    foreground = compose.foreground(chosen, labels, holes, target.labels, options.blend)
    composed = Composed(labels, holes, foreground, styles)
    if job.painted is None:
        return composed
    return painting.over(composed, job.painted, [vectors for _, vectors, _ in given])
