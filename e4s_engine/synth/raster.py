"""A z-buffer for small triangles in NumPy: all candidates of one size class are tested at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from e4s_engine.synth.maths import Array

CLASSES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 40, 64)  # sides of bounding boxes, pixels


@dataclass(frozen=True)
class Fragments:
    """Where triangles cover pixel centres. All [N]."""

    pixel: Array  # int64, y * size + x
    triangle: Array  # int64
    b1: Array  # barycentric weights of the second and third corner
    b2: Array
    depth: Array


@lru_cache(maxsize=64)
def grid_triangles(rows: int, columns: int) -> Array:
    """Corner indices [2 * (rows - 1) * (columns - 1), 3] of a row-major grid."""
    i = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = i[:-1, :-1], i[:-1, 1:], i[1:, :-1], i[1:, 1:]
    return np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])


def fragments(x: Array, y: Array, depth: Array, triangles: Array, size: int) -> Fragments:
    """Cover pixels of [size, size] by triangles [T, 3] over vertices x, y (pixels), depth [V]."""
    corners = np.take(np.stack([x, y, depth], -1).astype(np.float32), triangles, axis=0)  # [T, 3, 3]
    x0, y0 = corners[:, 0, 0], corners[:, 0, 1]
    low = np.ceil(corners[:, :, :2].min(1) - 0.5).astype(np.int32)
    high = np.floor(corners[:, :, :2].max(1) - 0.5).astype(np.int32)
    np.clip(low, 0, None, out=low)
    np.clip(high, None, size - 1, out=high)
    edge1, edge2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = edge1[:, 0] * edge2[:, 1] - edge2[:, 0] * edge1[:, 1]
    span = high - low + 1
    alive = np.flatnonzero((span.min(1) > 0) & (np.abs(area) > 1e-9))
    side = span[alive].max(1)
    # Barycentric weights are linear in the pixel: b = bx * (px - x0) + by * (py - y0).
    inverse = 1.0 / area[alive]
    table = np.stack([
        edge2[alive, 1] * inverse, -edge2[alive, 0] * inverse, -edge1[alive, 1] * inverse, edge1[alive, 0] * inverse,
        x0[alive], y0[alive], corners[alive, 0, 2], edge1[alive, 2], edge2[alive, 2],
    ])  # fmt: skip
    found = []
    previous = 0
    for k in CLASSES:
        chosen = np.flatnonzero((side > previous) & (side <= k))
        previous = k
        if len(chosen):
            found.append(_cover(table[:, chosen], low[alive[chosen]], high[alive[chosen]], alive[chosen], k, size))
    if not found:
        empty = np.zeros(0, np.float32)
        return Fragments(empty.astype(np.int64), empty.astype(np.int64), empty, empty, empty)
    return Fragments(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _cover(table: Array, low: Array, high: Array, index: Array, k: int, size: int) -> tuple[Array, ...]:
    ax, ay, cx, cy, x0, y0, z0, z1, z2 = table[:, :, None]
    oy, ox = np.divmod(np.arange(k * k, dtype=np.int32), k)
    ix, iy = low[:, :1] + ox, low[:, 1:] + oy
    dx, dy = ix + (0.5 - x0), iy + (0.5 - y0)
    b1 = ax * dx + ay * dy
    b2 = cx * dx + cy * dy
    # A hair of tolerance, so that pixels on a shared edge are never lost to rounding.
    inside = (b1 >= -1e-4) & (b2 >= -1e-4) & (b1 + b2 <= 1.0001) & (ix <= high[:, :1]) & (iy <= high[:, 1:])
    t, o = np.nonzero(inside)
    b1, b2 = b1[t, o], b2[t, o]
    z = z0[t, 0] + b1 * z1[t, 0] + b2 * z2[t, 0]
    pixel = (low[t, 1] + oy[o]).astype(np.int64) * size + low[t, 0] + ox[o]
    return pixel, index[t], b1, b2, z


def nearest(f: Fragments, size: int) -> Array:
    """Indices of the fragments that win the depth test, at most one per pixel, by pixel."""
    depth = np.clip((f.depth + 512.0) * 8192.0, 0, 2**23 - 1).astype(np.int64)  # cm to 2**-13
    key = (depth << 32) | np.arange(len(depth))
    best = np.full(size * size, np.iinfo(np.int64).max)
    np.minimum.at(best, f.pixel, key)
    return best[best != np.iinfo(np.int64).max] & 0xFFFFFFFF


def keep(f: Fragments, mask: Array) -> Fragments:
    """The fragments of a boolean mask or an index."""
    return Fragments(f.pixel[mask], f.triangle[mask], f.b1[mask], f.b2[mask], f.depth[mask])


def interpolate(f: Fragments, triangles: Array, attributes: Array) -> Array:
    """Vertex attributes [V, A] at the fragments -> [A, N]."""
    i = triangles[f.triangle]
    value = np.take(attributes, i[:, 0], axis=0)
    value *= (1.0 - f.b1 - f.b2)[:, None]
    value += np.take(attributes, i[:, 1], axis=0) * f.b1[:, None]
    value += np.take(attributes, i[:, 2], axis=0) * f.b2[:, None]
    return np.ascontiguousarray(value.T)


Discard = Callable[[Fragments], Fragments]
