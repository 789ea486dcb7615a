"""Timing of an engine's stages, for `e4s bench` and the benchmarks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.backends import Backend
from e4s_engine.photo import align, blend
from e4s_engine.pipeline import compose
from e4s_engine.pipeline.paste import to_uint8
from e4s_engine.testing.portraits import portrait

Floats = npt.NDArray[np.float32]
Times = dict[str, float]

STAGES = ("encode", "decode", "blend", "total")


def time_swap(backend: Backend, repeat: int) -> dict[str, float]:
    """Return median seconds of a whole-face swap by stage: two encodes, one decode, feather blending."""
    encode, decode = (partial(backend.run, "rgi", name) for name in ("encode", "decode"))
    one_swap(encode, decode)  # warms caches and allocators
    runs = [one_swap(encode, decode)[1] for _ in range(repeat)]
    return {stage: statistics.median(run[stage] for run in runs) for stage in STAGES}


def one_swap(
    encode: Callable[..., Floats],
    decode: Callable[..., Floats],
    styles: Callable[[Floats], Any] | None = None,
    cached: Floats | None = None,
) -> tuple[Floats, Times]:
    """Time one whole-face swap; return the face [S,S,3] and the seconds of every stage.

    encode, decode: functions like a backend's. styles: stage between them, if it can be timed apart, from
    vectors [1,12,D] to the argument of decode. cached: source's vectors [12,D], if it is encoded already.
    """
    (source, source_labels), (target, target_labels) = portrait(0), portrait(1)
    labels, holes = compose.whole_face_labels(source_labels, target_labels)
    pixels, masks = np.stack([source, target]), np.stack([source_labels, target_labels])
    first = 0 if cached is None else 1
    times: Times = {}

    def stage(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        start = time.perf_counter()
        value = function(*arguments)
        times[name] = time.perf_counter() - start
        return value

    def paste(face: Floats) -> None:
        alpha = blend.alpha(compose.whole_face_foreground(labels, holes), "feather")
        align.paste(align.Crop(target, target, None), to_uint8(face), alpha)

    vectors = stage("encode", encode, pixels[first:], masks[first:])
    source_vectors = vectors[0] if cached is None else cached
    codes: Any = compose.whole_face_styles(source_vectors, vectors[-1])[None]
    if styles is not None:
        codes = stage("styles", styles, codes)
    face = stage("decode", decode, codes, labels[None])[0]
    stage("blend", paste, face)
    times["total"] = sum(times.values())
    return face, times
