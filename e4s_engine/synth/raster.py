"""A z-buffer for small triangles in NumPy: all candidate pixels of one size class are tested at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from e4s_engine.synth.maths import Array

CLASSES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 40, 64, 128, 256, 512)  # sides of bounding boxes in pixels
CHUNK = 2**22  # candidates tested at once, which bounds memory


@dataclass(frozen=True)
class Fragments:
    """Pixel centres that triangles cover. All [N]."""

    pixel: Array  # int64, y * size + x
    triangle: Array  # int64
    b1: Array  # barycentric weights of the second and third corner
    b2: Array
    depth: Array


@lru_cache(maxsize=64)
def grid_triangles(rows: int, columns: int) -> Array:
    """Return the triangles [2 * (rows - 1) * (columns - 1), 3] of a row-major grid, as vertex indices."""
    i = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = i[:-1, :-1], i[:-1, 1:], i[1:, :-1], i[1:, 1:]
    return np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])


def fragments(x: Array, y: Array, depth: Array, triangles: Array, size: int) -> Fragments:
    """Rasterise triangles [T, 3] over vertices x, y (pixels), depth [V] into pixels [size, size]."""
    vertices = np.stack([x, y, depth]).astype(np.float32)
    low_x, width = _extent(vertices[0], triangles, size)
    low_y, height = _extent(vertices[1], triangles, size)
    alive = np.flatnonzero((width > 0) & (height > 0))
    p0, p1, p2 = (vertices.take(triangles[alive, i], 1) for i in range(3))
    edge1, edge2 = p1 - p0, p2 - p0
    area = edge1[0] * edge2[1] - edge2[0] * edge1[1]
    inverse = np.where(np.abs(area) > 1e-9, 1.0 / np.where(area == 0, 1, area), np.float32(np.nan))
    side = np.maximum(width, height)[alive]
    low_x, low_y = low_x[alive], low_y[alive]
    # Barycentric weights are linear in the pixel: b = bx * (px - x0) + by * (py - y0).
    table = np.stack([
        edge2[1] * inverse, -edge2[0] * inverse, -edge1[1] * inverse, edge1[0] * inverse,
        (low_x + 0.5) - p0[0], (low_y + 0.5) - p0[1], p0[2], edge1[2], edge2[2],
    ]).astype(np.float32)  # fmt: skip
    parts = []
    previous = 0
    for k in CLASSES:
        chosen = np.flatnonzero((side > previous) & (side <= k))
        previous = k
        for some in np.array_split(chosen, -(-len(chosen) * k * k // CHUNK) or 1):
            parts.append(_cover(table[:, some], low_x[some], low_y[some], alive[some], k=k, size=size))
    if not parts:
        empty = np.zeros(0, np.float32)
        return Fragments(empty.astype(np.int64), empty.astype(np.int64), empty, empty, empty)
    return Fragments(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _extent(position: Array, triangles: Array, size: int) -> tuple[Array, Array]:
    """Return the first pixel, and the number of pixels, with centres in triangles' extents along one axis."""
    a, b, c = (position.take(triangles[:, i]) for i in range(3))
    low = np.ceil(np.minimum(np.minimum(a, b), c) - 0.5)
    high = np.floor(np.maximum(np.maximum(a, b), c) - 0.5)
    low = np.maximum(low, 0).astype(np.int32)
    return low, np.minimum(high, size - 1).astype(np.int32) - low + 1


def _cover(table: Array, low_x: Array, low_y: Array, index: Array, *, k: int, size: int) -> tuple[Array, ...]:
    ax, ay, cx, cy, x, y, z0, z1, z2 = table
    oy, ox = np.divmod(np.arange(k * k, dtype=np.float32), k)
    b1 = (ax * x + ay * y)[:, None] + ax[:, None] * ox + ay[:, None] * oy
    b2 = (cx * x + cy * y)[:, None] + cx[:, None] * ox + cy[:, None] * oy
    # A tiny tolerance, so that rounding never loses pixels on a shared edge.
    inside = np.minimum(np.minimum(b1, b2), 1.0 - b1 - b2) >= -1e-4
    hits = np.flatnonzero(inside)
    t, o = np.divmod(hits, k * k)
    b1, b2 = b1.reshape(-1)[hits], b2.reshape(-1)[hits]
    px, py = low_x[t] + o % k, low_y[t] + o // k
    if k > 1:  # boxes were widened to k x k: drop pixels off the picture
        on = np.flatnonzero((px < size) & (py < size))
        t, b1, b2, px, py = t[on], b1[on], b2[on], px[on], py[on]
    z = z0[t] + b1 * z1[t] + b2 * z2[t]
    return py.astype(np.int64) * size + px, index[t], b1, b2, z


def nearest(f: Fragments, size: int) -> Array:
    """Return the indices of the fragments that win the depth test, at most one per pixel, sorted by pixel."""
    depth = np.clip((f.depth + 512.0) * 8192.0, 0, 2**23 - 1).astype(np.int64)  # cm to 2**-13
    key = (depth << 32) | np.arange(len(depth))
    best = np.full(size * size, np.iinfo(np.int64).max)
    np.minimum.at(best, f.pixel, key)
    return np.asarray(best[best != np.iinfo(np.int64).max] & 0xFFFFFFFF)


def keep(f: Fragments, mask: Array) -> Fragments:
    """Select fragments by a boolean mask or an index array."""
    return Fragments(f.pixel[mask], f.triangle[mask], f.b1[mask], f.b2[mask], f.depth[mask])


def interpolate(f: Fragments, triangles: Array, attributes: Array) -> Array:
    """Interpolate vertex attributes [V, A] at the fragments -> [A, N]."""
    i = triangles[f.triangle]
    value = np.take(attributes, i[:, 0], axis=0)
    value *= (1.0 - f.b1 - f.b2)[:, None]
    value += np.take(attributes, i[:, 1], axis=0) * f.b1[:, None]
    value += np.take(attributes, i[:, 2], axis=0) * f.b2[:, None]
    return np.ascontiguousarray(value.T)
