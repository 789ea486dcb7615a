"""Scenes drawn from a seed: pose, expression, light, background, clothes, occluders."""

from __future__ import annotations

import numpy as np

from e4s_engine.synth import params as P
from e4s_engine.synth.dice import Dice, blend


def scene(seed: int) -> P.Scene:
    """Draw the scene of a seed (any non-negative integer)."""
    d = Dice(seed, 2)
    side = -1.0 if d.chance(0.5) else 1.0
    warm = d.between(-1, 1)
    light = P.Light(
        azimuth=side * d.between(5, 70),
        elevation=d.between(8, 60),
        color=(1.0, 0.93 - 0.06 * warm, 0.86 - 0.16 * warm),
        strength=d.between(0.75, 1.25),
        ambient=d.color((0.27 - 0.03 * warm, 0.28, 0.31 + 0.05 * warm), 0.3),
        rim=d.between(0, 1),
        shadow=d.between(0.45, 0.95),
    )
    return P.Scene(
        P.Pose(d.bell(0, 17, -45, 45), d.bell(0, 7, -25, 25), d.bell(0, 6, -25, 25)),
        _expression(d),
        light,
        _backdrop(d),
        P.Clothing(
            d.pick({"crew": 1.2, "vneck": 1, "collar": 0.8, "strap": 0.5}),
            _cloth(d),
            d.between(0.3, 1) if d.chance(0.2) else 0.0,
        ),
        P.Occluder(
            d.pick({"none": 0.88, "hand": 0.05, "lock": 0.07}),
            side if d.chance(0.5) else -side,
            d.between(-1, 1),
        ),
    )


def _expression(d: Dice) -> P.Expression:
    mood = d.pick({"calm": 0.36, "smile": 0.22, "grin": 0.24, "talk": 0.1, "laugh": 0.05, "sad": 0.03})
    smile, opened = {
        "calm": (d.between(-0.1, 0.2), 0.0),
        "smile": (d.between(0.3, 0.8), 0.0),
        "grin": (d.between(0.5, 1.0), d.between(0.14, 0.32)),
        "talk": (d.between(-0.1, 0.4), d.between(0.08, 0.45)),
        "laugh": (d.between(0.6, 1.0), d.between(0.4, 0.8)),
        "sad": (d.between(-0.5, -0.2), 0.0),
    }[mood]
    return P.Expression(
        opened,
        smile,
        d.between(0, 1) ** 2.5,
        d.between(0, 0.8) if d.chance(0.12) else 0.0,
        d.between(0.7, 1.0) if d.chance(0.04) else d.between(0, 0.25),
        (d.bell(0, 7, -25, 25), d.bell(0, 4, -20, 20)),
    )


def _cloth(d: Dice) -> P.Color:
    grey = d.between(0.1, 0.85) ** 2
    return d.color(
        blend(
            (grey, grey, grey), (d.between(0, 0.5), d.between(0, 0.4), d.between(0, 0.5)), d.between(0, 0.8)
        )
    )


def _backdrop(d: Dice) -> P.Backdrop:
    kind = d.pick(
        {"plain": 0.22, "gradient": 0.28, "bokeh": 0.22, "foliage": 0.09, "bricks": 0.08, "stripes": 0.08}
    )
    if kind == "foliage":
        return P.Backdrop(
            kind, d.color((0.07, 0.16, 0.05), 0.5), d.color((0.01, 0.025, 0.012), 0.4), d.seed()
        )
    base = d.between(0.02, 0.7)
    hue = np.array([d.between(0.6, 1.4), d.between(0.6, 1.4), d.between(0.6, 1.4)])
    first = d.color((base * hue[0], base * hue[1], base * hue[2]), 0.1)
    return P.Backdrop(
        kind, first, d.color(blend(first, (0.05, 0.05, 0.06), d.between(0.2, 0.9)), 0.3), d.seed()
    )
