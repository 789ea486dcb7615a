"""Ears, neck and shoulders, and an occluding hand: patches that complement the head's mesh."""

from __future__ import annotations

import numpy as np

from e4s_engine.synth.maths import Array, blur, bump, grid_normals, noise, normalize, spline, step
from e4s_engine.synth.params import Clothing, Ears, Neck, Occluder
from e4s_engine.synth.surface import Grid

# Rings of neck and torso: height, half width, half depth, z of the centre.
TORSO = np.array([
    [-5.0, 5.2, 4.6, -1.6], [-9.0, 5.1, 4.6, -1.8], [-12.0, 5.4, 4.8, -2.3], [-13.8, 7.0, 5.3, -2.8],
    [-15.0, 10.5, 6.2, -3.0], [-16.6, 15.0, 7.4, -3.0], [-19.5, 18.5, 8.8, -2.6], [-30.0, 19.5, 10.0, -2.0],
])  # fmt: skip


def make_grid(
    points: Array, fields: tuple[Array, Array, Array, Array], *, flip: bool = False, reach: int = 3
) -> Grid:
    """Build a patch from points [3, R, C] and u, v, w, x; `flip` inverts normals that point inwards."""
    points = points.astype(np.float32)
    normals = grid_normals(points)
    if flip:
        normals = -normals
    hollow = np.maximum(np.sum((blur(points, reach) - points) * normals, 0), 0)
    u, v, w, x = np.broadcast_arrays(*fields)
    return Grid(points, normals, normalize(blur(normals, 2)), u, v, w, x, 1.0 / (1.0 + 3.0 * hollow))


def ear_grid(ears: Ears, skull: float, side: int) -> Grid:
    """Build one ear. u, v are the position across (to the back) and up, in ear lengths; w, x are zero."""
    rho = np.concatenate([np.linspace(0.0, 1.0, 16), [1.03, 1.0, 0.9]])[:, None]
    phi = np.linspace(0, 2 * np.pi, 49)[None, :]
    up, back = np.sin(phi), np.cos(phi)
    # The outline is an egg, wide at the top, with a flat front edge at the cheek.
    wide = (0.60 + 0.12 * up) * np.where(back < 0, 0.62, 1.0)
    tall = np.where(up < 0, 1.0 + 0.22 * (ears.lobe - 0.5), 0.98)
    e1, e2 = rho * back * wide, rho * up * tall
    lobe = step(-0.45, -0.7, e2)
    helix = bump((rho - 0.90) / 0.10) * step(-0.75, -0.25, back + 0.5 * up) * (1 - lobe)
    anti = bump((np.hypot(e1 - 0.02, (e2 - 0.02) * 0.62) - 0.33) / 0.09) * step(-0.2, 0.15, back) * (1 - lobe)
    concha = bump((e1 + 0.04) / 0.21, (e2 + 0.16) / 0.34)
    tragus = bump((e1 + 0.27) / 0.10, (e2 + 0.16) / 0.18)
    height = 0.40 * helix + 0.36 * anti - 0.75 * concha + 0.35 * tragus + 0.25 * lobe * bump(rho / 0.8)
    thick = np.where(np.arange(19)[:, None] >= 16, np.array([0] * 16 + [0.15, 0.4, 0.75])[:, None], 0)
    height = height * (rho <= 1.0) - thick
    flare = np.radians(16 + 34 * ears.flare)
    half = 3.15 * ears.size
    normal = np.array([side * np.cos(flare), 0.0, np.sin(flare)])
    rear = np.array([side * np.sin(flare), -0.10, -np.cos(flare)])
    top = np.array([0.05 * side, 0.97, -0.22])
    centre = np.array([side * (6.72 * skull + 0.95 * np.sin(flare) + 0.15), -1.75, -0.4])
    points = (
        centre[:, None, None]
        + half * (rear[:, None, None] * e1 + top[:, None, None] * e2)
        + 0.75 * normal[:, None, None] * height
    )
    zero = np.zeros_like(e1)
    return make_grid(points, (e1, e2, zero, zero), flip=side < 0, reach=2)


def torso_grid(neck: Neck) -> Grid:
    """Build neck and shoulders. u is x, v the height, x is z, in cm; w is the ring (0 under the jaw .. 7)."""
    ring = np.concatenate([np.linspace(0, 3, 26, endpoint=False), np.linspace(3, 7, 40)])[:, None]
    a = np.radians(np.linspace(-112, 112, 97))[None, :]
    y, half, depth, z = spline(TORSO, ring)
    slim = 1 + (neck.width - 1) * step(4.5, 2.0, ring)
    sine, cosine = np.sin(a), np.cos(a)
    x = half * slim * sine
    front = z + depth * slim * np.sign(cosine) * np.abs(cosine) ** 0.9
    on_neck = step(3.9, 2.4, ring)
    cord = bump((np.abs(x) - 4.2 + 0.28 * (-5 - y)) / 0.7) * step(-6, -9, y) * on_neck
    front = front + 0.42 * cord - 0.35 * bump(x / 1.2, (y + 14.0) / 0.9)
    collar = bump((y + 15.1 + 0.05 * np.abs(x)) / 0.45) * step(0.8, 2.2, np.abs(x)) * step(9.5, 7, np.abs(x))
    front = front + 0.40 * collar
    points = np.stack(np.broadcast_arrays(x, y + 0 * a, front))
    return make_grid(points, (points[0], points[1], np.broadcast_to(ring, x.shape), points[2]))


def hand_grids(occluder: Occluder) -> list[Grid]:
    """Build a hand at cheek and chin: palm and four fingers, tapered tubes. v runs to the finger tips."""
    side, shift = occluder.side, occluder.offset
    wrist = np.array([side * (6.5 + shift), -17.0, 8.0])
    grids = []
    for k in range(5):
        base = wrist + np.array([side * (1.6 - 1.15 * k), 2.2 + 0.35 * np.sin(k * 1.1), 1.2 + 0.25 * k])
        length = (8.3, 9.2, 9.4, 8.6, 0)[k]
        lean = np.array([-side * (0.20 - 0.10 * k), 0.93, -0.12 - 0.03 * k])
        start, end, thick = base, base + lean * length, 0.98 - 0.04 * k
        if k == 4:  # the palm
            start, end, thick = (
                wrist + np.array([-side * 0.2, -6.0, -0.5]),
                wrist + np.array([-side * 0.3, 5.0, 1.4]),
                3.1,
            )
        grids.append(_tube(start, end, thick, 0.55 if k == 4 else 1.0))
    return grids


def _tube(start: Array, end: Array, thick: float, flat: float) -> Grid:
    v = np.linspace(0, 1, 44)[:, None]
    phi = np.linspace(-np.pi / 2 - 0.5, np.pi / 2 + 0.5, 25)[None, :]
    axis = (end - start) / np.linalg.norm(end - start)
    across = np.cross(axis, [0.0, 0.0, 1.0])
    across /= np.linalg.norm(across)
    out = np.cross(across, axis)
    knuckles = 0.07 * (bump((v - 0.42) / 0.07) + bump((v - 0.74) / 0.06))
    radius = (
        thick * (1 - 0.22 * v + knuckles) * np.sqrt(np.clip(1 - np.clip((v - 0.90) / 0.10, 0, 1) ** 2, 0, 1))
    )
    centre = start[:, None, None] + axis[:, None, None] * (np.linalg.norm(end - start) * v)
    centre = centre + out[:, None, None] * (-0.55 * (v - 0.4) ** 2)
    points = centre + radius * (across[:, None, None] * np.sin(phi) + flat * out[:, None, None] * np.cos(phi))
    u = np.broadcast_to(phi, points.shape[1:])
    zero = np.zeros(points.shape[1:])
    return make_grid(points, (u, v, zero, zero), flip=True)


def neckline(clothing: Clothing, u: Array, v: Array) -> tuple[Array, Array]:
    """Return (coverage by cloth 0..1, its border 0..1) at x, height u, v in cm."""
    x = np.abs(u)
    if clothing.kind == "vneck":
        line = -14.0 - 5.5 * np.clip(1 - x / 5.6, 0, 1)
    elif clothing.kind == "collar":
        line = -11.6 - 0.3 * x - 2.6 * np.clip(1 - x / 2.6, 0, 1)
    elif clothing.kind == "strap":
        strap = np.abs(x - 10.5 + 0.25 * (v + 14)) < 1.4
        line = np.where(strap, -10.0, -21.0 + 0.1 * x)
    else:
        line = -14.9 + 0.035 * np.minimum(x, 7.5) ** 2
    return step(0.08, -0.08, v - line), bump((v - line) / 0.35)


def weave(clothing: Clothing, u: Array, v: Array) -> Array:
    """Compute the albedo of the cloth [3, N]."""
    knit = noise(u * 14, v * 14, 0, 3) - 0.5
    folds = noise(u * 1.6 + v * 0.8, v * 1.0, 6, 8) - 0.5
    color = np.array(clothing.color, np.float32)[:, None] * (1 + 0.25 * knit + 0.5 * folds)
    band = step(-0.2, 0.2, np.sin(v * 4.0)) * clothing.pattern
    return np.asarray(color * (1 - 0.6 * band) + 0.25 * band)
