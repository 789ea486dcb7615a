"""Looks of the kinds of patch: visible points to radiance [3, N] and labels [N], or one label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from e4s_engine import regions as R
from e4s_engine.synth import accessories, body, camera, openings, shade, skin, strands
from e4s_engine.synth.maths import Array, bump, dot, mix, noise, normalize, rotate, step
from e4s_engine.synth.params import Person, Scene
from e4s_engine.synth.shade import Points
from e4s_engine.synth.surface import Head


@dataclass(frozen=True)
class Sitting:
    """A person in a scene with the prepared head; `turn` is the head's rotation [3, 3]."""

    person: Person
    scene: Scene
    head: Head
    turn: Array


Look = tuple[Array, "Array | int"]


def _head(s: Sitting, p: Points) -> Look:
    light = s.scene.light
    m = skin.paint(s.person, s.scene.expression, p)
    strands.stubble(s.person.hair, p, m)
    radiance = shade.skin(light, p._replace(N=_pores(s, p)), m.albedo, m.gloss)
    back = s.turn.T.astype(np.float32)
    local = camera.pose_points(back, p.P)
    view = openings.View(p.u, p.v, local, rotate(back, -p.eye))
    seen = [openings.eyes(s.head, side, view) for side in (-1, 1)]
    if s.scene.expression.open > 0:
        seen.append(openings.mouth(s.head, view))
    for o in seen:
        q = p.pick(o.index)
        normal = rotate(s.turn, o.normals).astype(np.float32)
        q = q._replace(N=normal, occlusion=o.shade * 0.85, lit=q.lit * o.shade)
        radiance[:, o.index] = shade.plain(light, q, o.albedo, o.gloss, 320.0)
        m.labels[o.index] = o.label
    return radiance, m.labels


def _pores(s: Sitting, p: Points) -> Array:
    """Roughen normals by pores, more so with age."""
    amount = 0.05 + 0.05 * s.person.face.age
    rough = np.stack([noise(p.u * 16, p.v * 16, 1, 11) - 0.5, noise(p.u * 16, p.v * 16, 1, 23) - 0.5])
    return normalize(p.N + np.concatenate([rough * amount, 0 * rough[:1]]))


def _ear(s: Sitting, p: Points) -> Look:
    tone = s.person.ears.tone
    albedo = skin.tint(tone, p.u * 3, p.v * 3, np.full_like(p.u, 0.55), 3)
    # The hollows are deeper than the mesh shows: the bowl, and the groove inside the rim.
    bowl = bump((p.u + 0.02) / 0.20, (p.v + 0.14) / 0.30)
    groove = bump((np.hypot(p.u, p.v * 0.62) - 0.44) / 0.06) * step(0.0, 0.2, p.u) * step(-0.6, -0.2, p.v)
    hollow = np.clip(0.62 * bowl + 0.40 * groove, 0, 1)
    p = p._replace(occlusion=p.occlusion * (1 - 0.8 * hollow), lit=p.lit * (1 - 0.5 * hollow))
    return shade.skin(s.scene.light, p, albedo, np.full_like(p.u, 0.35 * tone.gloss)), R.EARS


def _torso(s: Sitting, p: Points) -> Look:
    tone, light = s.person.neck.tone, s.scene.light
    cloth, rim = body.neckline(s.scene.clothing, p.u, p.v)
    bare = skin.tint(tone, p.u, p.v, np.full_like(p.u, 0.15), 5) * (1 - 0.35 * rim * (1 - cloth))
    bare = shade.skin(light, p, bare, 0.35 * tone.gloss * (1 - cloth))
    weave = body.weave(s.scene.clothing, p.u, p.v) * (1 + 0.35 * rim)
    worn = shade.plain(light, p._replace(N=p.T), weave, np.zeros_like(p.u), 8.0)
    return mix(bare, worn, cloth), np.where(cloth > 0.5, R.BACKGROUND, R.NECK)


def _hand(s: Sitting, p: Points) -> Look:
    # The hand is the sitter's own: no exchanged region changes its tone.
    tone = (s.person.frame or s.person).face.tone
    albedo = skin.tint(tone, p.u * 1.2, p.v * 7, np.full_like(p.u, 0.25), 7)
    return shade.skin(s.scene.light, p, albedo, np.full_like(p.u, 0.3 * tone.gloss)), R.BACKGROUND


def _hair(s: Sitting, p: Points) -> Look:
    albedo, gloss, shift = strands.paint(s.person.hair, p.u, p.v, p.w)
    facing = p._replace(N=p.N * np.where(dot(p.N, p.eye) < 0, np.float32(-1), np.float32(1)))
    return shade.hair(s.scene.light, facing, albedo, gloss, shift), R.HAIR


def _earring(s: Sitting, p: Points) -> Look:
    metal = np.array(s.person.earrings.color, np.float32)[:, None]
    glow = 0.35 + 0.65 * step(0.2, 0.9, dot(p.N, p.eye))
    return shade.plain(s.scene.light, p, metal * glow, np.full_like(p.u, 1.6), 30.0), R.EARRINGS


LOOKS: dict[str, Callable[[Sitting, Points], Look]] = {
    "head": _head, "ear": _ear, "torso": _torso, "hand": _hand, "hair": _hair, "earring": _earring,
}  # fmt: skip


def glasses(s: Sitting, p: Points) -> tuple[Array, Array]:
    """Compute the radiance [3, N] of frames and lenses, and their opacity [N]."""
    cover, albedo, gloss, normals = accessories.look(s.person.glasses, s.person.skull, p, s.turn)
    front = p._replace(N=normals, occlusion=np.ones_like(p.u))
    return shade.plain(s.scene.light, front, albedo, gloss, 50.0), cover
