"""A visitor's photo: its faces, and the one that was picked, encoded once for all swaps."""

from __future__ import annotations

import dataclasses
import io
from typing import Any, Literal

import numpy as np
from PIL import Image

from e4s_engine import regions, synth
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, E4SError
from e4s_engine.faces.face import DetectedFace
from e4s_engine.photo import align, border, images
from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline.located import Portrait
from e4s_engine.regions import Labels
from e4s_engine.result import Face

View = Literal["face", "photo"]
VIEWS = ("face", "photo")
RENDERED = 384  # side of rendered people, in pixels
_LARGEST = {"face": 1024, "photo": 1600}  # sides of views, in pixels


@dataclasses.dataclass(frozen=True)
class Picked:
    """A face of a photo, ready for swaps.

    number: which of the photo's faces it is, 0 the largest; None if the photo is taken as its aligned crop.
    portrait: it aligned and parsed. face: it encoded, with its photo. driven: it encoded in the pose and with
    the expression of a target; None: as it is.
    """

    number: int | None
    portrait: Portrait
    face: Face
    driven: Face | None = None


class Photo:
    """An uploaded photo. The file's bytes are kept, for another face to be picked."""

    def __init__(self, data: bytes, argument: str) -> None:
        """argument: name of the photo in error messages. Raises ImageError unless the header is a photo's."""
        self.argument = argument
        self.width, self.height, _ = images.header(data, argument)
        self.faces: list[DetectedFace] = []
        self.picked: Picked | None = None
        self.error: E4SError | None = None
        self._data = data

    def find(self, engine: Engine) -> None:
        """Find the faces and pick the largest; the engine's error is kept if that fails.

        Raises ImageError for a photo that cannot be read.
        """
        pixels = images.read(self._data, self.argument)
        self.height, self.width = pixels.shape[:2]  # upright
        if engine.landmarks != "none":
            self.faces = engine.faces(pixels)
        try:
            self.pick(engine, "largest")
        except E4SError as error:
            self.picked, self.error = None, error

    def pick(self, engine: Engine, which: Any, aligned: Any = "auto") -> None:
        """Encode another face. which: "largest" or a number. aligned: `align` of a swap. Raises E4SError."""
        if which != "largest" and (not isinstance(which, int) or isinstance(which, bool)):
            raise ArgumentError(f"face: expected 'largest' or a number, got {which!r:.40}")
        portrait = engine.portrait(self._data, align=aligned, face=which, argument=self.argument)
        face = engine.encode(portrait, keep_photo=True)
        self.picked, self.error = Picked(portrait.number, portrait, face), None

    def drive(self, engine: Engine, target: Photo | None) -> None:
        """Drive the face to a target's pose and expression, for swaps into it; None: leave it as it is.

        Raises E4SError.
        """
        picked = self._chosen(self.argument)
        driven = None
        if target is not None:
            driving = target._chosen("target").portrait
            driven = engine.encode(picked.portrait, driving=driving)
        self.picked = dataclasses.replace(picked, driven=driven)

    def encoded(self, about: str) -> Face:
        """Return the face that is picked. Raises ArgumentError if there is none."""
        return self._chosen(about).face

    def given(self, about: str) -> Face:
        """Return the face that is picked as a source gives it: driven, if it was. Raises ArgumentError."""
        picked = self._chosen(about)
        return picked.face if picked.driven is None else picked.driven

    def _chosen(self, about: str) -> Picked:
        if self.picked is None:
            raise ArgumentError(f"{about}: no face is picked in this photo; pick one, or add another photo")
        return self.picked

    def facts(self) -> dict[str, Any]:
        """Return what the page shows of the photo."""
        scale = np.array([self.width, self.height])
        faces = [
            {"quad": (face.quad / scale).round(5).tolist(), "warning": face.warning} for face in self.faces
        ]
        return {
            "width": self.width,
            "height": self.height,
            "faces": faces,
            "picked": None if self.picked is None else self._picked_facts(self.picked),
            "error": None if self.error is None else str(self.error),
        }

    def _picked_facts(self, picked: Picked) -> dict[str, Any]:
        labels = (picked.driven or picked.face).labels
        counts = np.bincount(labels.ravel(), minlength=regions.COUNT)
        shown = [name for name, count in zip(regions.NAMES, counts, strict=True) if count]
        return {"number": picked.number, "regions": shown, "driven": picked.driven is not None}

    def original(self, view: View) -> Pixels:
        """Return the photo itself as the page shows it, before any swap."""
        if self.picked is not None:
            crop = self.picked.face.crop
            assert crop is not None
            return shrunk(crop.image if view == "face" else crop.photo, view)
        return shrunk(images.read(self._data, self.argument), view)

    def seen(self, image: Pixels, view: View) -> Pixels:
        """Return a swapped photo as the page shows it, uint8 [H, W, 3]. image: at the photo's size."""
        assert self.picked is not None
        if view == "face" and self.picked.number is not None:
            points = self.faces[self.picked.number].points
            image = border.reflected(align.crop(image, points)).image  # as `Engine.crop` does
        return shrunk(image, view)


def rendered(seed: int) -> bytes:
    """Return a rendered person as the bytes of a PNG."""
    return png(synth.render(synth.person(seed), synth.scene(seed), RENDERED).image)


def png(pixels: Pixels) -> bytes:
    """Return pixels as the bytes of a PNG."""
    return _written(Image.fromarray(pixels), "PNG")


def shrunk(image: Pixels, view: View) -> Pixels:
    """Return a picture at no more than a view's size."""
    height, width = image.shape[:2]
    scale = _LARGEST[view] / max(height, width)
    if scale >= 1:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return images.resize(image, *size, Image.Resampling.BILINEAR)


def labels_png(labels: Labels) -> bytes:
    """Return labels as a PNG of 8 bits with the regions' colours as its palette: values are label numbers."""
    picture = Image.fromarray(labels)
    colours = np.zeros((256, 3), np.uint8)  # a full palette: of a short one Pillow writes 4 bits a pixel
    colours[: regions.COUNT] = regions.PALETTE
    picture.putpalette(colours.tobytes())
    return _written(picture, "PNG")


def jpeg(pixels: Pixels) -> bytes:
    """Return pixels as a JPEG for the screen."""
    return _written(Image.fromarray(pixels), "JPEG", quality=92)


def _written(picture: Image.Image, kind: str, **how: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **how)
    return buffer.getvalue()
