"""Timing the stages of an engine: what `e4s bench` prints and the benchmarks compare."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from e4s_engine import align, blend, compose, regions
from e4s_engine.backends import Backend
from e4s_engine.config import ModelConfig
from e4s_engine.engine import to_uint8

STAGES = ("encode", "decode", "blend", "total")


def portrait(seed: int) -> tuple[Any, Any]:
    """A stand-in for an aligned photo and its labels: noise over concentric face-like regions."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (align.CROP, align.CROP, 3), dtype=np.uint8)
    rows, columns = np.indices((regions.LABEL_SIZE, regions.LABEL_SIZE)) / regions.LABEL_SIZE - 0.5
    labels = np.zeros(rows.shape, np.uint8)
    shift = 0.01 * seed
    ellipses = [
        (regions.HAIR, 0, 0, 0.45, 0.36), (regions.NECK, 0.42, 0, 0.2, 0.16),
        (regions.SKIN, 0.05, 0, 0.32, 0.25),
        (regions.EYEBROWS, -0.08, -0.1, 0.02, 0.07), (regions.EYEBROWS, -0.08, 0.1, 0.02, 0.07),
        (regions.EYES, -0.02, -0.1, 0.02, 0.05), (regions.EYES, -0.02, 0.1, 0.02, 0.05),
        (regions.NOSE, 0.08, 0, 0.09, 0.04), (regions.LIPS, 0.22, 0, 0.05, 0.1),
        (regions.MOUTH, 0.22, 0, 0.02, 0.07),
    ]  # fmt: skip
    for region, y, x, height, width in ellipses:
        inside = ((rows - y - shift) / height) ** 2 + ((columns - x + shift) / width) ** 2 < 1
        labels[inside] = region
    return image, labels


def time_swap(backend: Backend, config: ModelConfig, repeat: int) -> dict[str, float]:
    """Median seconds of a whole-face swap by stage: two encodes, one decode, feather blending."""
    (source, source_labels), (target, target_labels) = portrait(0), portrait(1)
    images, masks = np.stack([source, target]), np.stack([source_labels, target_labels])
    labels, holes = compose.whole_face_labels(source_labels, target_labels)
    seconds: dict[str, list[float]] = {stage: [] for stage in STAGES}

    def run(record: Callable[[str, float], object]) -> None:
        start = time.perf_counter()
        encoded = backend.encode(images, masks)
        record("encode", time.perf_counter() - start)
        middle = time.perf_counter()
        face = backend.decode(compose.whole_face_styles(encoded[0], encoded[1])[None], labels[None])[0]
        record("decode", time.perf_counter() - middle)
        middle = time.perf_counter()
        alpha = blend.alpha(compose.whole_face_foreground(labels, holes), "feather")
        align.paste(align.Crop(target, target, None), to_uint8(face), alpha)
        record("blend", time.perf_counter() - middle)
        record("total", time.perf_counter() - start)

    run(lambda *_: None)  # warms caches and allocators
    for _ in range(repeat):
        run(lambda stage, value: seconds[stage].append(value))
    return {stage: statistics.median(values) for stage, values in seconds.items()}
