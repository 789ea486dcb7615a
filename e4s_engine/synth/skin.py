"""Skin, lips and brows: colour, gloss and region of the visible points of the head's mesh."""

from __future__ import annotations

import numpy as np

from e4s_engine import regions as R
from e4s_engine.synth import curves
from e4s_engine.synth.maths import Array, bump, mix, noise, step
from e4s_engine.synth.params import Expression, Person, Tone
from e4s_engine.synth.shade import Material, Points


def tint(tone: Tone, u: Array, v: Array, flush: Array, seed: int) -> Array:
    """Compute a tone's albedo [3, N] at u, v (cm), with mottling, freckles and `flush` (0..1) of blood."""
    color = np.array(tone.color, np.float32)[:, None]
    mottle = noise(u * 9, v * 9, 3, seed) - 0.5
    pores = noise(u * 30, v * 30, 0, seed + 1) - 0.5
    albedo = color * (1.0 + 0.10 * mottle + 0.07 * pores)
    red = (tone.redness * flush + 0.10 * (noise(u * 5, v * 5, 6, seed + 2) - 0.5))[None]
    albedo = albedo * (1.0 + red * np.array([[0.10], [-0.30], [-0.26]], np.float32))
    if tone.freckles > 0.02:
        dots = step(1 - 0.16 * tone.freckles, 1.0, noise(u * 22, v * 22, 1, seed + 3))
        dots = (
            dots
            * step(0.25, 0.75, noise(u * 7, v * 7, 6, seed + 4) + 0.2)
            * step(-9.0, -6.0, v)
            * step(5, 2, v)
        )
        albedo = albedo * (1 - dots * tone.freckles * np.array([[0.30], [0.50], [0.60]], np.float32))
    return np.asarray(albedo)


def paint(person: Person, expression: Expression, p: Points) -> Material:
    """Paint the head at the loft's positions u, v (X, Y in cm), row x."""
    u, v, r = p.u, p.v, p.x
    face = person.face
    labels = np.full(u.shape, R.SKIN, np.uint8)
    x = np.abs(u)
    nose = person.nose
    edge = curves.nose_edge(person, v)
    warm = 0.36 * bump((x - 4.2) / 1.8, (v + 3.3) / 1.5) + 0.25 * bump(u / 2.0, (v - face.mouth + 3.6) / 0.8)
    warm = warm - 0.35 * bump((x - 3.1) / 1.4, (v + 1.1) / 0.7) + 0.12
    arc = 7.2 * np.arcsin(np.clip(u * (1 / 7.8), -1, 1))  # so that freckles do not stretch on the cheeks
    albedo = tint(face.tone, arc, v, warm, face.seed)
    on_nose = step(-0.22, 0.06, edge - x) * (edge > 0)
    some = np.flatnonzero(on_nose > 0)
    flush = 0.75 * bump(u[some] / 1.5, (v[some] + nose.length) / 0.9) + 0.1
    albedo[:, some] = mix(
        albedo[:, some], tint(nose.tone, arc[some], v[some], flush, face.seed), on_nose[some]
    )
    labels[edge > x] = R.NOSE
    gloss = face.tone.gloss * (
        0.45 + 0.45 * bump(u / 3.2, (v - 4.6) / 2.2) + 0.55 * bump(u / 0.9, (v + nose.length - 0.2) / 1.6)
    )
    gloss += 0.25 * face.tone.gloss * bump((x - 4.4) / 1.3, (v + 2.4) / 1.0)
    ring = np.hypot((x - nose.width + 0.52) / 0.62, (v + nose.length + 0.12) / 0.66)
    wing = bump((ring - 1.15) / 0.17) * step(0.35, 0.85, x / nose.width)
    hole = step(
        1.0,
        0.55,
        np.hypot((x - 0.46 * nose.width) / (0.25 * nose.width), (v - curves.nose_base(person) - 0.21) / 0.20),
    )
    albedo *= (1 - 0.26 * wing) * (1 - 0.93 * hole)
    gloss *= 1 - hole
    if face.blush:
        pink = 0.42 * face.blush * bump((x - 4.6) / 1.5, (v + 2.9 + 0.3 * (x - 4.6)) / 0.9)
        albedo = mix(albedo, albedo * np.array([[1.0], [0.55], [0.62]], np.float32), pink)
    m = Material(albedo, gloss, labels)
    _age(person, expression, p, albedo)
    _beard(person, expression, p, m)
    neck = step(13.1, 13.5, r)
    some = np.flatnonzero(neck > 0)
    albedo[:, some] = mix(
        albedo[:, some], tint(person.neck.tone, u[some], v[some], np.zeros(1), 5), neck[some]
    )
    labels[r > 13.3] = R.NECK
    for layer in (_brows, _lids, _lips):
        layer(person, expression, p, m)
    return m


def _age(person: Person, expression: Expression, p: Points, albedo: Array) -> None:
    """Paint fine lines as darker skin: forehead, between the brows, crow's feet."""
    u, v, x = p.u, p.v, np.abs(p.u)
    age = person.face.age
    wobble = 0.25 * noise(u * 4, u * 0 + 3, 6, person.face.seed)
    forehead = bump(u / 4.2) * step(3.0, 3.8, v) * step(7.0, 6.0, v)
    ripple = np.clip(np.cos((v + wobble + 0.03 * u * u) * 7.2) - 0.72, 0, 1) * 3.2
    lines = forehead * ripple * (0.9 * max(age - 0.35, 0) + 0.45 * expression.raise_brows)
    glabella = bump((x - 0.5 - 0.1 * (v - 1.8)) / 0.09, (v - 2.0) / 0.7)
    lines = lines + glabella * (0.5 * max(age - 0.3, 0) + 0.7 * expression.frown)
    e = person.eyes
    dx, dy = x - e.spacing - e.width + 0.1, v - 0.1
    crow = (
        np.clip(np.cos(np.arctan2(dy, np.maximum(dx, 0.05)) * 9) - 0.55, 0, 1)
        * step(0.3, 0.6, dx)
        * step(1.8, 0.9, np.hypot(dx, dy))
    )
    lines = lines + crow * (0.9 * max(age - 0.35, 0) + 0.35 * max(expression.smile, 0) * (age + 0.15))
    bag = bump((x - e.spacing) / 1.2, (v + 1.0 + 0.1 * (x - e.spacing) ** 2) / 0.16)
    lines = lines + bag * (0.10 + 0.45 * age)
    albedo *= 1 - np.clip(lines, 0, 0.6) * np.array([[0.32], [0.45], [0.48]], np.float32)


def _beard(person: Person, expression: Expression, p: Points, m: Material) -> None:
    face = person.face
    if face.beard == "none":
        return
    u, v, r, x = p.u, p.v, p.x, np.abs(p.u)
    c = curves.mouth(person, expression, u)
    base = curves.nose_base(person)
    corner = curves.mouth_width(person, expression)
    grain = noise(u * 26 + 2 * v, v * 9, 0, face.seed + 9)
    ragged = 0.35 * (noise(u * 12, v * 6, 1, face.seed + 10) - 0.5)
    lip = step(base + 0.05, base - 0.25, v + ragged * 0.5) * step(corner + 0.75, corner + 0.15, x + ragged)
    lip *= step(-0.10, 0.15, v - c.inner_top) * (1 - 0.55 * bump(u / 0.22))
    around = step(corner + 1.0, corner + 0.5, x + ragged) * step(0.2, -0.1, v - c.inner_top)
    jaw_line = -3.6 - 0.9 * bump((x - 3.0) / 1.6) - 1.6 * step(5.0, 2.5, x)
    jaw = step(0.5, -0.6, v + ragged - jaw_line)
    jaw *= 1 - step(-0.1, 0.1, v - c.bottom) * step(corner + 0.35, corner + 0.1, x)
    below = step(13.9, 13.2, r + ragged)
    soul = 1 - 0.5 * bump((x - 1.0) / 0.5, (v - c.bottom + 0.45) / 0.35)
    mask = {
        "stubble": np.maximum(lip, jaw * soul) * below,
        "moustache": lip,
        "goatee": np.maximum(
            lip, around * soul * step(0.1, -0.15, v - c.bottom) + around * (x > corner * 0.9)
        )
        * below,
        "full": np.maximum(lip, jaw * soul) * below,
    }[face.beard]
    mask = np.clip(mask, 0, 1)
    cover = 0.42 * (0.5 + grain) if face.beard == "stubble" else np.clip(0.55 + 0.75 * grain, 0, 1)
    hair = np.array(face.beard_color, np.float32)[:, None] * (0.55 + 0.9 * grain)
    m.albedo[:] = mix(m.albedo, hair, np.clip(mask * cover, 0, 1))
    m.gloss *= 1 - 0.6 * mask


def _brows(person: Person, expression: Expression, p: Points, m: Material) -> None:
    b, u, v = person.brows, p.u, p.v
    some = np.flatnonzero((v > 0.6) & (v < 4.4) & (np.abs(u) < 6.2))
    u, v = u[some], v[some]
    t, height, thick = curves.brow(person, expression, u)
    q = (v - height) / np.maximum(thick, 0.04)
    x = np.abs(u)
    # Hairs lean outwards: upright at the nose, flat at the temple.
    lean = mix(0.35, 2.6, np.clip(t, 0, 1))
    strand = noise(
        x * 17 - (v - height) * 17 * lean * np.sign(0.2 - q * 0.2 + 0.5), (v - height) * 5 + x * 2, 0, b.seed
    )
    soft = step(1.28, 0.55, np.abs(q) + 0.45 * (strand - 0.5)) * step(-0.05, 0.08, t + 0.05 * (strand - 0.5))
    soft *= step(1.05, 0.93, t)
    cover = soft * np.clip(0.42 + 0.5 * b.density + 0.7 * (strand - 0.5), 0, 1)
    color = np.array(b.color, np.float32)[:, None] * (0.6 + 0.8 * strand)
    m.albedo[:, some] = mix(m.albedo[:, some], color, cover)
    m.gloss[some] *= 1 - 0.7 * cover
    inside = (np.abs(q) < 0.98) & (t > 0) & (t < 1.0)
    m.labels[some[inside]] = R.EYEBROWS


def _lids(person: Person, expression: Expression, p: Points, m: Material) -> None:
    """Paint crease, lashes, liner and shadow around the eyes."""
    e, u, v, albedo = person.eyes, p.u, p.v, m.albedo
    for side in (-1, 1):
        some = np.flatnonzero((np.abs(u * side - e.spacing) < 2.3 * e.width / 1.5) & (np.abs(v) < 2.0))
        X, Y = u[some], v[some]
        c = curves.eye(person, expression, side, X, Y)
        ends = step(1.18, 0.85, np.abs(c.s))
        over, under = c.q - c.upper, c.lower - c.q
        dark = 0.85 * e.crease * ends * bump((c.q - c.fold - 0.26) / 0.075) * (1 - 0.7 * expression.blink)
        pink = 0.5 * ends * (bump(under / 0.16) + 0.6 * bump(over / 0.2))
        base = albedo[:, some] * (1 - pink * np.array([[0.05], [0.22], [0.18]], np.float32))
        base *= 1 - dark * np.array([[0.5], [0.62], [0.66]], np.float32)
        if e.shadow:
            band = e.shadow * step(0.75, 0.15, over) * step(-0.05, 0.05, over) * step(1.35, 0.95, np.abs(c.s))
            base = mix(base, np.array(e.shadow_color, np.float32)[:, None], 0.75 * band)
        wing = np.where(c.s > 0.8, 0.12 * (c.s - 0.8) * 5, 0)
        line = (
            step(0.11 + 0.10 * e.liner, 0.02, over - wing * e.liner)
            * (over > -0.02)
            * step(1.04 + 0.2 * e.liner, 0.97, c.s)
            * step(-1.08, -0.95, c.s)
        )
        rim = step(0.09, 0.0, under) * (under > -0.02) * ends * (0.25 + 0.5 * e.liner)
        # Lashes fan out: the root is the point where a slanted stroke meets the lid.
        length = (0.13 + 0.24 * e.lashes) * (0.75 + 0.35 * c.s)
        root = c.s - (0.30 * c.s + 0.12) * over / e.width
        stroke = noise(root * 34, root * 0, 0, e.seed) * step(-0.95, -0.5, c.s) * step(1.2, 1.0, root)
        lash = step(0.42, 0.62, stroke) * step(1.0, 0.5, over / np.maximum(length, 0.02)) * (over > 0)
        low = (
            step(0.55, 0.7, noise(c.s * 26, c.s * 0, 0, e.seed + 7))
            * step(0.22, 0.05, under)
            * (under > 0)
            * ends
            * step(-0.6, 0.2, c.s)
        )
        black = np.clip(
            (0.75 + 0.2 * e.liner) * line + rim + (0.35 + 0.5 * e.lashes) * lash + 0.35 * e.lashes * low,
            0,
            0.95,
        )
        ink = np.array([0.014, 0.009, 0.008], np.float32)
        albedo[:, some] = mix(base, ink[:, None], black)
        m.gloss[some] *= 1 - 0.6 * black


def _lips(person: Person, expression: Expression, p: Points, m: Material) -> None:
    lips, u, v, albedo = person.lips, p.u, p.v, m.albedo
    some = np.flatnonzero((np.abs(u) < 3.9) & (np.abs(v - person.face.mouth + 0.5) < 3.6))
    X, Y = u[some], v[some]
    c = curves.mouth(person, expression, X)
    soft = step(0.05, -0.07, Y - c.top) * step(-0.05, 0.07, Y - c.bottom) * step(1.02, 0.97, np.abs(c.s))
    grooves = noise(X * 11 * (1 + 0.1 * (Y - c.inner_top)), Y * 1.5, 1, 3) - 0.5
    color = np.array(lips.color, np.float32)[:, None] * (1 + 0.22 * grooves)
    color = color * mix(0.86, 1.06, step(0.1, -0.3, Y - c.inner_top))
    seam = np.maximum(np.where(c.inner_top < Y, Y - c.inner_top, c.inner_bottom - Y), 0)
    line = 0.80 * bump(seam / 0.085) * step(1.07, 0.95, np.abs(c.s)) + 0.25 * bump(seam / 0.22) * soft
    albedo[:, some] = mix(albedo[:, some], color, soft) * (
        1 - np.clip(line, 0, 0.9) * np.array([[0.75], [0.88], [0.88]], np.float32)
    )
    m.gloss[some] = mix(m.gloss[some], 0.55 + 1.1 * lips.gloss + 0.5 * grooves, soft)
    inside = (c.top > Y) & (c.bottom < Y) & (np.abs(c.s) < 1)
    m.labels[some[inside]] = R.LIPS
