"""Requests of the page as calls of the engine."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, LabelsError
from e4s_engine.marks.statement import Statement
from e4s_engine.options import CHOICES, SwapOptions
from e4s_engine.photo import sheets
from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Labels
from e4s_engine.result import Face, Picture, Result
from e4s_engine.ui.photos import Photo, View
from e4s_engine.ui.visitors import Visitor

# Faces are picked and encoded before: options about that come too late.
_BEFORE = ("align", "reenact", "restore", "full_face", "faces")
OPTIONS = {field.name: field for field in dataclasses.fields(SwapOptions) if field.name not in _BEFORE}
Marks = Mapping[str, Any]  # the arguments of `Picture.save` that are about marks
_SCREEN_QUALITY = 92
FORMATS = (".png", ".jpg", ".webp", ".tiff")
_MOST_PAINT_SIDE = 1024


@dataclasses.dataclass(frozen=True)
class Wish:
    """A swap that a visitor asks for.

    sources: photos of people, in order, with the regions that each gives; None: the whole face.
    painted: labels as the engine takes them.
    """

    target: Photo
    sources: tuple[tuple[Photo, tuple[str, ...] | None], ...]
    options: SwapOptions
    painted: Labels | None

    def swap(self, engine: Engine) -> Result:
        """Do it. Raises E4SError."""
        target: Any = self.target.encoded("target")
        source, regions = self._source(target)
        return engine.swap(source, target, regions, options=self.options, painted=self.painted)

    def _source(self, target: Face) -> tuple[Any, Any]:
        """Return a source and regions as the engine takes them; people who give nothing are left out."""
        giving = [(photo, regions) for photo, regions in self.sources if regions != ()]
        if not giving:
            return target, []  # nothing but paint
        if len(giving) == 1:
            ((photo, regions),) = giving
            return photo.given("source"), regions
        if any(regions is None for _, regions in giving):
            raise ArgumentError(
                "regions: a whole face comes from one source; choose regions for every source"
            )
        people = {regions: photo.given("source") for photo, regions in giving}
        if len(people) < len(giving):  # other overlaps are the engine's to refuse
            raise ArgumentError("regions: two sources give the same ones; every region needs exactly one")
        return people, None


def wish(body: Any, visitor: Visitor) -> Wish:
    """Read a request. Raises NotServedError or E4SError."""
    if not isinstance(body, Mapping):
        raise ArgumentError("request: expected a JSON object")
    sources = body.get("sources", [])
    if not isinstance(sources, list) or not all(isinstance(one, Mapping) for one in sources):
        raise ArgumentError("sources: expected a list of objects with photo and regions")
    people = tuple(
        (visitor.photo(one.get("photo"), "source"), _regions(one.get("regions"))) for one in sources
    )
    target = visitor.photo(body.get("target"), "target").as_target()
    return Wish(target, people, _options(body.get("options", {})), _painted(body.get("painted")))


def _regions(names: Any) -> tuple[str, ...] | None:
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ArgumentError("regions: expected a list of names, or null for the whole face")
    return tuple(names)


def _options(values: Any) -> SwapOptions:
    if not isinstance(values, Mapping):
        raise ArgumentError("options: expected an object")
    unknown = next((name for name in values if name not in OPTIONS), None)
    if unknown is not None:
        raise ArgumentError(f"options: {unknown!r:.40} is none here; they are {', '.join(OPTIONS)}")
    return SwapOptions(**values)


def _painted(text: Any) -> Labels | None:
    """Read painted labels from a PNG of 8 bits, grey or with a palette, in base64."""
    if text is None:
        return None
    try:
        data = base64.b64decode(text, validate=True)
        with Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            if picture.mode not in ("L", "P") or max(picture.size) > _MOST_PAINT_SIDE:
                raise LabelsError(
                    f"painted: expected 8 bits, grey or a palette, at most {_MOST_PAINT_SIDE} pixels a "
                    f"side; got {picture.mode} {list(picture.size)}"
                )
            return np.array(picture)
    except LabelsError:
        raise
    except (
        binascii.Error,
        TypeError,
        ValueError,
        OSError,
        SyntaxError,
    ) as error:  # Pillow's for damaged files
        raise LabelsError(f"painted: expected a PNG in base64 ({error})") from error


def options_facts(engine: Engine) -> list[dict[str, Any]]:
    """Return the options as the page offers them: a number, a switch, or one of some values."""
    facts = []
    for name, field in OPTIONS.items():
        choices: list[Any] = []
        if "choices" in field.metadata:
            choices = list(field.metadata["choices"])
        elif field.default == "auto":
            choices = list(CHOICES)
        if name != "relight" or engine.config.relight:
            one = {"name": name, "default": field.default, "meaning": field.metadata["meaning"]}
            facts.append(one | {"choices": choices})
    return facts


def saved(result: Picture, suffix: Any, quality: Any, how: Marks) -> bytes:
    """Return a picture as its `save` writes it, marks and all. Raises ArgumentError."""
    if suffix not in FORMATS:
        raise ArgumentError(f"format: expected one of {', '.join(FORMATS)}, got {suffix!r:.40}")
    with tempfile.TemporaryDirectory(prefix="e4s-ui-") as folder:
        path = Path(folder) / f"result{suffix}"
        result.save(path, quality=quality, **how)
        return path.read_bytes()


def sheet_file(asked: Wish, result: Result, how: Marks) -> bytes:
    """Return the contact sheet of a swap as a PNG."""
    return saved(Picture(sheet(asked, result), None, Statement("sheet")), ".png", None, how)


def shown(asked: Wish, result: Result, view: View) -> bytes:
    """Return a result as the page shows it, a JPEG with the plain mark: browsers can save it."""
    statement = result.statement
    if statement is not None:  # places and inputs are those of the full size
        statement = dataclasses.replace(statement, faces=(), inputs=())
    picture = Picture(asked.target.seen(result.image, view), None, statement)
    return saved(picture, ".jpg", _SCREEN_QUALITY, {"sign": False})


def sheet(asked: Wish, result: Result) -> Pixels:
    """Show a swap's steps as a contact sheet: people and result above, their labels below."""
    above: list[sheets.Panel] = []
    below: list[sheets.Panel] = []
    people = [(f"source {i + 1}", photo) for i, (photo, _) in enumerate(asked.sources)]
    for name, photo in [*people, ("target", asked.target)]:
        face = photo.encoded(name)
        above.append((name, photo.original("face")))
        labels = sheets.colour(face.labels)
        if face.crop is not None:
            labels = sheets.overlay(face.crop.image, face.labels)
        below.append((f"{name} labels", labels))
        given = photo.given(name)
        if given.driven is not None and given.driven.reenacted is not None:
            above.append((f"{name} driven", given.driven.reenacted))
            below.append((f"{name} driven: labels", sheets.colour(given.labels)))
    composed = sheets.colour(result.labels, result.holes)
    above += [("face as generated", result.face), ("result", result.image)]
    below += [("composed, holes hatched", composed), ("regions", sheets.legend())]
    return sheets.sheet([above, below])
