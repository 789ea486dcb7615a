"""Light: key light with soft shadows, sky and ground, fill, rim; skin, hair, plain surfaces; tone curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from e4s_engine.synth.maths import Array, blur, dot, normalize, rotate
from e4s_engine.synth.params import Light

MAP = 192  # side of the shadow map
REACH = 19.0  # cm from the map's centre to its edge


class Points(NamedTuple):
    """Visible points.

    P: world position; N: normal; T: soft normal or strand direction; eye: unit vector to the eye [3, N].
    u, v, w, x: the grid's coordinates; occlusion; lit: share of the key light that arrives (0..1) [N].
    """

    pixel: Array
    P: Array
    N: Array
    T: Array
    eye: Array
    u: Array
    v: Array
    w: Array
    x: Array
    occlusion: Array
    lit: Array

    def pick(self, some: Array) -> Points:
        """Select points by an index array."""
        return Points(*(a[..., some] for a in self))


@dataclass
class Material:
    """Material per point: albedo [3, N], gloss [N], and the region's label [N]."""

    albedo: Array
    gloss: Array
    labels: Array


def direction(azimuth: float, elevation: float) -> Array:
    """Return the unit vector [3, 1] towards a light at angles in degrees from the camera's axis."""
    a, e = np.radians([azimuth, elevation])
    return np.array([[np.sin(a) * np.cos(e)], [np.sin(e)], [np.cos(a) * np.cos(e)]], np.float32)


@dataclass(frozen=True)
class ShadowMap:
    """A variance shadow map: blurred heights towards the light and their squares; one look-up per point."""

    basis: Array  # [3, 3] rows: right, up, towards the light
    moments: Array  # [MAP * MAP, 2]
    strength: float

    def lookup(self, points: Array) -> Array:
        """Compute the share of light that reaches world points [3, N], 0..1."""
        local = rotate(self.basis, points)
        x = np.clip((local[0] * (1 / REACH) + 1) * (MAP / 2) - 0.5, 0, MAP - 1.01)
        y = np.clip((local[1] * (-1 / REACH) + 1) * (MAP / 2) - 0.5, 0, MAP - 1.01)
        ix, iy = x.astype(np.int32), y.astype(np.int32)
        fx, fy = (x - np.floor(x))[:, None], (y - np.floor(y))[:, None]
        i = iy * MAP + ix
        m = self.moments
        top = m.take(i, 0) * (1 - fx) + m.take(i + 1, 0) * fx
        mean, square = (top + (m.take(i + MAP, 0) * (1 - fx) + m.take(i + MAP + 1, 0) * fx - top) * fy).T
        below = np.maximum(mean - 0.25 - local[2], 0)
        variance = np.maximum(square - mean * mean, 0.02)
        # Chebyshev's bound, with its tail cut off so that light does not leak under the chin.
        lit = np.clip((variance / (variance + below * below) - 0.18) * (1 / 0.82), 0, 1)
        return np.asarray(1 - self.strength * (1 - lit))


def shadow_map(clouds: list[Array], light: Light) -> ShadowMap:
    """Splat the casters' points [3, n] into the light's view; grids are dense enough to leave no holes."""
    forward = direction(light.azimuth, light.elevation)[:, 0]
    right = normalize(np.cross([0, 1, 0], forward)[:, None])[:, 0]
    basis = np.stack([right, np.cross(forward, right), forward]).astype(np.float32)
    local = rotate(basis, np.concatenate(clouds, axis=1))
    # Splats at half resolution close the gaps between points; the blur below hides their coarseness.
    side = MAP // 2
    x = ((local[0] / REACH + 1) * (side / 2)).astype(np.int32)
    y = ((1 - local[1] / REACH) * (side / 2)).astype(np.int32)
    ok = (x >= 0) & (x < side) & (y >= 0) & (y < side)
    height = np.full(side * side, -12.0, np.float32)
    np.maximum.at(height, (y * side + x)[ok], local[2][ok])
    fine = np.repeat(np.repeat(height.reshape(side, side), 2, 0), 2, 1)
    moments = blur(np.stack([fine, fine * fine]), 2)
    return ShadowMap(basis, np.ascontiguousarray(moments.reshape(2, -1).T), light.shadow)


def ambient(light: Light, normals: Array, occlusion: Array) -> Array:
    """Compute the ambient light [3, N]: sky above, a warm ground below."""
    sky = np.array(light.ambient, np.float32)[:, None]
    ground = sky * np.array([[0.62], [0.50], [0.44]], np.float32)
    up = normals[1] * 0.5 + 0.5
    return np.asarray((ground + (sky - ground) * up) * occlusion)


def skin(light: Light, p: Points, albedo: Array, gloss: Array) -> Array:
    """Compute the radiance [3, n] of skin: red light travels further under it, so red is shaded softer."""
    N, soft, eye, occlusion, lit = p.N, p.T, p.eye, p.occlusion, p.lit
    L = direction(light.azimuth, light.elevation)
    key = np.array(light.color, np.float32)[:, None] * light.strength * 1.55
    crisp, blurred = dot(N, L), dot(soft, L)
    diffuse = np.empty_like(albedo)
    for channel, (blend, wrap) in enumerate(((0.70, 0.24), (0.45, 0.12), (0.32, 0.07))):
        lambert = crisp + (blurred - crisp) * blend
        diffuse[channel] = np.clip((lambert + wrap) / (1 + wrap), 0, 1) * key[channel]
    # At the shadow's edge the blood shows through.
    through = np.stack([lit**0.90, lit, lit**1.03])
    away = direction(-0.8 * light.azimuth - 15, 10.0)
    fill = np.clip(dot(soft, away) * 0.7 + 0.3, 0, 1) * np.array(light.ambient, np.float32)[:, None] * 0.35
    tight = occlusion ** np.array([[0.84], [1.0], [1.06]], np.float32)
    radiance = albedo * (
        diffuse * through * (0.45 + 0.55 * tight) + (ambient(light, soft, tight) + fill * tight) * 1.1
    )
    half = normalize(L + eye)
    facing = np.clip(dot(N, half), 0, 1)
    fresnel = 0.04 + 0.5 * (1 - np.clip(dot(N, eye), 0, 1)) ** 5
    shine = 0.55 * facing**14 * 0.35 + 1.2 * facing**60 * np.clip(gloss - 0.25, 0, 4) ** 1.5
    spec = gloss * shine * (0.25 + 4 * fresnel) * lit * np.clip(crisp * 4, 0, 1)
    rim = light.rim * 0.5 * np.clip(1 - dot(N, eye), 0, 1) ** 3 * np.clip(N[1] * 0.5 + 0.6, 0, 1) * occlusion
    return np.asarray(radiance + key * (spec * occlusion) + (0.4 + albedo) * rim * key * 0.5)


def plain(light: Light, p: Points, albedo: Array, gloss: Array, power: float) -> Array:
    """Compute the radiance [3, n] of cloth, metal, eyes and teeth: Lambert and one highlight."""
    N, eye, occlusion, lit = p.N, p.eye, p.occlusion, p.lit
    L = direction(light.azimuth, light.elevation)
    key = np.array(light.color, np.float32)[:, None] * light.strength * 1.55
    diffuse = np.clip(dot(N, L) * 0.85 + 0.15, 0, 1) * lit
    facing = np.clip(dot(N, normalize(L + eye)), 0, 1) ** power
    return np.asarray(
        albedo * (key * diffuse + 1.25 * ambient(light, N, occlusion)) + key * (gloss * facing * lit)
    )


def hair(light: Light, p: Points, albedo: Array, gloss: Array, shift: Array) -> Array:
    """Compute the radiance [3, n] of strands along T: Kajiya-Kay shading, two highlights as in Marschner."""
    N, T, eye, occlusion, lit = p.N, p.T, p.eye, p.occlusion, p.lit
    L = direction(light.azimuth, light.elevation)
    key = np.array(light.color, np.float32)[:, None] * light.strength * 1.55
    tangent = normalize(T + N * shift)
    tl, te = dot(tangent, L), dot(tangent, eye)
    sl, se = np.sqrt(np.maximum(1 - tl * tl, 0)), np.sqrt(np.maximum(1 - te * te, 0))
    facing = np.clip(dot(N, L) * 0.75 + 0.35, 0, 1)
    diffuse = sl * facing * lit
    first = np.clip(sl * se - tl * te, 0, 1)
    tint = albedo / np.maximum(albedo.max(0), 1e-4)
    white = 0.10 * first**60 * gloss
    colored = 0.34 * np.clip(sl * se - (tl + 0.12) * (te - 0.05), 0, 1) ** 16 * gloss
    spec = (white + colored * (0.3 + 0.7 * tint) * (0.25 + albedo.max(0) * 1.2)) * facing * lit * occlusion
    rim = light.rim * np.clip(1 - dot(N, eye), 0, 1) ** 3 * np.clip(N[1] * 0.5 + 0.6, 0, 1)
    return np.asarray(
        albedo * (0.95 * diffuse * key * occlusion + 1.15 * ambient(light, N, occlusion) + rim * key * 0.8)
        + key * spec
    )


def develop(linear: Array) -> Array:
    """Convert linear radiance to uint8 sRGB, with a gentle filmic shoulder."""
    x = np.maximum(linear, 0) * 1.05
    curve = x * (1 + x * 0.12) / (1 + x * 0.62)
    srgb = np.where(curve < 0.0031308, 12.92 * curve, 1.055 * np.maximum(curve, 1e-6) ** (1 / 2.4) - 0.055)
    return np.asarray(np.clip(srgb * 255 + 0.5, 0, 255).astype(np.uint8))
