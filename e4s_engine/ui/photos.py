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
from e4s_engine.photo import align, border, images, sheets
from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline import portraits
from e4s_engine.pipeline.located import Portrait
from e4s_engine.regions import Labels
from e4s_engine.result import Face
from e4s_engine.weights import facefile

View = Literal["face", "photo"]
VIEWS = ("face", "photo")
RENDERED = 384  # side of rendered people, in pixels
_NO_PHOTO = "a saved face holds no photo"
_LARGEST = {"face": 1024, "photo": 1600}  # sides of views, in pixels


@dataclasses.dataclass(frozen=True)
class Picked:
    """A face of a photo, ready for swaps.

    number: which of the photo's faces it is, 0 the largest; None if the photo is taken as its aligned crop.
    portrait: it aligned and parsed; None for a saved Face. face: it encoded, with its photo if there is one.
    driven: it encoded in the pose and with the expression of a target; None: as it is.
    """

    number: int | None
    portrait: Portrait | None
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
        if picked.portrait is None:
            raise ArgumentError(f"{self.argument}: {_NO_PHOTO} that can be driven; add the photo itself")
        driven = None
        if target is not None:
            driving = target.as_target()._chosen("target").portrait
            driven = engine.encode(picked.portrait, driving=driving)
        self.picked = dataclasses.replace(picked, driven=driven)

    def as_target(self) -> Photo:
        """Return this photo, which is to be changed. Raises ArgumentError if there is none."""
        return self

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
            "saved": None,
        }

    def _picked_facts(self, picked: Picked) -> dict[str, Any]:
        labels = (picked.driven or picked.face).labels
        counts = np.bincount(labels.ravel(), minlength=regions.COUNT)
        shown = [name for name, count in zip(regions.NAMES, counts, strict=True) if count]
        return {"number": picked.number, "regions": shown, "driven": picked.driven is not None}

    def original(self, view: View) -> Pixels:
        """Return the photo itself as the page shows it, before any swap."""
        crop = None if self.picked is None else self.picked.face.crop
        if crop is not None:
            return shrunk(crop.image if view == "face" else crop.photo, view)
        return shrunk(images.read(self._data, self.argument), view)

    def seen(self, image: Pixels, view: View) -> Pixels:
        """Return a swapped photo as the page shows it, uint8 [H, W, 3]. image: at the photo's size."""
        assert self.picked is not None
        if view == "face" and self.picked.number is not None:
            points = self.faces[self.picked.number].points
            image = border.reflected(align.crop(image, points)).image  # as `Engine.crop` does
        return shrunk(image, view)


class SavedFace(Photo):
    """A saved Face: a source without its photo, shown by its thumbnail, or by its labels if it has none."""

    def __init__(self, data: bytes, argument: str) -> None:
        """Read it. argument: its name in error messages. Raises FaceFileError, or ImageError."""
        self._saved = Face.load(data, argument)
        super().__init__(self._saved.thumbnail or png(sheets.colour(self._saved.labels)), argument)

    def find(self, engine: Engine) -> None:
        """Check that it is of the engine's model. Raises FaceFileError."""
        face = portraits.fitting(self._saved, self.argument, engine.config.style_dim, engine.fingerprint)
        self.picked = Picked(None, None, face)

    def pick(self, engine: Engine, which: Any, aligned: Any = "auto") -> None:
        """Raise ArgumentError: it is one face."""
        raise ArgumentError("face: a saved face is one; there are no others to pick")

    def as_target(self) -> Photo:
        """Raise ArgumentError."""
        raise ArgumentError(f"target: {_NO_PHOTO} to change; add the photo itself")

    def facts(self) -> dict[str, Any]:
        """Return what the page shows of it, with the texts on consent and licence."""
        return super().facts() | {"saved": {"consent": self._saved.consent, "licence": self._saved.licence}}


def added(data: bytes, argument: str) -> Photo:
    """Return an uploaded file as a photo or a saved Face. Raises ImageError or FaceFileError."""
    return SavedFace(data, argument) if facefile.is_saved(data) else Photo(data, argument)


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
