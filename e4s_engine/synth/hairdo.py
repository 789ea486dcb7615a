"""Hair: sheets of strands laid over the skull. Rows of a sheet run along the strands, root to tip.

In a hair grid u is the position across in cm, v runs 0..1 from root to tip, w is the number of the sheet's
look, x the distance to the sheet's nearest side edge in cm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from e4s_engine.synth.maths import Array, blur, bump, grid_normals, mix, noise, normalize, spline, step
from e4s_engine.synth.params import Hair, Occluder
from e4s_engine.synth.strands import CODES
from e4s_engine.synth.surface import LEVEL, Grid, Head, hairline


@dataclass(frozen=True)
class Skull:
    """The head under the hair, without the face's relief."""

    knots: Array

    def at(self, a: Array, e: Array, lift: Array | float = 0.0) -> Array:
        """Compute points [3, ...] at azimuth a and elevation e (radians), `lift` cm above the skin."""
        r = np.clip((np.pi / 2 - np.maximum(e, 0)) / np.radians(15), 0, 6)
        y, front, half, back, _, n = spline(self.knots, r)
        low = np.minimum(e, 0.0)
        y = y + 9.1 * np.sin(low)
        nape = 1 - 0.25 * (low / 1.2) ** 2
        sine, cosine = np.sin(a), np.cos(a)
        shape = np.maximum(1 - np.abs(sine) ** n, 1e-9) ** (1 / n)
        z = np.where(cosine >= 0, front * shape, back * cosine * nape)
        base = np.stack(np.broadcast_arrays(half * sine, y, z))
        out = np.stack(np.broadcast_arrays(sine * np.cos(e), np.sin(e), cosine * np.cos(e)))
        return np.asarray(base + out * lift)


def _sheet(points: Array, width: float, look: str, sides: tuple[bool, bool] = (True, True)) -> Grid:
    """Build a grid of strands from points [3, R, C]; sides: whether the first and last column may fray."""
    points = points.astype(np.float32)
    rows, columns = points.shape[1:]
    across = np.linspace(0, width, columns, dtype=np.float32)
    u = np.broadcast_to(across, (rows, columns))
    v = np.broadcast_to(np.linspace(0, 1, rows, dtype=np.float32)[:, None], (rows, columns))
    normals = grid_normals(points)
    outward = normals * np.sign(
        np.sum(normals * (points - np.array([0, 0, -1.0], np.float32)[:, None, None]), 0) + 1e-6
    )
    hollow = np.maximum(np.sum((blur(points, 3) - points) * outward, 0), 0)
    strand = normalize(np.gradient(points, axis=1))
    edge = np.minimum(across if sides[0] else across + 99, width - across if sides[1] else 99 - across)
    x = np.broadcast_to(edge.astype(np.float32), (rows, columns))
    return Grid(points, outward, strand, u, v, np.full_like(u, CODES[look]), x, 1.0 / (1.0 + 2.2 * hollow))


def _clumps(u: Array, seed: int, size: float) -> Array:
    """Compute smooth random heights across strands, 0..1; u in cm."""
    phase = seed * 1.7
    return np.asarray(
        0.5 + 0.22 * np.sin(u * 2.1 / size + phase) + 0.17 * np.sin(u * 4.7 / size + 1.3 * phase)
        + 0.11 * np.sin(u * 9.1 / size + 2.1 * phase)
    )  # fmt: skip


def _cap(hair: Hair, skull: Skull, thick: float, look: str = "cap", nape: float = -0.5) -> Grid:
    """Build hair over the whole skull from the crown to the hairline."""
    a = np.radians(np.linspace(-150, 150, 141))[None, :]
    v = np.linspace(0, 1, 72)[:, None]
    y_edge = hairline(a, hair.line)
    e_edge = np.arcsin(np.clip((y_edge - LEVEL) / 9.1, -0.9, 1))
    e_edge = np.maximum(e_edge, nape)
    e = mix(np.pi / 2 - 0.02, e_edge, v)
    body = thick * np.minimum(1.0, (1 - v) / 0.22 + 0.12) ** 0.5
    if look in ("curls", "frizz"):
        lumps = noise(np.sin(a) * 50 + 9, np.cos(a) * 50 - 40 * e, 6, hair.seed) - 0.5
        lumps = lumps + 0.7 * (noise(np.sin(a) * 60, np.cos(a) * 60 + 60 * e, 3, hair.seed + 1) - 0.5)
        body = thick * np.minimum(1.0, (1 - v) / 0.38 + 0.03) ** 0.62 * (1 + 0.42 * lumps) + 0.1
    else:
        body = body * (0.8 + 0.4 * _clumps(a * 7 + 0.8 * np.sin(3 * v), hair.seed, 1.0))
    a_bent = a + 0.10 * hair.part * np.sin(np.pi * v)
    return _sheet(skull.at(a_bent, e, body), 36.0, look, (False, False))


def _swept(hair: Hair, skull: Skull, thick: float, target: tuple[float, float], quiff: float) -> Grid:
    """Build hair from the hairline over the head to a target at the back (azimuth, elevation in degrees)."""
    u = np.linspace(-1, 1, 121)[None, :]
    v = np.linspace(0, 1, 64)[:, None]
    a0 = u * np.radians(84)
    e0 = np.arcsin(np.clip((hairline(a0, hair.line) - 0.1 - LEVEL) / 9.1, -0.9, 0.95))
    start = np.stack([np.sin(a0) * np.cos(e0), np.sin(e0), np.cos(a0) * np.cos(e0)])
    a1, e1 = np.radians(target[0]), np.radians(target[1])
    a1 = a1 + 0 * u
    end = np.stack([np.sin(a1) * np.cos(e1), np.sin(e1) + 0 * u, np.cos(a1) * np.cos(e1)])
    # Strands pass over the top and above the ears, not through the head.
    way = normalize(
        mix(start, end, v) + np.array([0, 0.55, 0])[:, None, None] * np.sin(np.pi * v) * (1 - 0.5 * u**2)
    )
    a, e = np.arctan2(way[0], way[2]), np.arcsin(np.clip(way[1], -1, 1))
    front = bump(u / 0.52)
    rise = 1 - np.exp(-v / (0.06 + 0.05 * (quiff < 1)))
    lift = 0.04 + rise * (thick + quiff * front * np.exp(-v * 2.6)) * (
        0.75 + 0.5 * _clumps(u * 9 + 0.5 * hair.part * v, hair.seed, 1.2)
    )
    points = skull.at(a, e, lift)
    points[0] += 0.5 * hair.part * quiff * front * rise
    return _sheet(points, 20.0, "swept", (False, False))


def _relax(points: Array, reach: int = 6) -> Array:
    """Smooth strands along their length, so that they have no kink where they leave the skull."""
    padded = np.pad(points, ((0, 0), (reach, reach), (0, 0)), mode="edge")
    rows = points.shape[1]
    return np.asarray(sum(padded[:, i : i + rows] for i in range(2 * reach + 1)) / (2 * reach + 1))


def _curtain(hair: Hair, skull: Skull, side: int, *, length: float, inward: float, front: float) -> Grid:
    """Build one side of parted hair, over the temple and ear and down by length cm below the brow level."""
    u = np.linspace(0, 1, 81)[None, :]
    v = np.linspace(0, 1, 96)[:, None]
    part = np.radians(15.0 * hair.part)
    over, total = 13.0, 13.0 + length
    s = v * total
    w = np.clip(s / over, 0, 1)
    ease = w**1.25
    a_end = np.radians(mix(front, 178.0, u**0.85))
    a = mix(part * side, a_end, ease)
    e0 = np.radians(mix(28.0 + 5 * hair.line, 88.0, np.clip(u / 0.45, 0, 1) ** 0.8))
    e = e0 * (1 - w**1.5) + np.radians(7) * np.sin(np.pi * w) * (1 - u)
    clump = _clumps(u * 16 + 1.5 * np.sin(2.5 * v + hair.seed), hair.seed + side, 1.1)
    lift = 0.12 + (0.55 + 1.1 * hair.volume) * (1 - np.exp(-s / 1.6)) * (0.75 + 0.5 * clump) * (
        0.6 + 0.5 * np.sin(np.pi * np.minimum(w, 1) * 0.8)
    )
    down = np.maximum(s - over, 0)
    fall = np.clip(down / max(length, 1e-3), 0, 1)
    x, y, z = skull.at(a * side, e, lift)
    y = y - down
    bend = 1 - inward * fall**2 + 0.06 * np.sin(np.pi * fall) * (1 + hair.volume)
    x, z = x * bend, z * (1 - 0.25 * inward * fall**2) + 0.8 * fall * (1 - u)
    wave = hair.wave * (0.15 + 0.55 * v)
    ripple = s * 1.05 + 2.2 * clump + 1.7 * np.sin(u * 9 + hair.seed)
    x = x + side * wave * 0.9 * np.sin(ripple)
    z = z + wave * 0.9 * np.cos(ripple * 0.93 + u * 5)
    return _sheet(_relax(np.stack([x, y, z]))[:, :, ::side], 24.0, "sheet", (side > 0, side < 0))


def _fringe(hair: Hair, skull: Skull, length: float, look: str = "fringe", spread: float = 46.0) -> Grid:
    """Build strands over the forehead; length 0..1 reaches from mid-forehead to the brows."""
    u = np.linspace(-1, 1, 91)[None, :]
    v = np.linspace(0, 1, 40)[:, None]
    sweep = 0.30 * hair.part * v**1.5
    a = np.radians(spread) * u * (0.70 + 0.34 * v) + sweep
    end = mix(26.0, 1.0, length) - 7.0 * u**2 + 6 * hair.part * u
    e = np.radians(mix(64.0, end, v))
    clump = _clumps(u * 8 + 2 * hair.part * v, hair.seed + 5, 0.9)
    lift = (0.35 + 1.3 * hair.volume * np.sin(np.pi * np.clip(v * 0.9 + 0.05, 0, 1))) * (
        0.7 + 0.6 * clump
    ) + 0.35
    points = skull.at(a, e, lift)
    points[0] += 0.5 * hair.wave * np.sin(v * 7 + 3 * clump) * v
    return _sheet(points, 13.0, look)


def _ball(
    centre: tuple[float, float, float], radius: tuple[float, float, float], look: str, seed: int
) -> Grid:
    """Build a bun with strands wound around it."""
    theta, phi = np.linspace(0.06, np.pi - 0.06, 40)[:, None], np.linspace(-np.pi, np.pi, 61)[None, :]
    twist = phi + 1.4 * theta
    swirl = 1 + 0.07 * np.sin(twist * 5 + seed) + 0.04 * np.sin(twist * 11 + 2 * seed)
    unit = np.stack(
        np.broadcast_arrays(np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi))
    )
    points = np.array(centre)[:, None, None] + np.array(radius)[:, None, None] * unit * swirl
    grid = _sheet(points, 3.0 * sum(radius), look, (False, False))
    outward = normalize(unit.astype(np.float32))
    return Grid(
        grid.points,
        normalize(grid_normals(grid.points) * 0 + outward),
        grid.soft,
        grid.u,
        grid.v,
        grid.w,
        grid.x,
        grid.occlusion,
    )


def _tail(hair: Hair, side: float) -> Grid:
    """Build a ponytail over one shoulder."""
    v = np.linspace(0, 1, 60)[:, None]
    phi = np.linspace(-np.pi * 0.6, np.pi * 0.6, 37)[None, :]
    x = side * mix(3.5, 8.6, step(0, 0.55, v)) + hair.wave * np.sin(v * 9)
    y = mix(5.0, -16.0 - 6 * hair.length, v) + 3.0 * np.sin(np.pi * v)
    z = mix(-9.5, 0.5, step(0.1, 0.8, v))
    radius = (
        (1.7 + 1.4 * hair.volume)
        * np.sin(np.pi * np.clip(0.16 + 0.80 * v, 0, 1))
        * (0.85 + 0.3 * _clumps(phi * 4 + v * 3, hair.seed, 1.0))
    )
    return _sheet(
        np.stack(np.broadcast_arrays(x + radius * np.sin(phi), y + 0 * phi, z + radius * np.cos(phi))),
        9.0,
        "tail",
    )


def _lock(hair: Hair, skull: Skull, occluder: Occluder) -> Grid:
    """Build a loose lock across the face."""
    u = np.linspace(-1, 1, 31)[None, :]
    v = np.linspace(0, 1, 80)[:, None]
    side = occluder.side
    a = np.radians(side * mix(12.0, 44.0 + 10 * occluder.offset, v**0.7) + 7.0 * u * (0.6 + v))
    e = np.radians(mix(50.0, 0.0, np.minimum(v * 2.2, 1)))
    lift = 1.6 + 0.4 * np.sin(np.pi * v) + 0.25 * _clumps(u * 3 + v, hair.seed + 3, 1.0) + 0.4 * v
    x, y, z = skull.at(a, e, lift)
    down = np.maximum(v - 1 / 2.2, 0) * 2.2 * 9.0
    ripple = v * 8 + hair.seed
    points = np.stack([x + (0.3 + hair.wave) * 0.5 * np.sin(ripple), y - down, z - 0.10 * down * v])
    return _sheet(points, 4.5, "lock")


def grids(hair: Hair, head: Head, occluder: Occluder) -> list[Grid]:
    """Build all sheets of a hairstyle, in the head's frame."""
    skull = Skull(head.knots)
    sheets = STYLES[hair.style](hair, skull)
    if occluder.kind == "lock" and hair.style not in ("bald", "buzz"):
        sheets.append(_lock(hair, skull, occluder))
    return sheets


def _pair(hair: Hair, skull: Skull, length: float, inward: float, front: float = 59.0) -> list[Grid]:
    return [_curtain(hair, skull, side, length=length, inward=inward, front=front) for side in (-1, 1)]


def _curls(hair: Hair, skull: Skull, thick: float, nape: float) -> list[Grid]:
    """Build a body of curls, and loose ones around it that soften its outline."""
    return [
        _cap(hair, skull, thick, "curls", nape),
        _cap(hair, skull, thick * 1.08 + 0.3, "frizz", nape),
    ]


Style = Callable[[Hair, Skull], list[Grid]]
STYLES: dict[str, Style] = {
    "bald": lambda h, s: [],
    "buzz": lambda h, s: [],
    "crop": lambda h, s: [
        _cap(h, s, 0.45 + 0.5 * h.volume, "cap"),
        _fringe(h, s, 0.15 + 0.3 * h.length),
    ],
    "quiff": lambda h, s: [_swept(h, s, 0.5 + 0.5 * h.volume, (180, 25), 1.2 + 1.8 * h.volume)],
    "sidepart": lambda h, s: [_cap(h, s, 0.5 + 0.5 * h.volume, "cap"), *_pair(h, s, 0.0, 0.0, 66.0)],
    "receding": lambda h, s: [_swept(h, s, 0.35 + 0.3 * h.volume, (180, 25), 0.1)],
    "pixie": lambda h, s: [
        _cap(h, s, 0.9 + 0.6 * h.volume, "cap"),
        _fringe(h, s, 0.5 + 0.3 * h.length),
    ],
    "slick": lambda h, s: [_swept(h, s, 0.30, (180, 20), 0.25)],
    "bun": lambda h, s: [
        _swept(h, s, 0.42, (180, 35), 0.3),
        _ball((0, 10.5, -7.5), (3.4, 3.2, 3.2), "bun", h.seed),
    ],
    "topknot": lambda h, s: [
        _swept(h, s, 0.40, (180, 72), 0.2),
        _ball((0, 13.0, -1.0), (2.9, 2.2, 2.8), "bun", h.seed),
    ],
    "ponytail": lambda h, s: [_swept(h, s, 0.42, (180, 30), 0.4), _tail(h, 1.0 if h.part > 0 else -1.0)],
    "bob": lambda h, s: _pair(h, s, 8.5 + 4 * h.length, 0.20),
    "fringe_bob": lambda h, s: [
        *_pair(h, s, 8.5 + 4 * h.length, 0.22, 57.0),
        _fringe(h, s, 0.75 + 0.2 * h.length),
    ],
    "long": lambda h, s: _pair(h, s, 20 + 5 * h.length, -0.08),
    "long_fringe": lambda h, s: [
        *_pair(h, s, 20 + 5 * h.length, -0.05, 57.0),
        _fringe(h, s, 0.7 + 0.25 * h.length),
    ],
    "wavy": lambda h, s: _pair(h, s, 17 + 5 * h.length, -0.20),
    "curly": lambda h, s: _curls(h, s, 1.5 + 1.2 * h.volume, -0.6),
    "afro": lambda h, s: _curls(h, s, 2.4 + 2.6 * h.volume, -0.75),
}
