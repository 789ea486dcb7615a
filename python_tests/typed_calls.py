"""Calls as mypy sees them. `make lint` checks this file; nothing runs it.

Every ignored line must be an error, as mypy reports ignores that are not needed.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

import e4s_engine
from e4s_engine import Engine, Result, Steady, SwapOptions

Pixels = npt.NDArray[np.uint8]


def find(image: Pixels) -> Sequence[npt.NDArray[np.float64]]:
    return [np.zeros((5, 2))]


def parse(image: Pixels) -> npt.NDArray[np.int64]:
    return np.zeros(image.shape[:2], np.int64)


def fine(pixels: Pixels, labels: npt.NDArray[np.uint8]) -> list[Pixels]:
    engine = Engine(Path("e4s.safetensors"), landmarks=find, parser=parse, precision="bf16", backend="native")
    face = engine.encode("a.jpg", labels, align=False)
    engine.average(["a.jpg", pixels, face], how="best").save("ann.face", consent="agreed")
    swaps = [
        engine.swap("a.jpg", pixels, ["eyes", "nose"], blend="multiband", align="auto", faces="all"),
        engine.swap({"hair": face, ("eyes", "lips"): b"..."}, Image.new("RGB", (64, 64))),
        engine.swap({0: "a.jpg", 2: {"eyes": face}}, io.BytesIO(), faces="largest"),
        engine.edit("a.jpg", face, "hair", 0.5, landmarks=[[1.0, 2.0]] * 5, faces=lambda found: found[0]),
        *engine.swap_batch(face, ["b.jpg"], options=SwapOptions(blend="none", faces=[0, 1])),
        e4s_engine.swap("a.jpg", "b.jpg"),
    ]
    for item in engine.swap_each(face, (pixels for _ in range(2)), on_error="yield", progress=print):
        if isinstance(item, Result):
            swaps.append(item)
    return [swap.image for swap in swaps]


def wrong(engine: Engine, pixels: Pixels) -> None:
    engine.swap("a.jpg", "b.jpg", blend="fether")  # type: ignore[arg-type]
    engine.swap("a.jpg", "b.jpg", align="yes")  # type: ignore[arg-type]
    engine.swap("a.jpg", "b.jpg", faces="biggest")  # type: ignore[arg-type]
    engine.swap("a.jpg", "b.jpg", extend=0.5)  # type: ignore[call-arg]
    engine.swap("a.jpg", 5)  # type: ignore[arg-type]
    engine.swap_batch("a.jpg", ["b.jpg"], blend="fether")  # type: ignore[arg-type]
    engine.swap_each("a.jpg", ["b.jpg"], on_error="skip")  # type: ignore[arg-type]
    engine.edit("a.jpg", "b.jpg", ["hair"], shape=True)  # type: ignore[call-arg]
    engine.average(["a.jpg"], how="median")  # type: ignore[arg-type]
    engine.encode("a.jpg", align="no")  # type: ignore[arg-type]
    engine.reconstruct("a.jpg", blend="fether")  # type: ignore[arg-type]
    engine.portrait("a.jpg", face="biggest")  # type: ignore[arg-type]
    SwapOptions(blend="fether")  # type: ignore[arg-type]
    Engine(precision="fp8")  # type: ignore[arg-type]
    Engine(backend="torch")  # type: ignore[arg-type]
    Engine(landmarks=lambda a, b: [])  # type: ignore[arg-type]
    Engine(parser=lambda: None)  # type: ignore[arg-type]


def clips(engine: Engine) -> None:
    """Show the calls for clips."""
    video = engine.video("a.jpg", "clip.mp4", ["eyes"], steady=Steady(every=4), stop=2.5, blend="none")
    for frame in video:
        number: int = frame.number
        image: npt.NDArray[np.uint8] = frame.image
        swap: Result | None = frame.result
        used: list[Any] = [number, image, swap]
        assert used
    path: Path = video.save("out.mp4", quality=20, resume=True)
    engine.video({0: "a.jpg", 2: "b.jpg"}, [np.zeros((64, 64, 3), np.uint8)])
    engine.video("a.jpg", path, steady="off")  # type: ignore[arg-type]
    engine.video("a.jpg", path, blend="fether")  # type: ignore[arg-type]


def dtypes(engine: Engine, result: Result) -> None:
    """Show the types of arrays that are returned."""
    image: npt.NDArray[np.uint8] = result.image
    labels: npt.NDArray[np.uint8] = engine.parse("a.jpg")
    changed: npt.NDArray[np.bool_] = result.changed
    styles: npt.NDArray[np.float32] = engine.encode("a.jpg").styles
    floats: npt.NDArray[np.float64] = result.image  # type: ignore[assignment]
    used: list[Any] = [image, labels, changed, styles, floats]
    assert used
