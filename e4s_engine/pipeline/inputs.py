"""Checks on single arguments: labels, style vectors, numbers, lists of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from e4s_engine import regions
from e4s_engine.errors import ArgumentError, LabelsError
from e4s_engine.photo import images
from e4s_engine.pipeline.compose import Styles
from e4s_engine.regions import Labels

_MOST_STEPS, _MOST_RATE = 100_000, 10.0  # of an inversion
_MOST_BATCH, _MOST_WAIT_MS = 256, 10_000.0  # of gathered calls
_MOST_SEED = 2**32 - 1


def check_labels(labels: Any, argument: str) -> Labels:
    """Return a label map on any device as uint8 [512, 512]. Raises LabelsError."""
    expected = f"a label map: an array uint8 [h, w] with values 0..{regions.COUNT - 1}"
    return regions.check_labels(images.to_numpy(labels, argument, expected, LabelsError), argument)


def check_styles(styles: Any, argument: str, style_dim: int) -> Styles:
    """Return style vectors as float32 [12, D] of a model. Raises ArgumentError."""
    expected = f"style vectors: an array float32 [{regions.COUNT}, {style_dim}]"
    array = images.to_numpy(styles, argument, expected, ArgumentError)
    if array.shape != (regions.COUNT, style_dim) or array.dtype.kind != "f":
        got = f"{array.dtype} {list(array.shape)}"
        raise ArgumentError(
            f"{argument}: this model's style vectors are float32 [{regions.COUNT}, {style_dim}], got {got}"
        )
    with np.errstate(over="ignore"):
        vectors = array.astype(np.float32, copy=False)
    if not np.isfinite(vectors).all():
        raise ArgumentError(f"{argument}: some values are NaN or infinite; expected what encode returns")
    return vectors


def per_item(values: Any, count: int, argument: str) -> Sequence[Any]:
    """Return one value per item of a batch; None stands for none at all."""
    if values is None:
        return [None] * count
    if not isinstance(values, (list, tuple)) or len(values) != count:
        got = f"{len(values)}" if isinstance(values, (list, tuple)) else type(values).__name__
        raise ArgumentError(f"{argument}: expected a list of {count}, got {got}")
    return values


def check_steps(steps: Any) -> int:
    """Return the number of an inversion's steps. Raises ArgumentError."""
    if not _is_whole(steps) or not 0 <= steps <= _MOST_STEPS:
        raise ArgumentError(f"steps: expected an integer from 0 to {_MOST_STEPS}, got {steps!r}")
    return int(steps)


def check_rate(rate: Any) -> float:
    """Return an inversion's rate. Raises ArgumentError."""
    if not _is_number(rate) or not 0 < rate <= _MOST_RATE:
        raise ArgumentError(f"rate: expected a number above 0, to {_MOST_RATE}, got {rate!r}")
    return float(rate)


def check_gathering(max_batch: Any, max_wait_ms: Any) -> tuple[int, float]:
    """Return how many concurrent calls go together, and how long one waits. Raises ArgumentError."""
    if not _is_whole(max_batch) or not 1 <= max_batch <= _MOST_BATCH:
        raise ArgumentError(f"max_batch: expected an integer from 1 to {_MOST_BATCH}, got {max_batch!r}")
    if not _is_number(max_wait_ms) or not 0 <= max_wait_ms <= _MOST_WAIT_MS:
        raise ArgumentError(
            f"max_wait_ms: expected milliseconds from 0 to {_MOST_WAIT_MS:.0f}, got {max_wait_ms!r}"
        )
    return int(max_batch), float(max_wait_ms)


def check_seed(seed: Any, argument: str) -> int:
    """Return a seed of torch's generator. Raises ArgumentError."""
    if not _is_whole(seed) or not 0 <= seed <= _MOST_SEED:
        raise ArgumentError(f"{argument}: expected an integer from 0 to {_MOST_SEED}, got {seed!r}")
    return int(seed)


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def identity(weights: Path | None) -> list[Any]:
    """Return what tells weight files apart: name, size, time of change; [] for a model in memory."""
    if weights is None:
        return []
    status = weights.stat()
    return [weights.name, status.st_size, status.st_mtime_ns]
