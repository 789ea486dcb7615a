"""Sources driven to the pose and expression of their targets, and restored: published steps before a swap.

The driven picture takes the source's place: its labels and its style vectors are what the swap reads.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine.errors import ArgumentError, ImageError
from e4s_engine.faces.retinaface import RetinaFace
from e4s_engine.networks import registry
from e4s_engine.networks.rrdbnet.enlarge import SCALE
from e4s_engine.options import SwapOptions
from e4s_engine.photo import align, images, shrink
from e4s_engine.photo.images import Pixels
from e4s_engine.photo.original import rounded
from e4s_engine.pipeline import reenact, restore
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.networks import Networks
from e4s_engine.pipeline.portraits import Job, Part, Person, Regions
from e4s_engine.pipeline.stages import stage
from e4s_engine.result import Driven, Face, HeadPose, Restoration

REENACT = (reenact.KIND,)  # networks of each step
RESTORE = ("rrdbnet", "gpen", "parsenet", "retinaface")
# Poses whose largest angle differs by no more than this are close: with "auto" the source stays as it is.
CLOSE_DEGREES = 5.0
MOST_PIXELS = 12_500_000  # of a photo to restore

Angles = tuple[float, float, float]  # yaw, pitch, roll in degrees


@dataclasses.dataclass(frozen=True)
class Driver:
    """Reenactment and restoration over the networks that an engine has."""

    networks: Networks

    def jobs(self, jobs: Sequence[Job], options: SwapOptions) -> list[Job]:
        """Return jobs whose sources are driven and restored as the options and the weights at hand say.

        Raises ArgumentError where the options ask for what cannot be done.
        """
        if not self.drives(options):
            return list(jobs)
        return [job if job.request == Regions(()) else self._job(job, options) for job in jobs]

    def drives(self, options: SwapOptions, source: Any = None) -> bool:
        """Return whether a source may be driven or restored. source: as the caller gave it, if known."""
        if options.reenact is True or options.restore is True:
            return True
        by_itself = options.reenact == "auto" and options.shape and self.networks.has(*REENACT)
        return by_itself and not isinstance(source, Face)

    def restore_photo(self, image: Any, argument: str) -> Restoration:
        """Restore a whole photo, in the form that its file had."""
        self.check(RESTORE, "restore")
        pixels, original = images.read_photo(image, argument)
        height, width = pixels.shape[:2]
        if width * height > MOST_PIXELS:
            raise ImageError(
                f"{argument}: {width} x {height} pixels, at most {MOST_PIXELS / 1e6:g} million are restored, "
                "as the result has sixteen times as many; pass a smaller photo"
            )
        done = self._restore(pixels)
        if original is not None:
            original = dataclasses.replace(
                original, pixels=done.image, samples=None, icc=None, alpha=_enlarged_alpha(original.alpha)
            )
        return Restoration(done.image, done.faces, done.mask, original)

    def pose(self, portrait: Portrait) -> HeadPose:
        """Return the pose and the expression of a portrait's face. Raises ArgumentError without weights."""
        self.check(REENACT, "pose")
        with stage("reenact"):
            pose = reenact.look(
                portrait.crop.image, self.networks.run, self.networks.config(reenact.KIND)
            ).pose
        yaw, pitch, roll = (float(angle) for angle in pose.angles[0])
        return HeadPose(yaw, pitch, roll, pose.expression[0])

    def check(self, networks: Sequence[str], argument: str) -> None:
        """Raise ArgumentError unless the weights of these networks are at hand."""
        missing = [_official(kind) for kind in networks if not self.networks.has(kind)]
        if missing:
            raise ArgumentError(
                f"{argument}: needs weights that were not found with the model's: {', '.join(missing)}; "
                "make the engine with a folder that holds them (`e4s weights FOLDER` tells what is missing)"
            )

    def _check(self, options: SwapOptions) -> None:
        if options.reenact is True:
            self.check(REENACT, "reenact=True")
        if options.restore is True:
            self.check(RESTORE, "restore=True")

    def _job(self, job: Job, options: SwapOptions) -> Job:
        people = {part.person: self._person(part.person, job.target, options) for part in job.parts}
        parts = tuple(Part(people[part.person], part.ids) for part in job.parts)
        return dataclasses.replace(job, parts=parts)

    def portrait(self, source: Portrait, target: Portrait, options: SwapOptions) -> Portrait:
        """Return a source driven and restored for a target, as the options say.

        Raises ArgumentError where they ask for what cannot be done.
        """
        driven = self._person(source, target, options)
        assert isinstance(driven, Portrait)
        return driven

    def _person(self, person: Person, target: Portrait, options: SwapOptions) -> Person:
        self._check(options)
        reason = _as_given(person)
        if reason is None:
            assert isinstance(person, Portrait)
            return self._drive(person, target, options)
        if True in (options.reenact, options.restore):
            name = "reenact=True" if options.reenact is True else "restore=True"
            raise ArgumentError(f"{name}: the source {reason}; pass the photo alone")
        return person

    def _drive(self, source: Portrait, target: Portrait, options: SwapOptions) -> Portrait:
        small, angles = self._reenacted(source, target, options)
        if small is None and options.restore is not True:
            return source
        picture = _shrunk(source.crop.image) if small is None else small
        restores = options.restore is not False and self.networks.has(*RESTORE)
        large = self._restore(picture).image if restores else _enlarged(picture)
        driven = Driven(small, large if restores else None, angles)
        crop = align.whole(large, source.argument)
        return Portrait(source.argument, crop, driven=driven, origin=source.crop.original)

    def _reenacted(
        self, source: Portrait, target: Portrait, options: SwapOptions
    ) -> tuple[Pixels | None, Angles | None]:
        """Return a source driven, and how far the poses were apart; nothing if it is not to be driven."""
        auto = options.reenact == "auto"
        if options.reenact is False or not (self.networks.has(*REENACT) and (options.shape or not auto)):
            return None, None
        with stage("reenact"):
            run, config = self.networks.run, self.networks.config(reenact.KIND)
            own, wanted = (reenact.look(one.crop.image, run, config) for one in (source, target))
            if auto and own.turn(wanted) <= CLOSE_DEGREES:
                return None, None
            yaw, pitch, roll = (float(angle) for angle in wanted.pose.angles[0] - own.pose.angles[0])
            return reenact.drive(own, wanted, run), (yaw, pitch, roll)

    def _restore(self, photo: Pixels) -> restore.Restored:
        find = RetinaFace(lambda pixels: self.networks.run("retinaface", "detect", pixels))
        with stage("restore"):
            return restore.restore(photo, self.networks.run, find)


def _official(kind: str) -> str:
    """Return the name that the authors gave to the weights of a network."""
    published = registry.get(kind).published
    return kind if published is None else published.file


NO_DRIVER = Driver(Networks(None, {}))


def _as_given(person: Person) -> str | None:
    """Return why a person is taken as given, None for a photo that may be driven."""
    if isinstance(person, Face):
        return "is a Face, whose labels and style vectors are those of its photo"
    if person.face is not None:
        return "is a Face that keeps its photo, already encoded"
    if person.labels is not None and not person.parsed:
        return "comes with labels, which describe it as it is"
    return "was driven already" if person.driven is not None else None


def _enlarged_alpha(alpha: npt.NDArray[Any] | None) -> Pixels | None:
    if alpha is None:
        return None
    height, width = alpha.shape
    size = (SCALE * width, SCALE * height, Image.Resampling.BILINEAR)
    return images.resize(rounded(alpha), *size)


def _shrunk(crop: Pixels) -> Pixels:
    """Return a crop at the size that driven pictures have, as those are made of it."""
    return np.rint(shrink.quarter(crop) * np.float32(255)).astype(np.uint8)


def _enlarged(picture: Pixels) -> Pixels:
    return images.resize(picture, align.CROP, align.CROP, Image.Resampling.BICUBIC)
