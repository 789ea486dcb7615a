"""The engine: the public calls. `pipeline/` composes what they do.

Longer than other files by the docstrings of the public calls, which belong to one class.
"""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Generator, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Unpack

import numpy as np
import numpy.typing as npt

from e4s_engine import backends
from e4s_engine._forks import Lock
from e4s_engine.errors import ArgumentError, ClosedError, NotPicklableError
from e4s_engine.faces import choose
from e4s_engine.faces import landmarks as landmark_models
from e4s_engine.faces.choose import Which
from e4s_engine.faces.face import DetectedFace
from e4s_engine.networks.rgi import invert
from e4s_engine.options import Align, Average, Blend, EditChanges, SwapChanges, SwapOptions, checked
from e4s_engine.photo import images
from e4s_engine.pipeline import batches, faces, guarding, inputs, loading, located, painting, portraits
from e4s_engine.pipeline.batches import OnError
from e4s_engine.pipeline.driving import REENACT, RESTORE
from e4s_engine.pipeline.guarding import Guard
from e4s_engine.pipeline.jobs import Reader, Side, jobs
from e4s_engine.pipeline.kinds import (
    Image,
    LabelMap,
    LabelMaps,
    Landmarks,
    LandmarkSets,
    RegionNames,
    Source,
    Target,
)
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.pipeline import AT_ONCE, Parser, Pipeline
from e4s_engine.result import Face, HeadPose, Restoration, Result
from e4s_engine.weights import Model

if TYPE_CHECKING:
    from e4s_engine.video.options import Steady
    from e4s_engine.video.video import Progress as VideoProgress
    from e4s_engine.video.video import Video

logger = logging.getLogger("e4s_engine")


class Engine:
    """Swaps faces by region with one model on one device.

    An engine does not change once it is made: any number of threads may call it at the same time. It is a
    context manager; `close()` releases the weights.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] | Model | None = None,
        *,
        parser: str | os.PathLike[str] | Parser | None = "auto",
        parser_seed: int = 0,
        landmarks: landmark_models.LandmarkModel | str | None = "auto",
        device: str = "auto",
        precision: backends.Precision = "auto",
        backend: backends.BackendName = "auto",
        max_batch: int = 1,
        max_wait_ms: float = 2.0,
        guard: Guard | str | None = None,
    ) -> None:
        """Load a model.

        weights: converted safetensors or an official `.pt`; a folder of such files, each recognised by its
            content, with the parser, the detector, and the networks of reenactment and restoration, which are
            loaded at their first use (`e4s weights FOLDER` says what is there); or a `weights.Model` as
            `e4s_engine.convert` returns it. None is what the environment variable E4S_WEIGHTS names, and
            without that the bundled demo model: 256 x 256, trained on faces that the project renders itself,
            no match for photos of real people (models/README.md).
        parser: "auto" (the parser beside the weights, if there is one; of a BiSeNet and a SegNeXt the
            BiSeNet), a path to converted or official parser weights of either network, a callable image
            uint8 [H, W, 3] -> labels [h, w] in 0..11, or None.
        parser_seed: start of a SegNeXt's factorisation, 0 to 2^32 - 1: the draw that the published code makes
            after `torch.manual_seed(parser_seed)`. A picture always parses alike; BiSeNet ignores it.
        landmarks: what finds the faces: "auto" (the best detector at hand: RetinaFace if its weights lie
            beside these, else YuNet, each with 68 points by dlib, else dlib alone, as published; see
            `faces.auto`), one detector alone by name ("retinaface", "yunet", "dlib"), a callable image uint8
            [H, W, 3] -> list of [68, 2] or [5, 2] arrays in pixels, its name as "module:attribute", or None.
            `engine.landmarks` says which it is.
        device: "auto", "cpu", "cuda" or "cuda:N". precision: "auto", "fp32", "bf16" or "fp16".
        backend: "auto", "native" or "reference".
        max_batch: pictures of concurrent calls that go through a network together, 1 to 256; 1: every call
            for itself. max_wait_ms: how long a call may wait for others before each network, 0 to 10000;
            those that come while a batch runs gather for the next one, whatever this is.

        guard: callable (target, source) that sees both before anything is generated, or its name as
            "module:attribute". It answers True, or the call raises RefusedError (see `guarding.Guard`).
            `decode`, which gets no picture, does not ask it. Pictures on a GPU are copied for it, and
            results are then in main memory.

        Raises WeightsError, ArgumentError, or BackendError where the machine lacks what was asked for.
        """
        backends.check(backend, device, precision)
        gathering = inputs.check_gathering(max_batch, max_wait_ms)
        self._guard = guarding.resolve(guard)  # before the slow loading
        chosen = loading.files_of(*loading.choose(weights))
        ours = landmark_models.is_detector(landmarks)
        finder = None if ours else landmark_models.resolve(landmarks)  # before the slow loading
        pipeline, networks, self.config = loading.load(
            chosen,
            parser,
            inputs.check_seed(parser_seed, "parser_seed"),
            (backend, device, precision),
            gathering,
        )
        self._finder = finder or loading.finder(str(landmarks), chosen, networks)
        self._pipeline: Pipeline | None = pipeline
        self.weights = chosen.model if isinstance(chosen.model, Path) else None
        self._warning = self.weights == loading.BUNDLED
        runtime = pipeline.backend
        self.backend, self.device, self.precision = runtime.name, runtime.device, runtime.precision
        self.landmarks, self.fingerprint = self._finder.name, pipeline.model
        self.networks = networks.kinds  # beside the model and the parser
        self.parser = "callable" if pipeline.parser else "none" if pipeline.network is None else "network"
        logger.info("engine: %s backend on %s in %s", self.backend, self.device, self.precision)

    def close(self) -> None:
        """Release the weights. Later calls raise ClosedError; calls under way finish first."""
        self._pipeline = None

    def __repr__(self) -> str:
        name = "a model in memory" if self.weights is None else self.weights.name
        closed = ", closed" if self._pipeline is None else ""
        return f"<Engine: {name}, {self.backend} backend on {self.device} in {self.precision}{closed}>"

    def __reduce__(self) -> NoReturn:
        raise NotPicklableError(
            "an Engine belongs to its process and cannot be pickled or copied; share it between threads, or "
            "let every process create its own, for example in the initializer of a process pool"
        )

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def swap(
        self,
        source: Source,
        target: Target,
        regions: RegionNames | None = None,
        *,
        options: SwapOptions | None = None,
        source_labels: LabelMaps | None = None,
        target_labels: LabelMap | None = None,
        source_landmarks: LandmarkSets | None = None,
        target_landmarks: Landmarks | None = None,
        painted: LabelMap | None = None,
        **changes: Unpack[SwapChanges],
    ) -> Result:
        """Put the source's face, or some regions of it, into the target photo.

        source: an image, a Face, or {region or tuple of regions: image or Face} for several people;
            {number: any of these} puts one source each into several faces of the target (numbers as in
            `faces`).
        target: an image, or a Face that keeps its photo (`encode(..., keep_photo=True)`).
        regions: names or presets to take from the source; None is the published whole-face swap
            (E4S section 3.4), [] changes nothing.
        options: how it is done; None: the defaults of `SwapOptions`.
        changes: single options by name, in place of those: extent, shape, texture, hair_first,
            earrings_first, relight, match, recolor, inpaint, blend, align, reenact, restore, full_face,
            faces (see `SwapOptions`).
        source_labels, target_labels: uint8 [h, w] in 0..11 of the aligned crop, instead of the parser's
            (for a dict of sources a dict with the same keys).
        source_landmarks, target_landmarks: [68, 2] or [5, 2] in pixels of the photo, instead of the
            detector's (for a dict of sources a dict with the same keys).
        painted: uint8 [h, w] in 0..11, painted by hand over the labels that the swap composes
            (`Result.labels`), or 255 (`regions.UNPAINTED`) where these stay. The face follows: pixels that
            get another region are generated with its texture and pasted. `engine.swap(me, me, [],
            painted=...)` reshapes a face without any other.

        A feathered swap of two aligned crops [1024, 1024, 3], or of a Face into one, that lie on the GPU of
        a native engine (CuPy, torch, anything with DLPack or `__cuda_array_interface__`) is made there
        without a copy, whatever regions and options: `Result.resident` is the picture, still there. Beside
        `target_labels` it is taken to have colours: whether it is grey is not looked for.

        Raises ArgumentError or one of its kinds: ImageError, LabelsError, RegionError, AlignmentError; and
        TypeError for a name that is no option.
        """
        how = checked(options).changed(**changes)
        pipeline, reader = self._open(how)
        request = portraits.requested(regions)
        plain = self._guard is None and source_landmarks is target_landmarks is painted is None
        if plain and self._takes_crops(how):
            labels = (source_labels, target_labels)
            if isinstance(source, Face):
                source = reader.read(source, "source", source_labels, source_landmarks)
            resident = pipeline.swap_resident(source, target, labels, request, how)
            if resident is not None:
                return resident
        given = Side(source, "source", source_labels, source_landmarks)
        kept = Side(target, "target", target_labels, target_landmarks)
        group = painting.painted(jobs(given, kept, request, reader, how.faces), painted)
        return pipeline.swap_groups([group], how)[0]

    def _takes_crops(self, options: SwapOptions) -> bool:
        """Return whether a crop on the GPU without landmarks counts as aligned."""
        auto = options.align == "auto" and not self._finder.chosen and options.faces == "largest"
        return options.align is False or auto

    def swap_batch(
        self,
        sources: Source | Sequence[Source],
        targets: Sequence[Target],
        regions: RegionNames | None = None,
        *,
        options: SwapOptions | None = None,
        source_labels: Sequence[Any] | None = None,
        target_labels: Sequence[Any] | None = None,
        source_landmarks: Sequence[Any] | None = None,
        target_landmarks: Sequence[Any] | None = None,
        **changes: Unpack[SwapChanges],
    ) -> list[Result]:
        """Do many swaps together: source i into target i, or one source into every target.

        Labels and landmarks are lists as long as what they belong to (for a single source, of length 1);
        the rest is as in `swap`. A source that occurs several times is encoded once. Every input is checked
        before any is swapped.
        """
        how = checked(options).changed(**changes)
        pipeline, reader = self._open(how)
        given, kept = (sources, source_labels, source_landmarks), (targets, target_labels, target_landmarks)
        request = portraits.requested(regions)
        ready = batches.all_read(pipeline, reader, given, kept, request, how)
        items = batches.told(batches.outcomes(pipeline, ready, how, AT_ONCE), len(ready), True, None)
        return [item for item in items if isinstance(item, Result)]

    def swap_each(
        self,
        sources: Source | Iterable[Source],
        targets: Iterable[Target],
        regions: RegionNames | None = None,
        *,
        options: SwapOptions | None = None,
        source_labels: LabelMaps | Iterable[LabelMaps | None] | None = None,
        target_labels: Iterable[Any] | None = None,
        source_landmarks: LandmarkSets | Iterable[LandmarkSets | None] | None = None,
        target_landmarks: Iterable[Any] | None = None,
        on_error: OnError = "yield",
        progress: batches.Progress | None = None,
        **changes: Unpack[SwapChanges],
    ) -> Generator[Result | Exception, None, None]:
        """Do many swaps one after the other; yield each target's Result, or its exception, in order.

        For long batches, video and services: targets are read only when it is their turn, so that memory does
        not grow with their number, and one bad picture does not stop the others. The generator can be closed
        between any two items; `tqdm(engine.swap_each(...), total=n)` shows a progress bar.

        sources: one source for all targets, read and encoded before this returns (so its errors are raised),
            or a list or an iterator with a source for every target.
        targets: any iterable of images, such as a generator of frames.
        source_labels, source_landmarks: as in `swap` for one source, else one value per target, like
            target_labels and target_landmarks: lists or iterators.
        on_error: "yield" exceptions in the place of their results, or "raise" the first one. An error that
            every later item would have too (ClosedError, BackendError) is always raised.
        progress: called with the number of finished items and of all, or None if targets has no length.

        The rest is as in `swap`. On a GPU a few items are read and done together.
        """
        how = checked(options).changed(**changes)
        pipeline, reader = self._open(how)
        if on_error not in ("yield", "raise"):
            raise ArgumentError(f"on_error: expected 'yield' or 'raise', got {on_error!r}")
        if progress is not None and not callable(progress):
            raise ArgumentError(f"progress: expected a callable (finished, total), got {progress!r:.60}")
        side = Side(sources, "source", source_labels, source_landmarks)
        kept = (targets, target_labels, target_landmarks)
        request = portraits.requested(regions)
        tasks, total = batches.tasks(pipeline, reader, side, kept, request, how)
        items = batches.outcomes(pipeline, tasks, how, 1 if self.device == "cpu" else AT_ONCE)
        return batches.told(items, total, on_error == "raise", progress)

    def video(
        self,
        source: Source | None,
        frames: Any,
        regions: RegionNames | None = None,
        *,
        options: SwapOptions | None = None,
        steady: Steady | None = None,
        start: float = 0.0,
        stop: float | None = None,
        rate: float | None = None,
        source_labels: LabelMaps | None = None,
        source_landmarks: LandmarkSets | None = None,
        progress: VideoProgress | None = None,
        **changes: Unpack[SwapChanges],
    ) -> Video:
        """Swap people in a clip: iterate over the result, or `save` it.

        For example::

            for frame in engine.video("ann.jpg", "holiday.mp4"):
                show(frame.image)
            engine.video("ann.jpg", "holiday.mp4").save("out.mp4")

        Faces are followed through the clip, crops, labels and style vectors steadied over time. Frames in
        which nobody is swapped are as they were.

        source: as in `swap`; {number: source} puts people into several tracks (`Video.tracks`). None swaps
            nobody: for a look at the tracks.
        frames: path of a clip, a GIF, a folder or a pattern ("%05d.png") of pictures; a list of images or of
            PyAV's frames; or any iterator of them, such as a camera: then every frame is swapped as it comes,
            steadied by those before it alone.
        options, changes: as in `swap`. `faces` chooses tracks: "largest" is the most prominent of every shot.
        steady: how steady; None: `Steady()`. `Steady.off()` swaps every frame as a photo.
        start, stop: seconds from the clip's first frame; stop None: to its end.
        rate: frames per second of pictures and lists; None: 25.
        progress: called with "faces" or "frames", the number of finished frames, and of all or None.

        Raises ArgumentError or one of its kinds: VideoError for a clip that cannot be read; BackendError
        without PyAV (extra `video`), which lists and iterators of images do not need.
        """
        from e4s_engine.video import calls

        how = checked(options).changed(**changes)
        pipeline, reader = self._open(how)
        side = Side(source, "source", source_labels, source_landmarks)
        return calls.video(
            pipeline,
            reader,
            side,
            portraits.requested(regions),
            how,
            frames,
            steady=steady,
            stretch=(start, stop),
            rate=rate,
            progress=progress,
            about={"weights": inputs.identity(self.weights), "engine": repr(self)},
        )

    def edit(
        self,
        image: Image,
        reference: Source,
        regions: RegionNames | None,
        extent: float | None = None,
        *,
        options: SwapOptions | None = None,
        labels: LabelMap | None = None,
        reference_labels: LabelMaps | None = None,
        landmarks: Landmarks | None = None,
        reference_landmarks: LandmarkSets | None = None,
        **changes: Unpack[EditChanges],
    ) -> Result:
        """Mix the reference's texture into some regions of the image; every shape stays.

        Hair colour, make-up, eye colour: v = (1 - extent) * image's + extent * reference's, per region.
        extent: 0 to 1; None: that of the options, 1 by default. 0 leaves the image as it is.
        Arguments and errors as in `swap`, but for `shape`, which is no option here.
        """
        if "shape" in changes:
            raise ArgumentError("shape: edit leaves every shape as it is; use swap")
        how = checked(options).changed(**changes).changed(shape=False)
        if extent is not None:
            how = how.changed(extent=extent)
        pipeline, reader = self._open(how)
        given = Side(reference, "reference", reference_labels, reference_landmarks)
        kept = Side(image, "image", labels, landmarks)
        group = jobs(given, kept, portraits.requested(regions), reader, how.faces)
        return pipeline.swap_groups([group], how)[0]

    def reconstruct(
        self,
        image: Image,
        labels: LabelMap | None = None,
        *,
        blend: Blend = "feather",
        align: Align = "auto",
        landmarks: Landmarks | None = None,
        face: Which = "largest",
        steps: int = 0,
    ) -> Result:
        """Send the image through the model and back: its own codes in its own labels, pasted over it.

        face: which of the photo's faces, as `SwapOptions.faces`, but one.
        steps: number of optimiser steps before (`invert`); 0: the codes are the encoder's.
        """
        options = _of_face(SwapOptions(blend=blend, align=align), face)
        pipeline, portrait = self._read(image, labels, options, landmarks)
        guarding.ask(self._guard, portrait)
        encoded = pipeline.invert(portrait, inputs.check_steps(steps), invert.RATE)
        return pipeline.reconstruct(portrait, encoded, options)

    def invert(
        self,
        image: Image,
        labels: LabelMap | None = None,
        *,
        steps: int = invert.STEPS,
        rate: float = invert.RATE,
        align: Align = "auto",
        landmarks: Landmarks | None = None,
        face: Which = "largest",
    ) -> Face:
        """Return an image as a Face whose style vectors render it better than the encoder's do.

        Optimisation-based inversion, as the published code offers it: `steps` of Adam at `rate` from what
        `encode` gives (0 to 100000; defaults as published), each a forward and a backward pass of the
        generator. The losses are those that need no other network: L2, colours and gradients at four scales,
        structure. Swaps take the Face like any other. The same input gives the same Face on the same machine.

        Raises BackendError on compiled backends, which have no gradients: `backend="reference"` has.
        """
        pipeline, portrait = self._read(image, labels, _of_face(SwapOptions(align=align), face), landmarks)
        inverted = pipeline.invert(portrait, inputs.check_steps(steps), inputs.check_rate(rate))
        return faces.kept(inverted, portrait, False)

    def encode(
        self,
        image: Image,
        labels: LabelMap | None = None,
        *,
        align: Align = "auto",
        landmarks: Landmarks | None = None,
        face: Which = "largest",
        keep_photo: bool = False,
        driving: Image | None = None,
    ) -> Face:
        """Return an image as a reusable Face: labels uint8 [512, 512], style vectors float32 [12, D].

        face: which of the photo's faces, as `SwapOptions.faces`, but one.
        driving: a photo to whose pose and expression the image is driven before (`reenact=True` of a swap),
            and then restored if the weights are at hand; the Face remembers it (`Face.driven`).
        keep_photo: whether the Face keeps the photo and its crop, in memory but in no file (`Face.save`). It
            can then be the target of swaps, which read, parse and encode nothing again: what a slider calls.
        """
        options = SwapOptions(align=align, reenact=True)
        pipeline, portrait = self._read(image, labels, _of_face(options, face), landmarks)
        if driving is not None:
            pipeline.driver.check(REENACT, "driving")
            target = self._read(driving, None, options, None, "driving")[1]
            guarding.ask(self._guard, target, portrait)
            portrait = pipeline.driver.portrait(portrait, target, options)
        return faces.kept(pipeline.encode([portrait])[portrait], portrait, keep_photo)

    def average(
        self, images: Sequence[Image | Face], *, how: Average = "mean", align: Align = "auto"
    ) -> Face:
        """Return one Face from several photos or Faces of a person, region by region.

        images: list of photos, of which the largest face counts, Faces and saved Faces (`encode(photo,
            face=1)` takes another face of a photo).
        how: "mean" takes the mean of a region's style vectors over the photos that show it, which evens out
            light and chance. "best" takes each region from one photo: the sharpest of those in which at least
            0.7 of the largest area that any of them shows is visible. Photos with less than 0.4 of the
            sharpest one's sharpness count only for what no other shows: their labels are guesses.

        The shape is no mean, as label maps have none: it is that of the photo that hides least of the face,
        the sharpest of several (of how="mean" too), as is the thumbnail. Texts on consent and licence are
        those of all, one below the other.

        Raises ArgumentError, and what `encode` raises.
        """
        chosen = faces.check_how(how)
        pipeline, reader = self._open(SwapOptions(align=align))
        people = portraits.listed(images, reader.read)
        views: list[Face] = []
        for start in range(0, len(people), AT_ONCE):
            some = people[start : start + AT_ONCE]
            encoded = pipeline.encode(some)
            views += [faces.known(person, encoded[person]) for person in some]
        return faces.average(views, chosen)

    def reenact(
        self,
        source: Image,
        driving: Image,
        *,
        restore: bool = False,
        align: Align = "auto",
        source_landmarks: Landmarks | None = None,
        driving_landmarks: Landmarks | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Return the source's face in the pose and with the expression of another photo (face-vid2vid).

        Both are cropped by their faces. Returns uint8 [256, 256, 3], the size at which face-vid2vid draws;
        with restore=True that picture restored, uint8 [1024, 1024, 3].

        Raises ArgumentError without the weights.
        """
        options = SwapOptions(align=align, reenact=True, restore=restore)
        driver = self._running().driver
        driver.check(REENACT, "driving")
        if restore:
            driver.check(RESTORE, "restore")
        pipeline, portrait = self._read(source, None, options, source_landmarks, "source")
        target = self._read(driving, None, options, driving_landmarks, "driving")[1]
        guarding.ask(self._guard, target, portrait)
        driven = pipeline.driver.portrait(portrait, target, options).driven
        assert driven is not None
        picture = driven.restored if restore else driven.reenacted
        assert picture is not None
        return picture

    def pose(
        self,
        image: Image,
        *,
        align: Align = "auto",
        landmarks: Landmarks | None = None,
        face: Which = "largest",
    ) -> HeadPose:
        """Return where the image's face looks and what it expresses (face-vid2vid's estimator).

        face: as in `encode`. Raises ArgumentError without the weights.
        """
        self._running().driver.check(REENACT, "pose")
        pipeline, portrait = self._read(image, None, SwapOptions(align=align, faces=face), landmarks)
        return pipeline.driver.pose(portrait)

    def restore(self, image: Image) -> Restoration:
        """Return a photo at four times its size, every face in it drawn anew (RealESRNet, then GPEN).

        The published enhancement flow; the photo needs no alignment and may show any number of faces, also
        none. Raises ArgumentError without the weights.
        """
        pipeline = self._running()
        if self._guard is not None:
            guarding.ask(self._guard, images.read(image, "image"))
        return pipeline.driver.restore_photo(image, "image")

    def faces(self, image: Image) -> list[DetectedFace]:
        """Return the faces of a photo, largest first: the numbers by which swaps choose them.

        Raises AlignmentError if this engine has no detector and no landmark model.
        """
        self._running()
        return located.found(image, "image", self._finder)

    def portrait(
        self,
        image: Image,
        labels: LabelMap | None = None,
        *,
        align: Align = "auto",
        landmarks: Landmarks | None = None,
        face: Which = "largest",
        argument: str = "image",
    ) -> Portrait:
        """Read, align and parse a photo once; every call takes the Portrait in the photo's place.

        face: which of the photo's faces, as `SwapOptions.faces`, but one. argument: the photo's name in error
        messages. The Portrait has `crop.image`, the aligned crop, and `labels`.
        """
        pipeline, portrait = self._read(
            image, labels, _of_face(SwapOptions(align=align), face), landmarks, argument
        )
        labelled = pipeline.label([portrait])[portrait]
        return dataclasses.replace(portrait, labels=labelled, parsed=portrait.labels is None)

    def decode(self, styles: Any, labels: Any) -> npt.NDArray[np.float32]:
        """Decode style vectors [12, D] and labels [h, w] to an image.

        Returns float32 [S, S, 3], in [-1, 1] but not clamped.
        """
        pipeline = self._running()
        vectors = inputs.check_styles(styles, "styles", self.config.style_dim)
        return pipeline.decode(vectors[None], inputs.check_labels(labels, "labels")[None])[0]

    def parse(
        self,
        image: Image,
        *,
        align: Align = "auto",
        landmarks: Landmarks | None = None,
        face: Which = "largest",
    ) -> npt.NDArray[np.uint8]:
        """Return the regions of the image's aligned crop, uint8 [512, 512]. face: as in `encode`."""
        pipeline, portrait = self._read(image, None, _of_face(SwapOptions(align=align), face), landmarks)
        return pipeline.label([portrait])[portrait]

    def crop(
        self,
        image: Image,
        *,
        align: Align = "auto",
        landmarks: Landmarks | None = None,
        face: Which = "largest",
    ) -> npt.NDArray[np.uint8]:
        """Return the aligned crop that the stages work on, uint8 [1024, 1024, 3]. face: as in `encode`."""
        options = _of_face(SwapOptions(align=align), face)
        return self._read(image, None, options, landmarks)[1].crop.image

    def plan(self) -> str:
        """Return what the native backend runs, as tables: step, shape, GFLOP, bytes, offset in the arena.

        Raises BackendError on the reference backend.
        """
        return self._running().backend.describe()

    def share(self, labels: LabelMap, regions: RegionNames | None = None) -> float:
        """Return the part of the generator's work that a swap of regions takes: only what is pasted.

        labels: regions of an aligned face, uint8 [h, w] in 0..11, for source and target alike. regions: as of
        `swap`; None: the whole face. 1 on a backend that generates whole faces.
        """
        checked_labels = inputs.check_labels(labels, "labels")
        return self._running().share(portraits.requested(regions), checked_labels)

    def _read(
        self, image: Image, labels: Any, options: SwapOptions, landmarks: Any, argument: str = "image"
    ) -> tuple[Pipeline, Portrait]:
        """Read the one face of a photo that the options choose."""
        pipeline, reader = self._open(options)
        (portrait, *more) = reader.targets(Side(image, argument, labels, landmarks), options.faces)
        if more:
            raise ArgumentError(f"{argument}: face names {len(more) + 1} faces; expected one")
        return pipeline, portrait

    def _running(self) -> Pipeline:
        """Return what one call works with, to its end even if the engine is closed meanwhile."""
        pipeline = self._pipeline
        if pipeline is None:
            raise ClosedError("this engine was closed; make a new one")
        return pipeline

    def _open(self, options: SwapOptions) -> tuple[Pipeline, Reader]:
        """Return what a call works with that reads pictures. Warns once if the model is the demo's."""
        pipeline = self._running()
        if self._warning:
            self._warning = False
            loading.warn_of_demo_model()
        fits = self.config.style_dim, pipeline.model
        new_read = partial(portraits.reader, self._finder, options.align, *fits)
        return pipeline, Reader(new_read(), self._finder, options.align, new_read, self._guard)


_default: list[Engine] = []  # the engine behind `swap`, once it is made
_default_lock = Lock()


def default_engine() -> Engine:
    """Return the engine behind `e4s_engine.swap`, made at its first use with default arguments."""
    with _default_lock:
        if not _default:
            _default.append(Engine())
        return _default[0]


def swap(source: Source, target: Target, regions: RegionNames | None = None, **options: Any) -> Result:
    """Call `Engine.swap` on a default engine, made at the first call."""
    return default_engine().swap(source, target, regions, **options)


def _of_face(options: SwapOptions, face: Which) -> SwapOptions:
    """Return options with the one face that a caller names. Raises ArgumentError, which calls it `face`."""
    return options.changed(faces=choose.check(face, "face"))
