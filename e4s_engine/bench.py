"""Timing the stages of an engine: what `e4s bench` prints and the benchmarks compare."""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from typing import Any

import numpy as np

from e4s_engine import align, blend, compose, regions
from e4s_engine.backends import Backend
from e4s_engine.pipeline import to_uint8

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


def time_swap(backend: Backend, repeat: int) -> dict[str, float]:
    """Median seconds of a whole-face swap by stage: two encodes, one decode, feather blending."""
    _one_swap(backend)  # warms caches and allocators
    runs = [_one_swap(backend) for _ in range(repeat)]
    return {stage: statistics.median(run[stage] for run in runs) for stage in STAGES}


def _one_swap(backend: Backend) -> dict[str, float]:
    (source, source_labels), (target, target_labels) = portrait(0), portrait(1)
    labels, holes = compose.whole_face_labels(source_labels, target_labels)
    foreground = compose.whole_face_foreground(labels, holes)
    times = [time.perf_counter()]
    styles = backend.encode(np.stack([source, target]), np.stack([source_labels, target_labels]))
    times.append(time.perf_counter())
    face = backend.decode(compose.whole_face_styles(styles[0], styles[1])[None], labels[None])[0]
    times.append(time.perf_counter())
    align.paste(align.Crop(target, target, None), to_uint8(face), blend.alpha(foreground, "feather"))
    times.append(time.perf_counter())
    encode, decode, blending = (after - before for before, after in pairwise(times))
    return {"encode": encode, "decode": decode, "blend": blending, "total": times[-1] - times[0]}
