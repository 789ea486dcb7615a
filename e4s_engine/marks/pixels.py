"""A mark in the pixels themselves: a faint pattern of luma that outlives metadata, found by correlation.

A fixed tile of band-limited noise, repeated from the picture's top left corner, is added where the picture
changed, more where it has texture. It carries no message: it says "a face swapper changed this" and nothing
else. The detector resizes by the factors that it tries, takes out the picture's own structure, folds every
window onto one tile, and correlates at all shifts at once. It needs no original.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine.photo.images import Pixels

Plane = npt.NDArray[np.float32]

TILE = 128  # side of the tile in pixels
STRENGTH = 0.2  # of the picture's own texture
LEAST, MOST = 0.6, 3.5  # standard deviation of the pattern, in levels of 255
LEAST_PIXELS = 40_000  # of a changed part that is marked: smaller ones would not be found again
THRESHOLD = 7.0  # standard deviations of the correlation over chance
_BAND = (0.03, 0.12)  # cycles per pixel: what halving and JPEG leave
_SEED = 20_260_802
_WINDOW = 512
SCALES = (1.0, 0.5, 0.75)  # sizes of the picture, of that at which it was marked, that are tried at first


def embed(pixels: Pixels, changed: npt.NDArray[np.bool_]) -> Pixels | None:
    """Return pixels [H, W, 3] with the mark inside `changed` [H, W]; None if that is too small.

    Every pixel outside `changed` stays.
    """
    if np.count_nonzero(changed) < LEAST_PIXELS:
        return None
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    part = pixels[box]
    height, width = part.shape[:2]
    texture = np.sqrt(_blurred(np.square(_high(_luma(part))), 8))
    strength = np.clip(STRENGTH * texture, LEAST, MOST) * changed[box]
    pattern = np.tile(_tile(), (height // TILE + 2, width // TILE + 2))
    y, x = rows[0] % TILE, columns[0] % TILE
    added = strength * pattern[y : y + height, x : x + width]
    out = pixels.copy()
    out[box] = np.clip(np.rint(part + added[:, :, None]), 0, 255).astype(np.uint8)
    return out


def detect(pixels: Pixels, scales: Sequence[float] = SCALES) -> tuple[float, float]:
    """Return how clearly the mark is there, in standard deviations over chance, and the scale at which.

    pixels: uint8 [H, W, 3]. scales: sizes of the picture, of that at which it was marked. At THRESHOLD and
    above the mark is there.
    """
    luma = _luma(pixels)
    found = [(_score(_scaled(luma, 1 / scale)), scale) for scale in scales]
    return max(found)


def fine_scales(low: float = 0.4, high: float = 1.25) -> tuple[float, ...]:
    """Return all scales of a thorough search: neighbours differ by less than the pattern's grain."""
    steps = int(np.ceil(np.log(high / low) / np.log(1.006)))
    return tuple(float(scale) for scale in np.geomspace(low, high, steps + 1))


def _score(luma: Plane) -> float:
    """Return the best score over the windows of a picture that has its size at marking."""
    if min(luma.shape) < TILE:
        return 0.0
    high = _high(luma)
    flat = high / (np.sqrt(_blurred(np.square(high), 8)) + 1)
    np.clip(flat, -2.5, 2.5, out=flat)
    return max(_correlated(window) for window in _windows(flat))


def _correlated(window: Plane) -> float:
    height, width = (side // TILE * TILE for side in window.shape)
    folded = window[:height, :width].reshape(height // TILE, TILE, width // TILE, TILE).sum((0, 2))
    spectrum = np.fft.rfft2(folded)
    spectrum /= np.abs(spectrum) + 1e-6 * np.abs(spectrum).max() + 1e-9  # whitened: no frequency dominates
    scores = np.fft.irfft2(spectrum * np.conj(_reference()), s=(TILE, TILE))
    return float(scores.max() / (scores.std() + 1e-9))


def _windows(flat: Plane) -> Iterator[Plane]:
    """Yield the whole picture, and overlapping parts of it: a face may be small in it."""
    yield flat
    height, width = flat.shape
    if max(height, width) <= _WINDOW * 1.5:
        return
    for y in range(0, max(height - _WINDOW // 2, 1), _WINDOW // 2):
        for x in range(0, max(width - _WINDOW // 2, 1), _WINDOW // 2):
            window = flat[y : y + _WINDOW, x : x + _WINDOW]
            if min(window.shape) >= TILE:
                yield window


@cache
def _tile() -> Plane:
    """Return the pattern, float32 [TILE, TILE] of variance 1: the same on every machine."""
    phases = np.random.Generator(np.random.PCG64(_SEED)).uniform(0, 2 * np.pi, (TILE, TILE // 2 + 1))
    tile = np.fft.irfft2(_mask() * np.exp(1j * phases), s=(TILE, TILE))
    return (tile / tile.std()).astype(np.float32)


@cache
def _reference() -> Any:
    """Return the pattern's spectrum with magnitudes of 1 inside its band."""
    spectrum = np.fft.rfft2(_tile())
    return _mask() * spectrum / (np.abs(spectrum) + 1e-9)


def _mask() -> npt.NDArray[np.float64]:
    radius = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.rfftfreq(TILE)[None, :])
    return ((radius >= _BAND[0]) & (radius <= _BAND[1])).astype(np.float64)


def _luma(pixels: Pixels) -> Plane:
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    return pixels.astype(np.float32) @ weights


def _high(luma: Plane) -> Plane:
    """Return a plane without structure below the pattern's band."""
    return luma - _blurred(luma, 8)


def _blurred(plane: Plane, radius: int) -> Plane:
    """Return running means over squares of 2 radius + 1 pixels, twice, repeated at the edges."""
    side = 2 * radius + 1
    for _ in range(2):
        for axis in (0, 1):
            pad = [(radius + 1, radius) if a == axis else (0, 0) for a in (0, 1)]
            sums = np.cumsum(np.pad(plane, pad, "edge"), axis, dtype=np.float64)
            after, before = (slice(side, None), slice(None, -side))
            if axis == 0:
                plane = ((sums[after] - sums[before]) / side).astype(np.float32)
            else:
                plane = ((sums[:, after] - sums[:, before]) / side).astype(np.float32)
    return plane


def _scaled(luma: Plane, factor: float) -> Plane:
    if factor == 1:
        return luma
    size = max(round(luma.shape[1] * factor), 1), max(round(luma.shape[0] * factor), 1)
    return np.asarray(Image.fromarray(luma).resize(size, Image.Resampling.BICUBIC))
