"""Results of the engine."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine._forks import Lock
from e4s_engine.errors import ClosedError
from e4s_engine.faces.face import DetectedFace
from e4s_engine.marks import making, signing
from e4s_engine.marks.certificates import Signer
from e4s_engine.marks.statement import WHOLE_FACE, ChangedFace, Input, Statement, box_of
from e4s_engine.photo import images
from e4s_engine.photo.align import Crop
from e4s_engine.photo.images import Pixels
from e4s_engine.photo.original import Original
from e4s_engine.regions import Labels, Mask
from e4s_engine.weights import facefile

Value = TypeVar("Value")
Stages = tuple[tuple[str, Pixels], ...]  # pictures by name


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """An encoded face, reusable: encode a source once, swap it into many targets.

    Faces compare by identity.

    labels: shape, uint8 [512, 512]. styles: texture, one vector per region, float32 [12, D].
    crop: the photo and its aligned crop, for swaps into it; None unless `Engine.encode` was asked to keep it.
    driven: what was made of the photo before, if it was driven or restored.
    model: fingerprint of the model whose style vectors they are (`Engine.fingerprint`); None: not known.
    sharpness: how sharp the photo shows each region, float32 [12], 0 for regions that it does not show
        (`photo.sharpness`). thumbnail: small JPEG of the crop. Both are None for Faces made by hand.
    consent, licence: what the person agreed to, and terms of the photo, as the caller wrote them.
    inputs: how the photos that it was made of were marked, for the marks of swaps; () if that is not known.
    """

    labels: Labels
    styles: npt.NDArray[np.float32]
    crop: Crop | None = dataclasses.field(default=None, repr=False)
    driven: Driven | None = None
    model: str | None = None
    sharpness: npt.NDArray[np.float32] | None = None
    thumbnail: bytes | None = dataclasses.field(default=None, repr=False)
    consent: str = ""
    licence: str = ""
    inputs: tuple[Input, ...] = dataclasses.field(default=(), repr=False)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        consent: str | None = None,
        licence: str | None = None,
        thumbnail: bool = True,
    ) -> None:
        """Write the Face as safetensors, some tens of kilobytes; swaps take the file in the photo's place.

        The file holds labels, style vectors, sharpness, thumbnail, texts, the model's fingerprint and how the
        photo was marked. It does not hold the photo, its crop (`keep_photo`) or `driven`: a loaded Face can
        be a source or a reference, but never a target.

        path: file ending in `.safetensors` or `.face`; an existing file is never left damaged. consent,
        licence: texts of at most 2000 characters in place of the Face's own. thumbnail: whether the small
        picture is written; without it the file shows nobody.

        Raises ArgumentError, LabelsError for a Face made by hand that is none, OutputError if the file cannot
        be written.
        """
        texts = self.consent if consent is None else consent, self.licence if licence is None else licence
        picture = self.thumbnail if thumbnail else None
        marks = tuple((one.source_type, one.signed) for one in self.inputs)
        saved = facefile.Saved(self.labels, self.styles, self.sharpness, picture, self.model, *texts, marks)
        facefile.write(saved, path)

    @classmethod
    def load(cls, file: str | os.PathLike[str] | bytes, argument: str = "face") -> Face:
        """Read a file that `save` wrote, by its path or its bytes. Nothing in it is executed.

        argument: name of the file in error messages. Raises FaceFileError for anything else, and for files
        that are larger than any Face; whether it is of an engine's model is checked when a call takes it.
        """
        saved = facefile.read(file, argument)
        return cls(
            saved.labels,
            saved.styles,
            model=saved.model,
            sharpness=saved.sharpness,
            thumbnail=saved.thumbnail,
            consent=saved.consent,
            licence=saved.licence,
            inputs=tuple(Input("source", b"", *mark) for mark in saved.marks),
        )

    def __repr__(self) -> str:
        driven = "" if self.driven is None else ", driven"
        return f"<Face: labels {_shape(self.labels)}, styles {_shape(self.styles)}{driven}>"


@dataclasses.dataclass(frozen=True, eq=False)
class Driven:
    """Hold what was made of a source before the swap read it.

    reenacted: the source in the target's pose and with its expression, uint8 [256, 256, 3]; None if it was
        only restored. restored: that picture at four times the size and its face drawn anew, uint8
        [1024, 1024, 3]; None if it was only enlarged. angles: how far the target's yaw, pitch and roll are
        from the source's, in degrees; None if it was only restored.
    """

    reenacted: Pixels | None
    restored: Pixels | None
    angles: tuple[float, float, float] | None

    def __repr__(self) -> str:
        done = [name for name in ("reenacted", "restored") if getattr(self, name) is not None]
        return f"<Driven: {' and '.join(done) or 'nothing'}>"


@dataclasses.dataclass(frozen=True, eq=False)
class HeadPose:
    """Pose and expression of a face, as face-vid2vid's estimator sees them. Compares by identity.

    yaw, pitch, roll: in degrees. expression: how far the expression moves each key point [K, 3], in units of
    half a picture.
    """

    yaw: float
    pitch: float
    roll: float
    expression: npt.NDArray[np.float32] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, eq=False)
class SwappedFace:
    """One face of a photo that a swap changed. Compares by identity.

    number: which of the photo's faces it is, 0 the largest; None for landmarks that the caller passed and for
        photos that were aligned already.
    quad: corners of its aligned crop in the photo [4, 2] (top left, bottom left, bottom right, top right);
        None if the photo is the crop.
    regions: names of the regions that were taken from the source; None for a whole-face swap.
    labels, holes, crop and `face`: as in `Result`. generated: `face`, or what computes it.
    driven: the sources that were driven or restored before, in their order; those taken as they are have no
        entry.
    recolored: share of the re-coloured face that was mixed in, 0 to 1; 0: it was not re-coloured.
    inpainted: whether a hole was drawn anew. stages: pictures of the face after each of both that ran, by
        name, uint8 [1024, 1024, 3].
    """

    number: int | None
    quad: npt.NDArray[np.float64] | None
    regions: tuple[str, ...] | None
    generated: Pixels | Lazy[Pixels] = dataclasses.field(repr=False)
    labels: Labels
    holes: Mask
    crop: Pixels
    driven: tuple[Driven, ...] = ()
    recolored: float = 0.0
    inpainted: bool = False
    stages: Stages = dataclasses.field(default=(), repr=False)

    @property
    def face(self) -> Pixels:
        """Generated aligned face, uint8 [S, S, 3]."""
        return _value(self.generated)

    def __reduce__(self) -> tuple[type[SwappedFace], tuple[Any, ...]]:
        own = (self.labels, self.holes, self.crop, self.driven)
        done = (self.recolored, self.inpainted, self.stages)
        return type(self), (self.number, self.quad, self.regions, _complete(self.generated), *own, *done)

    def __repr__(self) -> str:
        name = "of landmarks or of the whole photo" if self.number is None else f"number {self.number}"
        regions = "the whole face" if self.regions is None else ", ".join(self.regions) or "nothing"
        driven = ", source driven" if self.driven else ""
        finished = ", re-coloured" * (self.recolored > 0) + ", inpainted" * self.inpainted
        return f"<SwappedFace: {name}, {regions} swapped{driven}{finished}>"


class Lazy(Generic[Value]):
    """A value that its first reader computes; readers that come meanwhile wait for it."""

    def __init__(self, compute: Callable[[], Value]) -> None:
        self._compute: Callable[[], Value] | None = compute
        self._lock = Lock()

    def get(self) -> Value:
        """Return the value. A failed computation raises, and the next reader tries again."""
        with self._lock:
            if self._compute is not None:
                self._value = self._compute()
                self._compute = None  # it holds what it computes from
            return self._value

    def __reduce__(self) -> tuple[type[Lazy[Value]], tuple[Any, ...]]:
        return type(self), (self._compute,)


class Picture:
    """A finished picture. Compares by identity and does not change."""

    def __init__(
        self, image: Pixels | Lazy[Pixels], original: Original | None, statement: Statement | None
    ) -> None:
        self._image, self._original, self._statement = image, original, statement

    @property
    def statement(self) -> Statement | None:
        """What the file will state about this picture; None if nothing was generated for it."""
        return self._statement

    @property
    def image(self) -> Pixels:
        """The picture at full size, uint8 [H, W, 3]."""
        return _value(self._image)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        quality: int | None = None,
        sign: bool | Signer | None = None,
        pixel_mark: bool = False,
    ) -> None:
        """Write `image` in the format of the name's ending; an existing file is never left damaged.

        The file is what the photo's was, as far as its format allows: colour profile, alpha, EXIF (upright),
        resolution, a JPEG's quality, and 16 bits per channel, whose numbers stay where nothing was pasted.

        quality: of JPEG and WebP, 1 to 100, in place of the photo's.
        sign: whether the file carries a signed C2PA manifest (extra `e4s_engine[c2pa]`): a
            `marks.certificates.Signer`, True (by the certificate that E4S_C2PA_CERT and E4S_C2PA_KEY name,
            else by one made on this machine, which proves nothing about who signed), False, or None (if
            these two are set).
        pixel_mark: whether the pixels that changed carry a faint mark too, which outlives metadata (see
            `marks.pixels`); a changed part that is too small for it is written without, with a warning.

        The file's metadata (XMP) says that a model made or changed the picture, what was done and where;
        never names or paths. The photo's own metadata stays beside it.

        Raises ArgumentError for an unknown ending or quality or a certificate that cannot sign, OutputError
        if the file cannot be written. A signature that fails later leaves the file unsigned, with a warning.
        """
        statement, pixels = self.statement, self.image
        if pixel_mark and statement is not None:
            pixels, statement = making.in_pixels(pixels, self._marked_part(), statement)
        finish = making.signature(statement, path, sign, self._untouched)
        xmp = making.packet(statement, self._original, path)
        images.write(pixels, path, original=self._original, quality=quality, xmp=xmp, finish=finish)

    def _marked_part(self) -> Mask:
        """Return where a mark in the pixels may lie, bool [H, W]."""
        return np.ones(self.image.shape[:2], bool)

    def _untouched(self) -> dict[str, Any] | None:
        """Return the signed statement about pixels that did not change; None if every pixel may have."""
        return None

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(self.image).save(buffer, "PNG")
        return buffer.getvalue()


class Restoration(Picture):
    """A restored photo.

    image: the photo at four times its size, uint8 [4 H, 4 W, 3], its faces drawn anew. faces: these faces, by
    descending score, in pixels of `image`. mask: their opacity, float32 [4 H, 4 W] in 0..1.
    """

    def __init__(
        self,
        image: Pixels,
        faces: tuple[DetectedFace, ...],
        mask: npt.NDArray[np.float32],
        original: Original | None = None,
    ) -> None:
        inputs = () if original is None else (making.listed("target", original),)
        super().__init__(image, original, Statement("restore", inputs=inputs))
        self.faces, self.mask = faces, mask

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"<Restoration: {width} x {height} pixels, {len(self.faces)} faces>"


class Result(Picture):
    """A finished swap and its intermediate results. Results compare by identity and do not change.

    image: target photo with its new face at full size, uint8 [H, W, 3].
    face: generated aligned face, uint8 [S, S, 3]. Where only its pasted part was generated, the engine
        completes it at the first access; once the engine is closed, that raises ClosedError.
    labels: composed regions, uint8 [512, 512]. holes: pixels without a known region, bool [512, 512].
    crop: aligned crop of the target that the face was pasted over, uint8 [1024, 1024, 3]; read-only, as
        results of one target share it.
    changed: where the face was pasted, bool [H, W]; every other pixel of `image` is the target's.
    faces: what was swapped where, one `SwappedFace` per face. `face`, `labels`, `holes` and `crop` are those
        of the first.
    recolored, inpainted, stages: what was done to the first face after its generation, see `SwappedFace`.
    resident: `image` on its GPU (DLPack, `__cuda_array_interface__`); None for results in main memory.

    Pictures on a GPU are copied to main memory at their first access. A copy of a result and a pickle hold
    everything in main memory, the completed face too unless the engine is closed.
    """

    def __init__(
        self,
        image: Pixels | Lazy[Pixels],
        face: Pixels | Lazy[Pixels],
        labels: Labels,
        holes: Mask,
        crop: Pixels | Lazy[Pixels],
        changed: Mask | Lazy[Mask],
        resident: Any = None,
        original: Original | None = None,
        faces: tuple[SwappedFace, ...] | Lazy[tuple[SwappedFace, ...]] = (),
        statement: Statement | None = None,
        recolored: float = 0.0,
        inpainted: bool = False,
        stages: Stages = (),
    ) -> None:
        super().__init__(image, original, statement)
        self._face, self._crop, self._changed = face, crop, changed
        self._labels, self._holes, self._resident, self._faces = labels, holes, resident, faces
        self.recolored, self.inpainted, self.stages = recolored, inpainted, stages

    def of_face(
        self,
        number: int | None,
        quad: npt.NDArray[np.float64] | None,
        regions: tuple[str, ...] | None,
        driven: tuple[Driven, ...] = (),
        statement: Statement | None = None,
    ) -> Result:
        """Return this result of a single face with that face in `faces`, and what was done."""
        done = self.recolored, self.inpainted, self.stages

        def swapped() -> tuple[SwappedFace, ...]:
            own = (self._face, self.labels, self.holes, self.crop, driven, *done)
            return (SwappedFace(number, quad, regions, *own),)

        pictures = (self._image, self._face, self._labels, self._holes, self._crop, self._changed)
        return Result(*pictures, self._resident, self._original, Lazy(swapped), statement, *done)

    @property
    def statement(self) -> Statement | None:
        """What the file will state about this picture; None if nothing was generated for it."""
        height, width = (self.image if self.resident is None else self.resident).shape[:2]
        faces = tuple(
            ChangedFace(
                (WHOLE_FACE,) if face.regions is None else face.regions,
                box_of(face.quad, width, height),
                any(driven.reenacted is not None for driven in face.driven),
                any(driven.restored is not None for driven in face.driven),
            )
            for face in self.faces
        )
        if self._statement is None or (faces and not any(face.regions for face in faces)):
            return None
        return dataclasses.replace(self._statement, faces=faces)

    @property
    def face(self) -> Pixels:
        """Generated aligned face, uint8 [S, S, 3]."""
        return _value(self._face)

    @property
    def labels(self) -> Labels:
        """Composed regions, uint8 [512, 512]."""
        return self._labels

    @property
    def holes(self) -> Mask:
        """Pixels without a known region, bool [512, 512]."""
        return self._holes

    @property
    def crop(self) -> Pixels:
        """Aligned crop of the target, uint8 [1024, 1024, 3], read-only."""
        return _value(self._crop)

    @property
    def changed(self) -> Mask:
        """Where the face was pasted, bool [H, W]."""
        return _value(self._changed)

    @property
    def faces(self) -> tuple[SwappedFace, ...]:
        """What was swapped where, one entry per face."""
        return _value(self._faces)

    @property
    def resident(self) -> Any:
        """`image` on its GPU (DLPack, `__cuda_array_interface__`); None for results in main memory."""
        return self._resident

    def _marked_part(self) -> Mask:
        return self.changed

    def _untouched(self) -> dict[str, Any] | None:
        return signing.untouched(self.image, self.changed)

    def __repr__(self) -> str:
        height, width = (self.image if self.resident is None else self.resident).shape[:2]
        return f"<Result: {width} x {height} pixels{'' if self.resident is None else ', on a GPU'}>"

    def __reduce__(self) -> tuple[type[Result], tuple[Any, ...]]:
        face = _complete(self._face)
        pictures = (self.image, face, self.labels, self.holes, self.crop, self.changed)
        done = self.recolored, self.inpainted, self.stages
        return type(self), (*pictures, None, self._original, self.faces, self._statement, *done)


def _complete(face: Pixels | Lazy[Pixels]) -> Pixels | Lazy[Pixels]:
    """Return a face for a copy; where no engine can complete it any more, the copy's raises as well."""
    try:
        return _value(face)
    except ClosedError:
        return Lazy(_lost)


def _lost() -> Pixels:
    raise ClosedError(
        "face: only its pasted part was generated, and the result was copied after its engine was closed; "
        "swap with full_face=True"
    )


def _shape(array: Any) -> str:
    """Return an array's dtype and shape, for people; a Face made by hand may hold anything."""
    return f"{getattr(array, 'dtype', type(array).__name__)} {list(getattr(array, 'shape', []))}"


def _value(value: Value | Lazy[Value]) -> Value:
    return value.get() if isinstance(value, Lazy) else value
