"""Small helpers of the renderer: smooth steps, noise, splines, vectors stored as [3, ...]."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Maybe = Any  # an Array or a float

TEXTURE = 256  # the noise textures' side, a power of two so that wrapping is a mask


def step(low: float, high: float, x: Maybe) -> Array:
    """Compute a smooth step: 0 at `low`, 1 at `high`, which may be the smaller one."""
    t = np.clip((x - low) * (1.0 / (high - low)), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t))


def bump(x: Maybe, y: Maybe = 0.0) -> Array:
    """Compute the Gaussian bump exp(-x^2 - y^2)."""
    return np.asarray(np.exp(-(x * x + y * y)))


def mix(a: Maybe, b: Maybe, t: Maybe) -> Maybe:
    """Interpolate: `a` where t is 0, `b` where t is 1."""
    return a + (b - a) * t


def dot(a: Array, b: Array) -> Array:
    """Compute the dot product of [3, ...] vectors."""
    return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


def normalize(a: Array) -> Array:
    """Scale [3, ...] vectors to unit length."""
    return np.asarray(a * (1.0 / np.sqrt(np.maximum(dot(a, a), 1e-12))))


def blur(a: Array, radius: int, wrap: bool = False) -> Array:
    """Box-blur the last two axes twice, with edges repeated (or wrapped): close to a Gaussian blur."""
    for axis in (-2, -1, -2, -1):
        width = [(0, 0)] * a.ndim
        width[axis] = (radius + 1, radius)
        padded = np.pad(a, width, mode="wrap" if wrap else "edge")
        total = np.moveaxis(np.cumsum(padded, axis=axis, dtype=np.float64), axis, 0)
        n = a.shape[axis]
        window = total[2 * radius + 1 : 2 * radius + 1 + n] - total[:n]
        a = np.moveaxis((window * (1.0 / (2 * radius + 1))).astype(np.float32), 0, axis)
    return a


@lru_cache(maxsize=8)
def texture(radius: int) -> Array:
    """Create tileable noise [256, 256], uniform in 0..1, with a grain of about `radius` texels."""
    noise = np.random.default_rng(radius).standard_normal((TEXTURE, TEXTURE)).astype(np.float32)
    if radius:
        noise = blur(noise, radius, wrap=True)
    ranks = np.empty(noise.size, np.float32)
    ranks[np.argsort(noise, axis=None)] = np.linspace(0, 1, noise.size, dtype=np.float32)
    return ranks


def noise(u: Array, v: Array, radius: int = 0, seed: int = 0) -> Array:
    """Look up the texture at texel (u, v), wrapping, nearest neighbour; `seed` shifts the position."""
    i = (u + (TEXTURE * 16.0 + seed * 37 % TEXTURE)).astype(np.int32) & (TEXTURE - 1)
    j = (v + (TEXTURE * 16.0 + seed * 91 % TEXTURE)).astype(np.int32) & (TEXTURE - 1)
    return texture(radius).take(j * TEXTURE + i)


def spline(knots: Array, r: Array) -> Array:
    """Evaluate a Catmull-Rom spline of knots [K, C] at positions r (0..K-1) of any shape -> [C, *r.shape]."""
    count, knots = len(knots), knots.astype(r.dtype)
    i = np.clip(r.astype(np.int32), 0, count - 2)
    t = (r - i.astype(r.dtype))[..., None]
    p0, p1 = knots[np.maximum(i - 1, 0)], knots[i]
    p2, p3 = knots[i + 1], knots[np.minimum(i + 2, count - 1)]
    value = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return np.moveaxis(value, -1, 0)


def rotate(matrix: Array, vectors: Array) -> Array:
    """Multiply a matrix [3, 3] by vectors [3, ...] in plain sums, bit-identical with any BLAS installed."""
    x, y, z = vectors
    return np.stack([row[0] * x + row[1] * y + row[2] * z for row in matrix.astype(vectors.dtype)])


def grid_normals(points: Array) -> Array:
    """Compute the unit normals of a grid [3, R, C]: outward if rows run down and columns to image right."""
    down = np.gradient(points, axis=1)
    right = np.gradient(points, axis=2)
    return normalize(np.stack([
        down[1] * right[2] - down[2] * right[1],
        down[2] * right[0] - down[0] * right[2],
        down[0] * right[1] - down[1] * right[0],
    ]))  # fmt: skip
