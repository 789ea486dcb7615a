"""Baselines of a swap: leave the target unchanged, paste the source's pixels, paste them colour-matched."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Mask

_FEATHER = 3  # radius, in pixels at 256, of the soft border
Baseline = Callable[[Pixels, Pixels, Pixels, Pixels, Sequence[int]], Pixels]


def unchanged(
    source: Pixels, source_labels: Pixels, target: Pixels, target_labels: Pixels, ids: Sequence[int]
) -> Pixels:
    """Return the target unchanged."""
    return target


def paste(
    source: Pixels, source_labels: Pixels, target: Pixels, target_labels: Pixels, ids: Sequence[int]
) -> Pixels:
    """Paste the source's pixels of those regions, at their place in the source."""
    inside = np.isin(source_labels, list(ids))
    return np.where(inside[:, :, None], source, target)


def paste_matched(
    source: Pixels, source_labels: Pixels, target: Pixels, target_labels: Pixels, ids: Sequence[int]
) -> Pixels:
    """Paste with a soft border, each region's colours shifted to the target's mean and deviation."""
    matched = source.astype(np.float64)
    for region in ids:
        there, here = source_labels == region, target_labels == region
        if there.sum() < 8 or here.sum() < 8:
            continue
        from_, to = source[there].astype(np.float64), target[here].astype(np.float64)
        gain = to.std(0) / np.maximum(from_.std(0), 1.0)
        matched[there] = (from_ - from_.mean(0)) * np.clip(gain, 0.3, 3.0) + to.mean(0)
    inside = np.isin(source_labels, list(ids))
    # Soften inwards only: beyond the regions' border the source shows something else.
    soft = np.clip(2 * _soft(inside, max(1, _FEATHER * len(target) // 256)) - 1, 0, 1)
    alpha = np.where(inside, soft, 0.0)[:, :, None]
    mixed = matched * alpha + target * (1 - alpha)
    return np.asarray(mixed.clip(0, 255).round(), np.uint8)


BASELINES: dict[str, Baseline] = {"unchanged": unchanged, "paste": paste, "matched": paste_matched}


def _soft(mask: Mask, radius: int) -> npt.NDArray[np.float64]:
    """Blur a mask twice by a box of side 2 radius + 1."""
    out = mask.astype(np.float64)
    for axis in (0, 1, 0, 1):
        padding = [(radius, radius) if i == axis else (0, 0) for i in range(2)]
        padded = np.moveaxis(np.pad(out, padding, mode="edge"), axis, 0)
        n = out.shape[axis]
        total = np.sum([padded[i : i + n] for i in range(2 * radius + 1)], axis=0) / (2 * radius + 1)
        out = np.moveaxis(total, 0, axis)
    return out
