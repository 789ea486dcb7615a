"""Eyeballs, teeth and tongue, seen between the lids and the lips: rays determine the visible points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from e4s_engine import regions as R
from e4s_engine.synth import curves
from e4s_engine.synth.maths import Array, bump, dot, mix, noise, normalize, step
from e4s_engine.synth.params import Eyes
from e4s_engine.synth.surface import BALL, Head


@dataclass
class Seen:
    """Replacements for some points: index [n], unposed normals [3, n], material, shade 0..1 [n]."""

    index: Array
    normals: Array
    albedo: Array
    gloss: Array
    shade: Array
    label: int


class View(NamedTuple):
    """Points of the unposed head: the loft's X, Y [N], positions, and unit rays from the camera [3, N]."""

    X: Array
    Y: Array
    points: Array
    rays: Array


def eyes(h: Head, side: int, view: View) -> Seen:
    """Compute one eyeball's visible points between the lids."""
    X, Y, points, rays = view
    e, expression = h.person.eyes, h.expression
    near = np.flatnonzero((np.abs(X * side - e.spacing) < e.width * 1.1) & (np.abs(Y) < 1.3))
    c = curves.eye(h.person, expression, side, X[near], Y[near])
    inside = (c.q < c.upper) & (c.q > c.lower) & (np.abs(c.s) < 1)
    index = near[inside]
    s, q, upper, lower = c.s[inside], c.q[inside], c.upper[inside], c.lower[inside]
    centre = np.array([side * e.spacing, 0.0, h.eye_depth], np.float32)[:, None]
    start = points[:, index] - centre
    ray = rays[:, index]
    along = dot(start, ray)
    root = np.sqrt(np.maximum(along * along - dot(start, start) + BALL * BALL, 0.0))
    normal = normalize(start - ray * (along + root))
    gx, gy = np.radians(expression.gaze)
    # Eyes converge a little, on a point about a metre away.
    gx = gx - side * 0.03
    gaze = np.array([np.sin(gx) * np.cos(gy), np.sin(gy), np.cos(gx) * np.cos(gy)], np.float32)
    right = normalize(np.cross([0, 1, 0], gaze).astype(np.float32)[:, None])[:, 0]
    up = np.cross(gaze, right)
    a, b = dot(right, normal) * BALL, dot(up, normal) * BALL
    radius = np.hypot(a, b) / e.iris
    albedo, gloss = _eyeball(e, side, s, a, b)
    # The cornea bulges, so its highlight is higher and tighter than one on the white.
    cornea = step(1.15, 0.85, radius)
    bulge = right[:, None] * (a * 0.28 * cornea) + up[:, None] * (b * 0.28 * cornea)
    lid = step(0.0, 0.34, upper - q) * step(-0.02, 0.10, q - lower)
    shade = (0.38 + 0.62 * lid) * step(1.02, 0.72, np.abs(s)) ** 0.5
    rim = step(0.08, 0.02, q - lower) * step(0.95, 0.8, np.abs(s))
    albedo = mix(albedo, np.array([[0.55], [0.30], [0.26]], np.float32), 0.75 * rim)
    # A soft window reflected high in each cornea: the catchlight of portraits.
    spark = step(0.26, 0.10, np.hypot(a + 0.34 * e.iris, b - 0.34 * e.iris) / e.iris)
    albedo = albedo + 0.8 * spark * cornea * lid
    return Seen(index, normalize(normal + bulge), albedo, gloss, shade, R.EYES)


def _eyeball(e: Eyes, side: int, s: Array, a: Array, b: Array) -> tuple[Array, Array]:
    """Compute albedo [3, n] and gloss [n] at a, b cm right and up of the pupil."""
    radius, angle = np.hypot(a, b) / e.iris, np.arctan2(b, a)
    white = np.array([[0.46], [0.425], [0.40]], np.float32) * np.ones_like(s)
    veins = step(0.72, 0.95, noise(a * 20 + 9, b * 30, 2, e.seed)) * step(0.4, 0.9, np.abs(s))
    white = white * (1 - veins * np.array([[0.05], [0.28], [0.26]], np.float32))
    corner = step(-0.74, -0.93, s)
    white = mix(white, np.array([[0.50], [0.22], [0.20]], np.float32), 0.85 * corner)
    white = white * mix(1.0, 0.78, step(0.55, 1.0, np.abs(s)))
    color = np.array(e.color, np.float32)[:, None]
    fibre = noise(angle * 26 + side * 40, radius * 9, 1, e.seed) - 0.5
    coarse = noise(angle * 9, radius * 5, 2, e.seed + 1) - 0.5
    iris = color * (0.95 + 1.0 * fibre + 0.5 * coarse)
    iris = mix(
        iris, color * np.array([[1.9], [1.45], [0.9]], np.float32) + 0.02, 0.55 * bump((radius - 0.5) / 0.14)
    )
    iris = iris * (1 + 0.75 * step(0.5, -0.9, b / e.iris))  # light pools low in the iris
    iris = iris * (1 - (0.45 + 0.5 * e.ring) * step(0.74, 0.99, radius))
    iris = iris * step(0.31, 0.38, radius) + 0.004
    edge = step(1.05, 0.95, radius)
    return mix(white, iris, edge), mix(0.5, 1.8, edge)


def mouth(h: Head, view: View) -> Seen:
    """Compute teeth on a dental arch, tongue and darkness between the lips; as in `eyes`."""
    X, Y, points, rays = view
    near = np.flatnonzero((np.abs(X) < 3.3) & (np.abs(Y - h.person.face.mouth + 1) < 2.6))
    m = curves.mouth(h.person, h.expression, X[near])
    inside = (Y[near] < m.inner_top) & (Y[near] > m.inner_bottom) & (np.abs(m.s) < 1)
    index = near[inside]
    top, bottom, s = m.inner_top[inside], m.inner_bottom[inside], m.s[inside]
    y_skin = Y[index]
    half, deep = np.float32(2.75), np.float32(3.6)
    centre = np.array([0.0, 0.0, h.teeth_depth - deep], np.float32)[:, None]
    scale = np.array([1 / half, 0.0, 1 / deep], np.float32)[:, None]
    start, ray = (points[:, index] - centre) * scale, rays[:, index] * scale
    along, square = dot(start, ray), np.maximum(dot(ray, ray), 1e-6)
    root = np.sqrt(np.maximum(along * along - square * (dot(start, start) - 1.0), 0.0))
    hit = points[:, index] - rays[:, index] * ((along + root) / square)
    angle = np.arctan2(hit[0] / half, (hit[2] - centre[2]) / deep)
    normal = normalize(np.stack([np.sin(angle), 0.15 * np.ones_like(angle), np.cos(angle)]))
    down = curves.part_lips(h.expression)[1]
    line = h.person.face.mouth + 0.15 * h.expression.smile
    albedo, normal, gloss = _teeth(h, angle, hit[1] - line, down, normal)
    depth = np.minimum(top - y_skin, y_skin - bottom)
    shade = (0.30 + 0.70 * step(0.0, 0.30, top - y_skin)) * (0.55 + 0.45 * step(0.0, 0.15, depth))
    shade = shade * step(1.0, 0.55, np.abs(s))
    return Seen(index, normal, albedo, gloss, shade, R.MOUTH)


def _teeth(h: Head, angle: Array, y: Array, drop: float, normal: Array) -> tuple[Array, Array, Array]:
    """Paint teeth and tongue. y: height above the mouth line; drop: that of the jaw with the lower teeth."""
    t = h.person.teeth
    across = angle * 3.0 / t.width
    # Front teeth are widest; teeth narrow towards the corners.
    across = np.sign(across) * np.abs(across) ** 1.08
    cell = across - np.floor(across) - 0.5
    number = np.abs(np.floor(across) + 0.5)
    edge = -0.30 + 0.10 * (number > 1) * (number < 2) + 0.05 * number * 0.5
    between = step(0.36 + 0.10 * (1 - t.gap), 0.5, np.abs(cell))
    round_off = 0.10 * step(0.3, 0.5, np.abs(cell))
    upper = step(-0.04, 0.04, y - edge - round_off)
    gum = step(0.62, 0.74, y - 0.16 * np.abs(cell))
    low_cell = across * 1.35 - np.floor(across * 1.35) - 0.5
    low_edge = -0.42 - 0.88 * drop
    lower = step(low_edge + 0.04, low_edge - 0.04, y + 0.07 * step(0.3, 0.5, np.abs(low_cell))) * (1 - upper)
    low_between = step(0.38, 0.5, np.abs(low_cell))
    ivory = np.array([0.80, 0.76, 0.68], np.float32) * (0.62 + 0.38 * t.white)
    ivory = mix(ivory * np.array([1.0, 0.93, 0.78]), ivory, t.white)[:, None].astype(np.float32)
    tooth = ivory * (1 - 0.05 * number)
    pink = np.array([[0.55], [0.20], [0.19]], np.float32)
    dark = np.array([[0.05], [0.014], [0.013]], np.float32)
    tongue = mix(
        dark,
        np.array([[0.42], [0.13], [0.13]], np.float32),
        step(-0.55 - 0.3 * drop, low_edge, y) * step(0.85, 0.3, np.abs(angle)) * 0.8,
    )
    albedo = mix(tongue, tooth * (1 - 0.55 * low_between) * 0.82, lower)
    albedo = mix(albedo, mix(tooth * (1 - 0.45 * between * (0.6 + t.gap)), pink, gum), upper)
    rounded = normal + np.stack([0.7 * cell * np.cos(angle), 0 * cell, -0.7 * cell * np.sin(angle)])
    gloss = 1.1 * np.maximum(upper, lower) + 0.3
    return albedo, normalize(rounded), gloss
