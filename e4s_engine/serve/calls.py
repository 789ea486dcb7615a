"""The engine's calls as endpoints: what a request holds, the call, and what is answered."""

from __future__ import annotations

import base64
import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, Field

from e4s_engine.errors import RegionError
from e4s_engine.marks.verify import verify
from e4s_engine.photo import images, labelfile, packets
from e4s_engine.photo.images import Pixels
from e4s_engine.regions import NAMES
from e4s_engine.result import Result
from e4s_engine.serve.fields import (
    Body,
    Choice,
    Labels,
    Markable,
    Names,
    OneFace,
    Person,
    Picture,
    Points,
    Written,
    options,
    request,
)
from e4s_engine.weights import facefile

if TYPE_CHECKING:
    from e4s_engine.engine import Engine

MEDIA = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
FACE = "application/vnd.safetensors"
_MOST_PEOPLE = 16


@dataclasses.dataclass(frozen=True)
class Answer:
    """Body of an answer."""

    content: bytes
    media_type: str = "application/json"


@dataclasses.dataclass(frozen=True)
class Call:
    """An endpoint.

    pictures: fields that hold picture files or saved faces. media: what is answered unless JSON is wanted;
    empty: always JSON. run: function (engine, request, whether JSON is wanted) -> Answer. answer: example.
    videos: those of `pictures` that may hold videos too, which are not decoded.
    """

    name: str
    summary: str
    body: type[BaseModel]
    pictures: tuple[str, ...]
    media: tuple[str, ...]
    run: Callable[[Engine, Any, bool], Answer]
    answer: dict[str, Any]
    videos: tuple[str, ...] = ()

    def pictures_of(self, body: Any) -> Iterator[tuple[str, bytes]]:
        """Yield the pictures and saved faces of a request, with their fields."""
        for name in self.pictures:
            value = getattr(body, name)
            if name in self.videos and packets.video_suffix(value):
                continue
            for one in value if isinstance(value, list) else [] if value is None else [value]:
                yield name, one.image if isinstance(one, Also) else one


class Also(Body):
    """A further person, and the regions that this person gives."""

    regions: Names
    image: Person


_One = {
    "image": (Picture, ...),
    "align": (Choice, "auto"),
    "landmarks": (Points | None, None),
    "face": (OneFace, "largest"),
}
Swap = request(
    "Swap",
    {
        "source": (Person, ...),
        "target": (Picture, ...),
        "regions": (Names | None, None),
        "also": (
            Annotated[list[Also], Field(max_length=_MOST_PEOPLE, description="further people; JSON only")],
            [],
        ),
        "source_labels": (Labels | None, None),
        "target_labels": (Labels | None, None),
        "source_landmarks": (Points | None, None),
        "target_landmarks": (Points | None, None),
    },
    base=Written,
    with_options=True,
)
Edit = request(
    "Edit",
    {
        "image": (Picture, ...),
        "reference": (Person, ...),
        "regions": (Names, ...),
        "labels": (Labels | None, None),
        "reference_labels": (Labels | None, None),
        "landmarks": (Points | None, None),
        "reference_landmarks": (Points | None, None),
    },
    base=Written,
    with_options=True,
    without=("shape",),
)
Reconstruct = request("Reconstruct", {**_One, "labels": (Labels | None, None)}, base=Written)
Parse = request("Parse", _One)
Faces = request("Faces", {"image": (Picture, ...)})


Verify = request(
    "Verify",
    {
        "file": (Markable, ...),
        "original": (Picture | None, None),
        "pixels": (
            Annotated[
                Literal["no", "quick"], Field(description="whether the picture is searched for a mark")
            ],
            "no",
        ),
    },
)


def _as_list(value: Any) -> Any:
    """Return a form's single value as a list of one."""
    return [value] if isinstance(value, bytes) else value


Encode = request(
    "Encode",
    {
        "images": (
            Annotated[
                list[Person],
                BeforeValidator(_as_list),
                Field(min_length=1, max_length=_MOST_PEOPLE, description="photos of one person"),
            ],
            ...,
        ),
        "how": (Literal["mean", "best"], "mean"),
        "align": (Choice, "auto"),
        "consent": (Annotated[str, Field(max_length=facefile.MOST_TEXT)], ""),
        "licence": (Annotated[str, Field(max_length=facefile.MOST_TEXT)], ""),
        "thumbnail": (bool, True),
    },
)


def _swap(engine: Engine, body: Any, wants_json: bool) -> Answer:
    source, regions = body.source, body.regions
    labels: Any = _labels(body.source_labels, "source_labels")
    points: Any = body.source_landmarks
    if body.also:
        if regions is None:
            raise RegionError("regions: beside also, name the regions that source itself gives")
        own = _key(regions)
        source = {own: source, **{_key(one.regions): one.image for one in body.also}}
        regions, labels, points = None, _keyed(own, labels), _keyed(own, points)
    result = engine.swap(
        source,
        body.target,
        regions,
        options=options(body),
        source_labels=labels,
        source_landmarks=points,
        target_labels=_labels(body.target_labels, "target_labels"),
        target_landmarks=body.target_landmarks,
    )
    return _written(result, body, wants_json)


def _edit(engine: Engine, body: Any, wants_json: bool) -> Answer:
    result = engine.edit(
        body.image,
        body.reference,
        body.regions,
        options=options(body),
        labels=_labels(body.labels, "labels"),
        landmarks=body.landmarks,
        reference_labels=_labels(body.reference_labels, "reference_labels"),
        reference_landmarks=body.reference_landmarks,
    )
    return _written(result, body, wants_json)


def _reconstruct(engine: Engine, body: Any, wants_json: bool) -> Answer:
    labels = _labels(body.labels, "labels")
    return _written(engine.reconstruct(body.image, labels, **_one(body)), body, wants_json)


def _parse(engine: Engine, body: Any, wants_json: bool) -> Answer:
    labels = engine.parse(body.image, **_one(body))
    png = _file(lambda path: images.write(labels, path), "png")
    if not wants_json:
        return Answer(png, MEDIA["png"])
    return _json({"labels": _text(png), "regions": [NAMES[i] for i in np.unique(labels)]})


def _faces(engine: Engine, body: Any, wants_json: bool) -> Answer:
    faces = engine.faces(body.image)
    return _json({"faces": [{"number": number} | face.facts() for number, face in enumerate(faces)]})


def _encode(engine: Engine, body: Any, wants_json: bool) -> Answer:
    face = engine.average(body.images, how=body.how, align=body.align)
    # What was written into saved faces stays, unless there is something new.
    texts = {"consent": body.consent or None, "licence": body.licence or None}
    data = _file(lambda path: face.save(path, **texts, thumbnail=body.thumbnail), "face")
    return _json({"face": _text(data), "model": face.model}) if wants_json else Answer(data, FACE)


def _verify(engine: Engine, body: Any, wants_json: bool) -> Answer:
    """Read the marks of a file, which gets the ending of its format, as readers of manifests go by it."""
    with tempfile.TemporaryDirectory(prefix="e4s-") as folder:
        paths = {}
        for name in ("file", "original"):
            data = getattr(body, name)
            if data is not None:
                suffix = packets.video_suffix(data) or images.header(data, name).suffix
                paths[name] = Path(folder, name + suffix)
                paths[name].write_bytes(data)
        verdict = verify(paths["file"], original=paths.get("original"), pixels=body.pixels)
    return _json(dataclasses.asdict(verdict))


def _one(body: Any) -> dict[str, Any]:
    """Return the arguments of a call that takes one face of a photo."""
    return {"align": body.align, "landmarks": body.landmarks, "face": body.face}


def _key(regions: Any) -> Any:
    """Return regions as a key of a dict of sources."""
    return tuple(regions) if isinstance(regions, list) else regions


def _keyed(key: Any, value: Any) -> Any:
    return None if value is None else {key: value}


def _labels(data: bytes | None, argument: str) -> Pixels | None:
    return None if data is None else labelfile.read(data, argument=argument)


def _written(result: Result, body: Any, wants_json: bool) -> Answer:
    """Return a result as the file that `Result.save` writes, with its marks."""
    data = _file(lambda path: result.save(path, quality=body.quality), body.format)
    if not wants_json:
        return Answer(data, MEDIA[body.format])
    height, width = result.image.shape[:2]
    faces = [
        {
            "number": face.number,
            "quad": None if face.quad is None else face.quad.tolist(),
            "regions": face.regions,
        }
        for face in result.faces
    ]
    return _json(
        {"image": _text(data), "format": body.format, "width": width, "height": height, "faces": faces}
    )


def _file(write: Callable[[Path], None], suffix: str) -> bytes:
    """Return what is written to a file, which lives for the moment: in TMPDIR, for its owner alone."""
    with tempfile.TemporaryDirectory(prefix="e4s-") as folder:
        path = Path(folder, f"answer.{suffix}")
        write(path)
        return path.read_bytes()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _json(content: dict[str, Any]) -> Answer:
    return Answer(json.dumps(content).encode())


_PICTURES = tuple(MEDIA.values())
_QUAD = [[212.0, 140.0], [208.0, 470.0], [538.0, 474.0], [542.0, 144.0]]
_WRITTEN = {
    "image": "iVBORw0KGgo=",
    "format": "png",
    "width": 1024,
    "height": 768,
    "faces": [{"number": 0, "quad": _QUAD, "regions": ["eyes", "nose"]}],
}
_DETECTED = {
    "number": 0, "box": [250.0, 190.0, 500.0, 460.0], "score": 0.99, "angle": 1.2, "quad": _QUAD,
    "points": [[300.0, 280.0], [440.0, 282.0], [372.0, 350.0], [318.0, 400.0], [425.0, 402.0]],
    "warning": None,
}  # fmt: skip
_VERDICT = {
    "marked": True,
    "ours": True,
    "certain": [],
    "claimed": ["XMP: IPTC digital source type compositeWithTrainedAlgorithmicMedia"],
    "problems": [],
    "xmp": {},
    "signature": "none",
}
CALLS = (
    Call(
        "swap",
        "Put the face of `source`, or some regions of it, into the photo `target`.",
        Swap,
        ("source", "target", "also"),
        _PICTURES,
        _swap,
        _WRITTEN,
    ),
    Call(
        "edit",
        "Mix the texture of `reference` into some regions of `image`.",
        Edit,
        ("image", "reference"),
        _PICTURES,
        _edit,
        _WRITTEN,
    ),
    Call(
        "reconstruct",
        "Send a photo through the model and back.",
        Reconstruct,
        ("image",),
        _PICTURES,
        _reconstruct,
        _WRITTEN,
    ),
    Call(
        "parse",
        "Return the regions of the aligned crop as a PNG of 512 x 512 pixels with values 0 to 11.",
        Parse,
        ("image",),
        (MEDIA["png"],),
        _parse,
        {"labels": "iVBORw0KGgo=", "regions": ["background", "eyes", "skin"]},
    ),
    Call(
        "faces",
        "Find the faces of a photo, largest first: their numbers are what `faces` takes.",
        Faces,
        ("image",),
        (),
        _faces,
        {"faces": [_DETECTED]},
    ),
    Call(
        "encode",
        "Return one person's photos as a saved face, which requests take as their source without the photos.",
        Encode,
        ("images",),
        (FACE,),
        _encode,
        {"face": "aAEAAAAAAAA=", "model": "b5ae15bbdffbeaf3f7acf8e8b073dc5d"},
    ),
    Call(
        "verify",
        "Read the marks of a picture or video: whether a model made or changed it, and what is certain.",
        Verify,
        ("file", "original"),
        (),
        _verify,
        _VERDICT,
        videos=("file",),
    ),
)
