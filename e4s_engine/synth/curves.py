"""The face's curves on the frontal plane: lids, lips, brows, the nose's outline.

Geometry, labels, shading and landmarks all use these curves, so they agree to the pixel.
Coordinates X (image right), Y (up) in cm, origin between the pupils, before the head is posed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from e4s_engine.synth.maths import Array, bump, mix, step
from e4s_engine.synth.params import Expression, Person


@dataclass(frozen=True)
class Eye:
    """One eye's local frame: s along the slit (-1 nose .. 1 temple), q up from it in cm; lid curves."""

    s: Array
    q: Array
    upper: Array
    lower: Array
    fold: Array  # the upper lid when open, with the crease above it


def eye(person: Person, expression: Expression, side: int, X: Array, Y: Array) -> Eye:
    """Return the eye at image left (side -1) or right (1), in its local frame at points X, Y [...]."""
    e = person.eyes
    tilt = np.radians(e.tilt + 2.0 * expression.smile)
    p = X * side - e.spacing
    s = (p * np.cos(tilt) + Y * np.sin(tilt)) / e.width
    q = Y * np.cos(tilt) - p * np.sin(tilt)
    arch = np.maximum(1.0 - s * s, 0.0)
    smile = max(expression.smile, 0.0)
    high = 0.56 * e.open * (1 - 0.12 * smile) + 0.10 * expression.raise_brows - 0.1 * expression.frown
    low = 0.36 * (0.6 + 0.4 * e.open) * (1 - 0.35 * smile)
    fold = high * arch**0.75 * (1 + 0.28 * e.peak * s)
    lower = -low * arch**0.9 * (1 + 0.25 * s)
    look = 0.008 * expression.gaze[1]  # the upper lid follows the gaze
    upper = mix(fold * (1 + look), lower + 0.02 * arch, expression.blink)
    return Eye(s, q, upper, lower, fold)


@dataclass(frozen=True)
class Mouth:
    """The lips' four edges as heights Y at each X, and s = position across (-1..1 between the corners)."""

    s: Array
    top: Array
    inner_top: Array
    inner_bottom: Array
    bottom: Array


def mouth_width(person: Person, expression: Expression) -> float:
    """Return half the distance between the mouth's corners, cm."""
    return person.lips.width * (1 + 0.16 * expression.smile - 0.10 * expression.open)


def mouth(person: Person, expression: Expression, X: Array) -> Mouth:
    """Return the lips' edges at X [...]."""
    lips = person.lips
    smile = expression.smile
    s = X / mouth_width(person, expression)
    a = np.minimum(np.abs(s), 1.0)
    arch = 1.0 - a * a
    line = person.face.mouth + (0.16 * lips.corners + 0.42 * smile) * (a**1.8 - 0.35) - 0.07 * bump(s / 0.16)
    up, down = part_lips(expression)
    inner_top = line + up * arch**0.8
    inner_bottom = line - down * arch**0.7
    bow = lips.bow * (0.20 * bump((a - 0.24) / 0.15) - 0.16 * bump(s / 0.12))
    top = inner_top + lips.upper * (1 - 0.22 * max(smile, 0)) * (arch**0.8 * 0.9 + bow * arch)
    bottom = inner_bottom - lips.lower * (1 - 0.15 * max(smile, 0)) * arch**0.62
    return Mouth(s, top, inner_top, inner_bottom, bottom)


def part_lips(expression: Expression) -> tuple[float, float]:
    """Return the distances of the upper and the lower lip from the mouth line, cm."""
    opened = expression.open
    return 0.42 * opened**0.7 + 0.12 * max(expression.smile, 0.0) * (opened > 0.02), 1.75 * opened


def brow(person: Person, expression: Expression, X: Array) -> tuple[Array, Array, Array]:
    """Return position along (0 nose .. 1 temple), centre height, half thickness at X [...] of either sign."""
    b = person.brows
    x = np.abs(X)
    start, end = 1.25 - 0.25 * expression.frown, 1.25 + 3.75 * b.length
    t = (x - start) / (end - start)
    k = np.clip(t, -0.2, 1.2)
    height = (
        b.height
        + 0.05
        + (0.35 + 0.55 * b.arch) * k * (1.35 - k) * 1.15
        + b.tilt * 0.35 * (k - 0.4)
        - (0.5 + 0.35 * b.arch) * np.maximum(k - 0.62, 0) ** 1.4 * 1.9
        + expression.raise_brows * (0.55 + 0.25 * bump((k - 0.6) / 0.4))
        - expression.frown * (0.5 - 0.6 * k)
    )
    thick = 1.12 * b.thickness * (0.36 + 0.7 * step(-0.02, 0.16, k)) * (1 - 0.82 * step(0.45, 1.02, k))
    return t, height, thick


def nose_base(person: Person) -> float:
    """Return Y of the point where the nose meets the upper lip, cm."""
    return -person.nose.length - 0.72 + 0.12 * person.nose.upturn


def nose_edge(person: Person, Y: Array) -> Array:
    """Return the nose region's half width at heights Y, negative where there is no nose."""
    n = person.nose
    base = nose_base(person)
    t = (0.75 - Y) / (0.75 - base)  # 0 between the eyes, 1 at the base
    wing = step(0.62, 0.82, t)
    width = 0.72 + 0.25 * t + (n.width + 0.16 - 0.97) * wing
    width = width * np.sqrt(np.clip((1.06 - t) / 0.12, 0, 1)) * (1 - 0.25 * bump((t - 1.06) / 0.1))
    return np.asarray(np.where(t < -0.02, -1.0, width))
