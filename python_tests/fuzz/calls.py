"""Abusive calls of the public API: any argument may be anything. Each must end in a result or an E4SError.

Each call follows from its number alone.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tiny_tools import TINY, TINY_PARSER

import e4s_engine
from e4s_engine import weights
from e4s_engine.engine import Engine
from e4s_engine.errors import E4SError
from e4s_engine.options import SwapOptions
from e4s_engine.result import Face


class Hostile:
    """Object each of whose methods raises."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(name)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("__array__")

    def __len__(self) -> int:
        raise ZeroDivisionError("__len__")

    def __iter__(self) -> Any:
        raise ZeroDivisionError("__iter__")

    def __bool__(self) -> bool:
        raise ZeroDivisionError("__bool__")


class Odd:
    """Array of a library with broken protocols."""

    def __init__(self, protocol: str) -> None:
        self.__dict__[protocol] = {"shape": (1 << 62, 3), "typestr": "|u1", "data": (1, False), "version": 3}
        self.__dict__["get"] = None


@lru_cache
def engine() -> Engine:
    """Return an engine of a tiny random model."""
    with tempfile.TemporaryDirectory() as folder:
        weights.save(weights.random_model(TINY, 0), Path(folder) / "model.safetensors")
        weights.save(weights.random_model(TINY_PARSER, 1), Path(folder) / "parser.safetensors")
        return Engine(Path(folder) / "model.safetensors", device="cpu", backend="native")


@lru_cache
def good() -> dict[str, Any]:
    """Return valid arguments by their kind."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)
    labels = rng.integers(0, 12, (64, 64), dtype=np.uint8)
    points = np.array([[38, 40], [58, 40], [48, 52], [40, 62], [56, 62]], float)
    return {"image": picture, "labels": labels, "points": points, "face": engine().encode(picture, labels)}


def anything(rng: np.random.Generator) -> Any:  # noqa: PLR0911
    """Return a value of some kind, or a broken form of a valid one."""
    kind = rng.integers(10)
    if kind == 0:
        return _pick(rng, [None, True, -1, 0, 1, 1 << 70, -(1 << 70), 0.5, float("nan"), float("inf"), 1j])
    if kind == 1:
        return _pick(
            rng,
            ["", "eyes", "a\0b", "\udc80", "x" * 5000, b"", b"\x89PNG\r\n\x1a\n", "auto", "cpu", ".", "/"],
        )
    if kind == 2:
        return _pick(
            rng,
            [[], {}, (), set(), [[]], {"eyes": None}, {(): 1}, [None] * 3, range(5), iter(()), frozenset()],
        )
    if kind == 3:
        return _pick(
            rng,
            [Hostile, object, int, len, lambda *a: a, Path("/dev/null"), Path("absent"), E4SError("x"), ...],
        )
    if kind == 4:
        return _pick(
            rng, [Hostile(), Odd("__array_interface__"), Odd("__cuda_array_interface__"), Odd("__dlpack__")]
        )
    if kind == 5:
        return _tensor(rng)
    if kind == 6:
        return _picture(rng)
    if kind == 7:
        return Face(anything(rng), anything(rng)) if rng.integers(3) else list(good().values())
    return _array(rng)


def _pick(rng: np.random.Generator, values: list[Any]) -> Any:
    return values[rng.integers(len(values))]


def _array(rng: np.random.Generator) -> Any:
    shape = tuple(int(side) for side in rng.choice([0, 1, 2, 3, 5, 12, 33, 68, 96], rng.integers(0, 5)))
    if np.prod(shape) > 1 << 20:
        shape = shape[:2]
    kind = _pick(
        rng, ["u1", "i1", "u2", "i8", "f2", "f4", "f8", "?", "c8", "O", "U3", "M8[s]", "V5", "u1,f4"]
    )
    array: Any = np.zeros(shape, kind)
    if rng.integers(3) == 0 and array.dtype.kind in "fiu":
        array = array + rng.normal(0, 1e3, shape).astype(array.dtype)
    if rng.integers(6) == 0:
        return np.ma.masked_array(array)
    return np.broadcast_to(array, (2, *shape)) if rng.integers(6) == 0 else array


def _tensor(rng: np.random.Generator) -> Any:
    return _pick(
        rng,
        [
            torch.zeros(96, 96, 3, device="meta"), torch.zeros(8, 8).to_sparse(),
            torch.zeros(5, 2, requires_grad=True), torch.zeros(40, 40, 3, dtype=torch.bfloat16),
            torch.zeros(0), torch.zeros(3, dtype=torch.complex64),
        ],
    )  # fmt: skip


def _picture(rng: np.random.Generator) -> Any:
    side = int(rng.choice([1, 31, 40]))
    picture = Image.new(
        _pick(rng, ["1", "L", "P", "RGB", "RGBA", "CMYK", "LAB", "HSV", "I", "F", "I;16", "LA"]), (side, 40)
    )
    for name in ("transparency", "icc_profile", "exif", "dpi", "orientation", "interlace"):
        if rng.integers(4) == 0:
            picture.info[name] = _pick(rng, [None, -1, "x", b"junk", (1, 2, 3), 1 << 70, object(), []])
    if rng.integers(8) == 0:
        picture.close()
    return picture


def attempt(number: int, _: Path) -> int:
    """Make call `number`; return the bytes of memory that it may take. Raises what escapes."""
    rng = np.random.default_rng(number)
    try:
        _call(rng)
    except E4SError as error:
        str(error), repr(error)
    return 512 << 20


def _some(rng: np.random.Generator, kind: str) -> Any:
    """Return a valid argument more often than not, so that calls get further than their first argument."""
    return good()[kind] if rng.integers(3) else anything(rng)


def _keywords(rng: np.random.Generator, kinds: dict[str, str]) -> dict[str, Any]:
    return {
        name: _some(rng, kind) if kind else anything(rng)
        for name, kind in kinds.items()
        if rng.integers(3) == 0
    }


_OPTIONS = dict.fromkeys(
    ("extent", "shape", "texture", "hair_first", "earrings_first", "relight", "match", "blend", "align"), ""
)


def _call(rng: np.random.Generator) -> None:
    it, image = engine(), partial_image(rng)
    kind = rng.integers(12)
    if kind == 0:
        labels = {"source_labels": "labels", "target_labels": "labels"}
        marks = {"source_landmarks": "points", "target_landmarks": "points", "options": ""}
        it.swap(image, _some(rng, "image"), _regions(rng), **_keywords(rng, labels | marks | _OPTIONS))
    elif kind == 1:
        batch: Any = [image, _some(rng, "image")] if rng.integers(3) else anything(rng)
        it.swap_batch(
            _some(rng, "face"),
            batch,
            _regions(rng),
            **_keywords(rng, {"source_labels": "", "target_labels": ""}),
        )
    elif kind == 2:
        it.edit(image, _some(rng, "face"), _regions(rng), _pick(rng, [1.0, anything(rng)]))
    elif kind == 3:
        it.reconstruct(
            image, **_keywords(rng, {"labels": "labels", "landmarks": "points", "blend": "", "steps": ""})
        )
    elif kind == 4:
        it.encode(image, _some(rng, "labels"), **_keywords(rng, {"landmarks": "points", "align": ""}))
    elif kind == 5:
        it.decode(good()["face"].styles if rng.integers(2) else anything(rng), _some(rng, "labels"))
    elif kind == 6:
        it.parse(image, **_keywords(rng, {"landmarks": "points", "align": ""}))
    elif kind == 7:
        it.crop(thin(rng), landmarks=wild(rng)) if rng.integers(2) else it.crop(
            image, landmarks=_some(rng, "points")
        )
    elif kind == 8:
        SwapOptions(**{name: anything(rng) for name in _OPTIONS if rng.integers(2)})
    elif kind == 9:
        weights.convert(anything(rng), anything(rng))
    elif kind == 10:
        names = ("parser", "landmarks", "device", "precision", "backend", "max_batch", "max_wait_ms")
        Engine(anything(rng), **{name: anything(rng) for name in names if rng.integers(3) == 0})
    else:
        _regions_module(rng)


def partial_image(rng: np.random.Generator) -> Any:
    return _some(rng, "image") if rng.integers(3) else _some(rng, "face")


def _regions(rng: np.random.Generator) -> Any:
    return _pick(rng, [None, [], "eyes", ["face"], anything(rng)])


def thin(rng: np.random.Generator) -> Any:
    """Return a photo of odd proportions."""
    sides = [int(rng.integers(32, 80)), int(rng.integers(32, 6000))]
    return np.zeros((*(sides if rng.integers(2) else sides[::-1]), 3), np.uint8)


def wild(rng: np.random.Generator) -> Any:
    """Return landmarks of any scale."""
    return rng.normal(rng.uniform(-50, 3000), 10 ** rng.uniform(-3, 9), (5, 2))


def _regions_module(rng: np.random.Generator) -> None:
    module = e4s_engine.regions
    if rng.integers(2):
        module.region_ids(anything(rng))
    else:
        module.from_19(anything(rng), _pick(rng, ["bisenet", "celebamask_hq", anything(rng)]))
