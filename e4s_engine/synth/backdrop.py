"""The background behind the sitter."""

from __future__ import annotations

import numpy as np

from e4s_engine.synth.maths import Array, bump, mix, noise, step
from e4s_engine.synth.params import Backdrop


def paint(backdrop: Backdrop, size: int) -> Array:
    """Paint the background as linear radiance [3, size, size]."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = np.broadcast_to(axis[None], (size, size)), np.broadcast_to(axis[:, None], (size, size))
    first = np.array(backdrop.first, np.float32)[:, None, None]
    second = np.array(backdrop.second, np.float32)[:, None, None]
    rng = np.random.default_rng(backdrop.seed)
    tilt = float(rng.uniform(-0.5, 0.5))
    fade = step(-0.1, 1.1, y + tilt * (x - 0.5))
    cloud = noise(x * 60, y * 60, 6, backdrop.seed % 997)
    if backdrop.kind == "gradient":
        return np.asarray(mix(first, second, fade))
    if backdrop.kind == "bokeh":
        image = mix(first, second, fade)
        for _ in range(14):
            cx, cy, radius = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.03, 0.13)
            color = mix(first, second, rng.uniform(-0.3, 1.3)) * rng.uniform(0.8, 2.2)
            disc = step(radius, radius * 0.82, np.hypot(x - cx, y - cy))
            image = mix(image, np.maximum(color, 0), 0.5 * disc)
        return np.asarray(image)
    if backdrop.kind == "foliage":
        near = noise(x * 230 + 40 * y, y * 250 - 60 * x, 6, backdrop.seed % 991)
        far = noise(x * 210 - 90 * y, y * 200 + 90 * x, 3, backdrop.seed % 977)
        leaves = 0.5 * near + 0.3 * far + 0.2 * cloud
        return np.asarray(mix(second, first, step(0.15, 0.95, leaves)))
    if backdrop.kind == "bricks":
        row = np.floor(y * 11 + tilt)
        column = x * 6 + 0.5 * (row % 2)
        fx, fy = column % 1 - 0.5, (y * 11 + tilt) % 1 - 0.5
        wall = step(0.49, 0.45, np.abs(fx)) * step(0.47, 0.38, np.abs(fy))
        shade = 0.85 + 0.3 * noise(np.floor(column) * 7, row * 13, 0, backdrop.seed % 983)
        return np.asarray(mix(second, first * shade, wall) * (0.9 + 0.2 * cloud))
    if backdrop.kind == "stripes":
        wave = step(-0.5, 0.5, np.sin((x + tilt * y) * rng.uniform(10, 40)))
        return np.asarray(mix(first, mix(first, second, 0.6), wave))
    glow = bump((x - 0.5 - 0.3 * tilt) / 0.7, (y - 0.4) / 0.8)
    return np.asarray(first * (0.62 + 0.45 * glow + 0.05 * cloud))
