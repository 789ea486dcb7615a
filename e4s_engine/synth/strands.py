"""Strands of hair: their ends, gaps and colour. Coordinates u, v, w, x as in `hairdo`."""

from __future__ import annotations

import numpy as np

from e4s_engine import regions as R
from e4s_engine.synth import raster
from e4s_engine.synth.maths import Array, mix, noise, step
from e4s_engine.synth.params import Hair
from e4s_engine.synth.shade import Material, Points

# Looks of sheets: fray of tips and roots (in v) and of sides (cm), curl and sparseness of the strands.
LOOKS = {
    "cap": (0.14, 0.0, 0.0, 0.0, 0.0),
    "swept": (0.0, 0.07, 0.0, 0.0, 0.0),
    "sheet": (0.10, 0.0, 0.5, 0.0, 0.0),
    "fringe": (0.30, 0.0, 0.5, 0.0, 0.0),
    "lock": (0.35, 0.0, 1.0, 0.0, 0.0),
    "tail": (0.25, 0.0, 0.4, 0.0, 0.0),
    "curls": (0.03, 0.0, 0.0, 1.0, 0.0),
    "frizz": (0.04, 0.0, 0.0, 1.0, 0.62),
    "bun": (0.0, 0.0, 0.0, 0.0, 0.0),
}
CODES = {name: float(i) for i, name in enumerate(LOOKS)}
_TABLE = np.array(list(LOOKS.values()), np.float32)


def trim(
    f: raster.Fragments, owners: Array, is_hair: list[bool], faces: Array, values: Array
) -> raster.Fragments:
    """Drop the fragments of hair that fall between strands: frayed tips and edges.

    owners [T]: part of each triangle; is_hair: whether each part is hair; values [V, 4]: u, v, w, x.
    """
    chosen = np.flatnonzero(np.array(is_hair)[owners[f.triangle]])
    if not len(chosen):
        return f
    u, v, w, x = raster.interpolate(raster.keep(f, chosen), faces, values)
    tips, roots, sides, _, sparse = _TABLE[(w + 0.5).astype(np.int32)].T
    strand = 0.55 * noise(u * 4, u * 0, 1) + 0.45 * noise(u * 14, v * 2, 0)
    gone = (
        (v > 1 - tips * strand) | (v < roots * (strand - 0.2)) | (x < sides * noise(v * 28 + u * 2, u * 7, 2))
    )
    thin = np.flatnonzero(sparse > 0)
    gone[thin] |= _ringlets(u[thin], v[thin], 5) < sparse[thin]
    keep = np.ones(len(f.depth), bool)
    keep[chosen[gone]] = False
    return raster.keep(f, keep)


def _ringlets(u: Array, v: Array, seed: int) -> Array:
    """Compute a pattern of whirls of curly strands, 0..1."""
    y = v * 17.0
    turn = 6.3 * noise(u * 5, y * 5, 3, seed)
    x1, y1 = u + 0.35 * np.sin(y * 5 + turn), y + 0.35 * np.cos(u * 5 + turn)
    return np.asarray(
        0.5 + 0.3 * np.sin(9 * x1 + 6 * y1 + turn) + 0.2 * (noise(u * 20, y * 20, 0, seed + 1) * 2 - 1)
    )


def paint(hair: Hair, u: Array, v: Array, w: Array) -> tuple[Array, Array, Array]:
    """Compute albedo [3, N], gloss [N] and the strands' tilt [N], which breaks up the highlights."""
    curl = _TABLE[(w + 0.5).astype(np.int32), 3]
    fine = noise(u * 26, v * 5, 0, hair.seed)
    lock = noise(u * 7 + 0.6 * np.sin(v * 9), v * 3, 2, hair.seed + 1)
    some = np.flatnonzero(curl > 0)
    if len(some):
        fine[some] = _ringlets(u[some], v[some], hair.seed)
        lock[some] = noise(u[some] * 9, v[some] * 150, 2, hair.seed + 3)
    root = np.array(hair.color, np.float32)[:, None]
    tip = np.array(hair.tips, np.float32)[:, None]
    reach = np.where(w == CODES["fringe"], v * 0.5, v)  # a fringe is short: it ends before the tips' colour
    albedo = mix(root, tip, step(0.15, 0.95, reach + 0.3 * (lock - 0.5)))
    albedo = albedo * (0.45 + 0.55 * lock + 0.65 * fine)
    gloss = hair.gloss * (0.35 + 1.0 * fine) * (1 - 0.6 * curl)
    shift = (0.22 * (fine - 0.5) + 0.25 * (lock - 0.5)) * (1 + 1.5 * curl)
    return albedo, gloss, shift


def stubble(hair: Hair, p: Points, m: Material) -> None:
    """Paint the scalp under hair, or cropped hair itself; w is the height above the hairline, cm."""
    if hair.style == "bald":
        return
    u, v, w = 7.2 * np.arcsin(np.clip(p.u * (1 / 7.8), -1, 1)), p.v, p.w
    grain = noise(u * 30, v * 30, 0, hair.seed)
    ragged = 0.8 * (noise(u * 34, v * 8, 0, hair.seed + 2) - 0.5) + 0.6 * (
        noise(u * 9, v * 9, 3, hair.seed) - 0.5
    )
    cover = step(-0.5, 1.0, w + ragged) * (0.80 if hair.style == "buzz" else 0.93)
    # Longer hair shades the scalp.
    dark = 1.0 if hair.style == "buzz" else 0.6
    color = np.array(hair.color, np.float32)[:, None] * (dark * (0.5 + 0.8 * grain))
    m.albedo[:] = mix(m.albedo, color, cover * (0.75 + 0.25 * grain))
    m.gloss *= 1 - 0.8 * cover
    m.labels[(w > 0.2) & (m.labels == R.SKIN)] = R.HAIR
