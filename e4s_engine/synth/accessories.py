"""Glasses and earrings."""

from __future__ import annotations

import numpy as np

from e4s_engine.synth.body import make_grid
from e4s_engine.synth.maths import Array, mix, normalize, rotate, step
from e4s_engine.synth.params import Earrings, Glasses, Person
from e4s_engine.synth.shade import Points
from e4s_engine.synth.surface import BALL, Grid, Head

TEMPLE = 1.0  # w of a grid that is a temple arm; 0 for the front


def earring_grids(earrings: Earrings, person: Person) -> list[Grid]:
    """Build studs, hoops or drops below both ear lobes, in the head's frame."""
    if earrings.style == "none":
        return []
    grids = []
    ears = person.ears
    for side in (-1, 1):
        flare = np.sin(np.radians(16 + 34 * ears.flare))
        x = side * (6.75 * person.skull + 0.75 * flare + 0.35)
        lobe = np.array([x, -1.75 - 3.15 * ears.size * (0.88 + 0.1 * ears.lobe), 0.55])
        size = earrings.size
        if earrings.style == "stud":
            grids.append(_ball(lobe, 0.24 + 0.22 * size))
        elif earrings.style == "hoop":
            radius = 0.8 + 1.1 * size
            grids.append(_ring(lobe - [0, radius, 0], radius, 0.09 + 0.06 * size, side))
        else:
            for k in range(3):
                radius = (0.16, 0.22, 0.38)[k] * (0.8 + 0.6 * size)
                grids.append(_ball(lobe - [0, (0.1, 0.65, 1.5)[k] * (0.8 + 0.6 * size), 0], radius))
    return grids


def _ball(centre: Array, radius: float) -> Grid:
    theta, phi = np.linspace(0.05, np.pi - 0.05, 12)[:, None], np.linspace(-np.pi, np.pi, 17)[None, :]
    unit = np.stack(
        np.broadcast_arrays(np.sin(theta) * np.sin(phi), np.cos(theta), np.sin(theta) * np.cos(phi))
    )
    return _solid(centre[:, None, None] + radius * unit, unit)


def _ring(centre: Array, radius: float, thick: float, side: int) -> Grid:
    theta, phi = np.linspace(0, 2 * np.pi, 41)[:, None], np.linspace(0, 2 * np.pi, 9)[None, :]
    # The hoop's plane is half turned to the front.
    plane = np.array([side * 0.55, 0.0, 0.83])
    out = plane[:, None, None] * np.sin(theta) + np.array([0.0, 1.0, 0.0])[:, None, None] * np.cos(theta)
    across = np.cross(plane, [0.0, 1.0, 0.0])[:, None, None]
    unit = out * np.cos(phi) + across * np.sin(phi)
    return _solid(centre[:, None, None] + radius * out + thick * unit, unit)


def _solid(points: Array, normals: Array) -> Grid:
    unit = normals.astype(np.float32)
    zero, one = np.zeros(points.shape[1:], np.float32), np.ones(points.shape[1:], np.float32)
    return Grid(points.astype(np.float32), unit, unit, zero, zero, zero, zero, one)


def glasses_grids(glasses: Glasses, head: Head) -> list[Grid]:
    """Build a curved front sheet (u, v: cm right and up of its middle) and two temple arms."""
    half = 6.75 * head.person.skull
    u, v = np.linspace(-half, half, 90)[None, :], np.linspace(2.6, -3.4, 40)[:, None]
    front = max(head.eye_depth + BALL + 0.85, float(head.at(np.zeros(1), np.array([0.45]))[2][0]) + 0.12)
    z = front - 0.028 * u**2
    points = np.stack(np.broadcast_arrays(u, v - 0.15, z))
    grids = [make_grid(points, (u, v, np.zeros(1), points[2]))]
    for side in (-1, 1):
        t, w = np.linspace(0, 1, 40)[None, :], np.linspace(0.5, -0.5, 5)[:, None]
        x = side * (half - 0.1 + 0.85 * t)
        arm = np.stack(
            np.broadcast_arrays(x, 0.55 + w * (0.3 + 2.2 * glasses.rim), z[0, 0] * (1 - t) - 1.0 * t)
        )
        grids.append(make_grid(arm, (t, w, np.full(1, TEMPLE), arm[2]), flip=side > 0))
    return grids


def _lens(glasses: Glasses, half: float, u: Array, v: Array) -> Array:
    """Compute the signed distance to the lens's outline, cm, negative inside; mirrored for both sides."""
    x = np.abs(u) - 0.47 * half
    size = 0.36 * half * glasses.size
    if glasses.style == "round":
        return np.asarray(np.hypot(x, v + 0.15) - size * 0.92)
    if glasses.style == "aviator":
        skew = x + 0.18 * v
        return np.asarray(
            (np.hypot(skew / 1.1, (v + 0.35) / 0.95) ** 1.0 - size * 0.98) + 0.25 * step(0.6, 1.5, v)
        )
    height = 0.66 * size if glasses.style == "square" else 0.60 * size
    lift = 0.28 * np.clip(x, 0, None) if glasses.style == "cat" else 0.0 * x
    corner = 0.55
    dx, dy = np.abs(x) - (size * 1.02 - corner), np.abs(v + 0.15 - lift) - (height - corner * 0.5)
    outside = np.hypot(np.maximum(dx, 0), np.maximum(dy, 0))
    return np.asarray(outside + np.minimum(np.maximum(dx, dy), 0) - corner)


def look(glasses: Glasses, skull: float, p: Points, turn: Array) -> tuple[Array, Array, Array, Array]:
    """Compute opacity [N] (0 off frame and lens), albedo [3, N], gloss [N], normals [3, N]."""
    u, v, N = p.u, p.v, p.N
    half = 6.75 * skull
    color = np.array(glasses.color, np.float32)[:, None]
    if len(u) and p.w[0] > 0.5:
        return np.ones_like(u), color * np.ones_like(u), 0.5 + 0 * u, N
    d = _lens(glasses, half, u, v)
    bridge = (np.abs(u) < 0.14 * half) & (np.abs(v - 0.45 + 0.06 * u * u) < glasses.rim + 0.04)
    hinge = (np.abs(u) > 0.8 * half) & (np.abs(v - 0.70) < 0.15 + glasses.rim) & (d > 0)
    rim = (np.abs(d) < glasses.rim) | ((bridge | hinge) & (d > 0))
    lens = (d < 0) & ~rim
    # Round the rim's cross-section, so that it catches the light like a wire.
    bend = np.clip(d / glasses.rim, -1, 1) * 0.7
    away = np.stack([np.sign(u) * bend, 0.4 * bend, 0 * bend])
    normal = np.where(rim, normalize(N + rotate(turn, away)), N)
    streak = step(0.9, 0.3, np.abs((np.abs(u) - 0.47 * half) * 0.7 + v * 0.7 - 0.6)) * 0.5
    albedo = mix(color, np.array([[0.03], [0.04], [0.05]], np.float32) + 0.25 * streak, lens * np.float32(1))
    cover = np.where(rim, 1.0, lens * np.clip(glasses.tint + 0.16 * streak + 0.03, 0, 1))
    return cover.astype(np.float32), albedo, np.where(rim, 0.7, 0.4), normal
