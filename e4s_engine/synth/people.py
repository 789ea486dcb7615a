"""People drawn from a seed. Parameters are loosely correlated, as in life, and some are independent."""

from __future__ import annotations

import numpy as np

from e4s_engine.synth import params as P
from e4s_engine.synth.dice import Dice, blend

# Skin albedos (linear) from fair to deep; a person's albedo lies between two neighbours.
SKINS = (
    (0.72, 0.47, 0.37),
    (0.66, 0.41, 0.30),
    (0.60, 0.36, 0.24),
    (0.50, 0.28, 0.17),
    (0.36, 0.185, 0.105),
    (0.24, 0.115, 0.062),
    (0.145, 0.065, 0.036),
    (0.085, 0.038, 0.022),
)
HAIRS = {
    "black": (0.012, 0.010, 0.010),
    "dark": (0.032, 0.018, 0.011),
    "brown": (0.085, 0.042, 0.020),
    "chestnut": (0.13, 0.050, 0.020),
    "light": (0.22, 0.125, 0.058),
    "blond": (0.46, 0.31, 0.14),
    "platinum": (0.56, 0.47, 0.33),
    "red": (0.34, 0.095, 0.024),
    "auburn": (0.19, 0.050, 0.018),
    "grey": (0.26, 0.255, 0.255),
    "white": (0.52, 0.51, 0.49),
    "pink": (0.62, 0.16, 0.30),
    "teal": (0.03, 0.22, 0.26),
}
IRISES = (
    (0.030, 0.013, 0.006),
    (0.075, 0.030, 0.010),
    (0.14, 0.065, 0.018),
    (0.12, 0.11, 0.035),
    (0.07, 0.14, 0.06),
    (0.07, 0.17, 0.32),
    (0.13, 0.24, 0.36),
    (0.20, 0.24, 0.27),
)


def person(seed: int) -> P.Person:
    """Draw the identity of a seed (any non-negative integer)."""
    d = Dice(seed, 1)
    depth = d.between(0, 1) ** 1.25 * (len(SKINS) - 1.001)  # of skin colour
    fem = d.pick({0.0: 0.42, 0.5: 0.08, 1.0: 0.50})  # presentation
    age = d.pick({0.05: 0.28, 0.25: 0.34, 0.5: 0.2, 0.75: 0.12, 1.0: 0.06}) * d.between(0.75, 1.0)
    low = int(depth)
    tone = P.Tone(
        d.color(blend(SKINS[low], SKINS[low + 1], depth - low), 0.05),
        d.between(0.15, 0.9),
        d.between(0.3, 1.0) if depth < 2.5 and d.chance(0.25) else 0.0,
        d.between(0.2, 0.9),
    )
    hair_color = _hair_color(d, depth, age)
    dark = d.color(blend(hair_color, HAIRS["dark"], 0.55), 0.15)
    hair = _hair(d, fem, age, depth, hair_color)
    face = _face(d, fem, age, tone, dark)
    return P.Person(
        face,
        _nose(d, fem, depth, tone),
        _eyes(d, fem, depth),
        _brows(d, fem, age, dark),
        _lips(d, fem, age, depth, tone),
        P.Teeth(
            d.between(0.4, 1.0) - 0.3 * age * d.between(0, 1), d.between(0.74, 0.95), d.between(0, 1) ** 3
        ),
        P.Ears(d.between(0.88, 1.12), d.between(0, 1), d.between(0, 1), tone),
        P.Neck(d.bell(1.08 - 0.16 * fem, 0.05, 0.85, 1.2), tone),
        hair,
        _glasses(d, age),
        _earrings(d, fem),
        skull=face.width,
    )


def _hair_color(d: Dice, depth: float, age: float) -> P.Color:
    if age > 0.45 and d.chance(age * 0.75):
        return d.color(HAIRS[d.pick({"grey": 0.6, "white": 0.4})])
    if d.chance(0.03):
        return d.color(HAIRS[d.pick({"pink": 0.5, "teal": 0.5})])
    fair = {
        "black": 0.08,
        "dark": 0.2,
        "brown": 0.22,
        "chestnut": 0.12,
        "light": 0.14,
        "blond": 0.14,
        "platinum": 0.04,
        "red": 0.07,
        "auburn": 0.06,
    }
    deep = {"black": 0.55, "dark": 0.33, "brown": 0.08, "chestnut": 0.03, "blond": 0.01}
    return d.color(HAIRS[d.pick(fair if depth < 2.6 else deep)])


def _face(d: Dice, fem: float, age: float, tone: P.Tone, dark: P.Color) -> P.Face:
    beard = "none"
    if fem < 0.4 and d.chance(0.55):
        beard = d.pick({"stubble": 0.4, "moustache": 0.12, "goatee": 0.18, "full": 0.3})
    return P.Face(
        width=d.bell(1.0 - 0.02 * fem, 0.04, 0.91, 1.09),
        length=d.bell(1.0 - 0.015 * fem, 0.03, 0.93, 1.07),
        jaw=d.bell(0.35 - 0.75 * fem, 0.45, -1, 1),
        square=d.bell(0.35 - 0.6 * fem, 0.45, -1, 1),
        chin=d.bell(0.2 - 0.35 * fem, 0.4, -1, 1),
        cleft=d.between(0.3, 1) if d.chance(0.15) else 0.0,
        cheekbones=d.between(0.1, 1.0),
        cheeks=d.bell(0.15 - 0.3 * age, 0.5, -1, 1),
        forehead=d.bell(0.2, 0.5, -1, 1),
        ridge=d.bell(0.55 - 0.45 * fem, 0.2, 0, 1),
        mouth=d.bell(-6.95, 0.13, -7.25, -6.7),
        age=age,
        tone=tone,
        beard=beard,
        beard_color=dark,
        blush=d.between(0.2, 1) if fem > 0.4 and d.chance(0.5) else 0.0,
        seed=d.seed(),
    )


def _nose(d: Dice, fem: float, depth: float, tone: P.Tone) -> P.Nose:
    broad = 0.10 * max(depth - 3.5, 0)
    return P.Nose(
        length=d.bell(4.25 - 0.12 * fem, 0.17, 3.8, 4.6),
        projection=d.bell(2.25 - 0.15 * fem, 0.2, 1.7, 2.7),
        bridge=d.bell(0.5 - 0.3 * broad, 0.22, 0, 1),
        bridge_width=d.bell(0.84 - 0.08 * fem + 0.2 * broad, 0.08, 0.65, 1.05),
        hump=d.bell(0.05 - 0.1 * fem, 0.4, -1, 1),
        tip=d.bell(0.8, 0.1, 0.6, 1.05),
        upturn=d.between(0.0, 1.0),
        width=d.bell(1.62 - 0.1 * fem + broad, 0.13, 1.35, 2.05),
        tone=tone,
    )


def _eyes(d: Dice, fem: float, depth: float) -> P.Eyes:
    made_up = fem > 0.4 and d.chance(0.6)
    light = depth < 3 and d.chance(0.65)
    iris = IRISES[int(d.between(2, 8))] if light else IRISES[int(d.between(0, 2.6))]
    shadow = d.pick(
        {
            (0.10, 0.04, 0.04): 1,
            (0.30, 0.14, 0.10): 1,
            (0.05, 0.05, 0.06): 1,
            (0.16, 0.07, 0.16): 1,
            (0.05, 0.12, 0.18): 0.6,
            (0.45, 0.26, 0.14): 1,
        }
    )
    return P.Eyes(
        spacing=d.bell(3.15, 0.08, 2.95, 3.35),
        width=d.bell(1.52 + 0.04 * fem, 0.07, 1.35, 1.7),
        open=d.bell(0.97 + 0.1 * fem, 0.12, 0.72, 1.25),
        tilt=d.bell(3.5 + 2.0 * fem, 3.2, -5, 12),
        peak=d.bell(0, 0.45, -1, 1),
        crease=d.pick({0.08: 0.2, 0.5: 0.3, 0.9: 0.5}),
        deep=d.bell(0.1 - 0.3 * fem, 0.4, -1, 1),
        iris=d.bell(0.67, 0.03, 0.60, 0.75),
        color=d.color(iris, 0.2),
        ring=d.between(0.2, 1),
        lashes=d.bell(0.25 + 0.5 * fem, 0.15, 0, 1),
        liner=d.between(0.2, 1) if made_up else 0.0,
        shadow=d.between(0.2, 0.9) if made_up and d.chance(0.6) else 0.0,
        shadow_color=shadow,
        seed=d.seed(),
    )


def _brows(d: Dice, fem: float, age: float, dark: P.Color) -> P.Brows:
    return P.Brows(
        height=d.bell(1.85 + 0.22 * fem, 0.14, 1.6, 2.4),
        thickness=d.bell(0.40 - 0.11 * fem, 0.08, 0.17, 0.56),
        arch=d.bell(0.25 + 0.35 * fem, 0.22, 0, 1),
        tilt=d.bell(0, 0.4, -1, 1),
        length=d.bell(0.98, 0.05, 0.85, 1.1),
        density=d.bell(0.85 - 0.2 * age, 0.15, 0.4, 1),
        color=dark,
        seed=d.seed(),
    )


def _lips(d: Dice, fem: float, age: float, depth: float, tone: P.Tone) -> P.Lips:
    full = d.bell(0.1 * fem + 0.05 * max(depth - 3, 0) - 0.12 * age, 0.12, -0.25, 0.35)
    bare = tuple(float(c) for c in np.array(tone.color) * [0.86, 0.50, 0.56])
    color: P.Color = (bare[0], bare[1], bare[2])
    gloss = d.between(0.1, 0.5)
    if fem > 0.4 and d.chance(0.55):
        paint = d.pick(
            {
                (0.50, 0.03, 0.045): 1,
                (0.26, 0.02, 0.05): 0.7,
                (0.62, 0.16, 0.20): 1,
                (0.45, 0.12, 0.10): 1,
                (0.60, 0.09, 0.20): 0.6,
                (0.16, 0.02, 0.04): 0.4,
            }
        )
        color, gloss = blend(color, d.color(paint), d.between(0.5, 0.95)), d.between(0.2, 1)
    return P.Lips(
        width=d.bell(2.48, 0.13, 2.15, 2.9),
        upper=float(np.clip(0.62 + full + d.between(-0.1, 0.1), 0.35, 0.95)),
        lower=float(np.clip(0.80 + full + d.between(-0.1, 0.1), 0.5, 1.15)),
        bow=d.between(0, 1),
        pout=d.between(0.1, 0.9),
        corners=d.bell(0, 0.4, -1, 1),
        color=color,
        gloss=gloss,
    )


def _hair(d: Dice, fem: float, age: float, depth: float, color: P.Color) -> P.Hair:
    short = {
        "bald": 0.6 + 1.2 * age,
        "buzz": 0.9,
        "crop": 1.2,
        "quiff": 1.1,
        "sidepart": 1.3,
        "receding": 0.2 + 1.5 * age,
        "slick": 0.5,
        "curly": 0.7,
        "afro": 0.3,
        "pixie": 0.5,
        "long": 0.35,
        "wavy": 0.25,
        "bob": 0.15,
        "topknot": 0.2,
    }
    long = {
        "pixie": 0.6,
        "slick": 0.3,
        "bun": 0.8,
        "topknot": 0.5,
        "ponytail": 0.7,
        "bob": 1.1,
        "fringe_bob": 0.8,
        "long": 1.4,
        "long_fringe": 0.9,
        "wavy": 1.4,
        "curly": 0.7,
        "afro": 0.4,
        "buzz": 0.12,
        "sidepart": 0.15,
    }
    options = dict(long if d.chance(0.06 + 0.88 * fem) else short)
    if depth > 4.5:
        for style in ("curly", "afro", "buzz"):
            options[style] = options.get(style, 0.2) * 2.6
    dyed = fem > 0.4 and d.chance(0.25)
    tips = (
        d.color(blend(color, HAIRS["blond"], 0.55))
        if dyed
        else d.color(blend(color, (0.5, 0.38, 0.25), 0.02), 0.05)
    )
    return P.Hair(
        style=d.pick(options),
        color=color,
        tips=tips,
        part=d.between(-1, 1),
        volume=d.between(0, 1),
        length=d.between(0, 1),
        wave=d.pick({0.05: 0.4, 0.3: 0.35, 0.8: 0.25}) * d.between(0.6, 1.2),
        line=d.bell(0.5 * age - 0.25 * fem, 0.35, -0.8, 1),
        gloss=d.between(0.3, 1),
        seed=d.seed(),
    )


def _glasses(d: Dice, age: float) -> P.Glasses:
    if not d.chance(0.14 + 0.15 * age):
        return P.Glasses()
    color = d.pick(
        {
            (0.012, 0.012, 0.014): 4,
            (0.16, 0.06, 0.02): 2,
            (0.75, 0.55, 0.25): 1.5,
            (0.55, 0.57, 0.6): 1.5,
            (0.35, 0.02, 0.03): 0.7,
            (0.03, 0.08, 0.25): 0.7,
        }
    )
    tint = d.between(0.75, 0.95) if d.chance(0.12) else d.between(0, 0.08)
    return P.Glasses(
        d.pick({"round": 1, "square": 1.4, "aviator": 0.6, "cat": 0.6}),
        d.between(0.92, 1.14),
        d.between(0.07, 0.26),
        d.color(color),
        tint,
    )


def _earrings(d: Dice, fem: float) -> P.Earrings:
    if not d.chance(0.05 + 0.5 * fem):
        return P.Earrings()
    color = d.pick(
        {
            (0.85, 0.58, 0.20): 2,
            (0.75, 0.76, 0.78): 2,
            (0.10, 0.25, 0.6): 0.5,
            (0.85, 0.80, 0.74): 1,
            (0.5, 0.03, 0.06): 0.5,
        }
    )
    return P.Earrings(d.pick({"stud": 1, "hoop": 1, "drop": 1}), d.between(0, 1), d.color(color))
