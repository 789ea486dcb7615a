"""Persons and scenes to pictures: build the patches, rasterise, shade, average down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import NamedTuple

import numpy as np

from e4s_engine import regions as R
from e4s_engine.synth import accessories, backdrop, body, camera, hairdo, openings, raster, shade, skin, surface
from e4s_engine.synth.maths import Array, blur, dot, mix, noise, normalize, step
from e4s_engine.synth.params import Person, Scene


@dataclass(frozen=True)
class Picture:
    """image uint8 [S, S, 3] sRGB; labels uint8 [S, S] region ids; landmarks float32 [68, 2] x, y in pixels."""

    image: Array
    labels: Array
    landmarks: Array


class Part(NamedTuple):
    """A patch in the world. kind selects the shader, number tells parts of a kind apart."""

    kind: str
    number: int
    grid: surface.Grid


class Points(NamedTuple):
    """Visible points: world position, normal, soft normal or strand, unit vector to the eye [3, N]; rest [N]."""

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


def render(person: Person, scene: Scene, size: int = 256, supersample: int = 2) -> Picture:
    """One picture of side `size`, each pixel averaged from supersample x supersample samples."""
    if size < 16 or supersample < 1:
        raise ValueError(f"size: expected at least 16 and supersample at least 1, got {size}, {supersample}")
    return _Studio(person, scene, size, supersample).shoot()


def render_many(
    pairs: Iterable[tuple[Person, Scene]], size: int = 256, supersample: int = 2, workers: int = 0
) -> Iterator[Picture]:
    """Pictures of many (person, scene), in order; workers > 0 spreads them over that many processes.

    Every picture is drawn by itself, so it does not depend on what else is asked for.
    """
    if workers <= 0:
        yield from (render(person, scene, size, supersample) for person, scene in pairs)
        return
    import multiprocessing

    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        jobs = zip(pairs, repeat(size), repeat(supersample), strict=False)
        yield from pool.imap(_job, jobs, chunksize=4)


def _job(job: tuple[tuple[Person, Scene], int, int]) -> Picture:
    (person, scene), size, supersample = job
    return render(person, scene, size, supersample)


class _Studio:
    """One sitting: the state that the steps of a rendering share."""

    def __init__(self, person: Person, scene: Scene, size: int, supersample: int) -> None:
        self.person, self.scene, self.size, self.supersample = person, scene, size, supersample
        self.side = size * supersample
        self.head = surface.head(person, scene.expression)
        self.head_turn = camera.head_rotation(scene.pose)
        self.body_turn = camera.body_rotation(scene.pose)
        points = camera.landmarks(person, scene.expression, self.head)
        self.landmarks = camera.pose_points(self.head_turn, points)
        framing = self.landmarks
        if person.frame is not None:
            framing = camera.pose_points(self.head_turn, camera.landmarks(person.frame, scene.expression))
        self.camera = camera.frame(framing, self.side)
        self.color = np.zeros((3, self.side * self.side), np.float32)
        self.labels = np.zeros(self.side * self.side, np.uint8)
        self.depth = np.full(self.side * self.side, 40.0, np.float32)

    def shoot(self) -> Picture:
        parts = self._parts()
        self.shadows = shade.shadow_map(
            [p.grid.points[:, ::2, ::2].reshape(3, -1) for p in parts], self.scene.light
        )
        behind = backdrop.paint(self.scene.backdrop, self.size)
        for axis in (1, 2):
            behind = np.repeat(behind, self.supersample, axis)
        self.color[:] = behind.reshape(3, -1)
        self._draw(parts)
        self._glasses()
        s, k = self.size, self.supersample
        linear = np.minimum(self.color, 4.0).reshape(3, s, k, s, k).mean((2, 4))
        x, y, _ = self.camera.project(self.landmarks)
        return Picture(
            np.ascontiguousarray(np.moveaxis(shade.develop(linear), 0, -1)),
            majority(self.labels.reshape(self.side, self.side), k),
            np.stack([x, y], -1).astype(np.float32) / k,
        )

    def _parts(self) -> list[Part]:
        person, scene = self.person, self.scene
        patches = [("head", surface.head_grid(self.head, person.hair.line))]
        patches += [("ear", body.ear_grid(person.ears, person.face, side)) for side in (-1, 1)]
        patches += [("hair", grid) for grid in hairdo.grids(person.hair, self.head, scene.occluder)]
        patches += [("earring", grid) for grid in accessories.earring_grids(person.earrings, person)]
        parts = [Part(kind, i, self._turn(grid, self.head_turn)) for i, (kind, grid) in enumerate(patches)]
        torso = body.torso_grid(person.neck)
        parts.append(Part("torso", 100, self._twist(torso)))
        if scene.occluder.kind == "hand":
            parts += [Part("hand", 200 + i, g) for i, g in enumerate(body.hand_grids(scene.occluder))]
        return parts

    def _turn(self, grid: surface.Grid, turn: Array) -> surface.Grid:
        return surface.Grid(
            camera.pose_points(turn, grid.points), camera.rotate(turn, grid.normals),
            camera.rotate(turn, grid.soft), grid.u, grid.v, grid.w, grid.x, grid.occlusion,
        )  # fmt: skip

    def _twist(self, grid: surface.Grid) -> surface.Grid:
        """The neck joins a turned head to less turned shoulders."""
        top, bottom = self._turn(grid, self.head_turn), self._turn(grid, self.body_turn)
        t = step(-6.0, -14.0, grid.v)
        return surface.Grid(
            mix(top.points, bottom.points, t).astype(np.float32), normalize(mix(top.normals, bottom.normals, t)),
            normalize(mix(top.soft, bottom.soft, t)), grid.u, grid.v, grid.w, grid.x, grid.occlusion,
        )  # fmt: skip

    def _draw(self, parts: list[Part]) -> None:
        triangles, attributes, owner, base = [], [], [], 0
        for part in parts:
            g = part.grid
            faces = raster.grid_triangles(*g.u.shape)
            triangles.append(faces + base)
            owner.append(np.full(len(faces), len(owner), np.int16))
            fields = [*g.points, *g.normals, *g.soft, g.u, g.v, g.w, g.x, g.occlusion]
            attributes.append(np.stack(fields, -1).reshape(-1, 14).astype(np.float32))
            base += g.u.size
        faces, values = np.concatenate(triangles), np.concatenate(attributes)
        x, y, depth = self.camera.project(values[:, :3].T)
        f = raster.fragments(x, y, depth, faces, self.side)
        owners = np.concatenate(owner)
        f = hairdo.trim(f, owners, [p.kind == "hair" for p in parts], faces, values[:, 9:13])
        f = raster.keep(f, raster.nearest(f, self.side))
        self.depth[f.pixel] = f.depth
        points = self._points(f.pixel, raster.interpolate(f, faces, values))
        owned = owners[f.triangle]
        kinds = np.array([SHADERS.index(p.kind) for p in parts])[owned]
        for i, kind in enumerate(SHADERS):
            some = np.flatnonzero(kinds == i)
            if len(some):
                part = Points(*(a[..., some] for a in points))
                getattr(self, "_shade_" + kind)(part)

    def _points(self, pixel: Array, a: Array) -> Points:
        P = a[:3]
        eye = np.array([[0], [0], [camera.DISTANCE]], np.float32) - P
        occlusion = np.clip(a[13], 0, 1) * self._contact()[pixel]
        return Points(
            pixel, P, normalize(a[3:6]), normalize(a[6:9]), normalize(eye), a[9], a[10], a[11], a[12],
            occlusion, self.shadows.lookup(P),
        )  # fmt: skip

    def _contact(self) -> Array:
        """Occlusion [side * side] by whatever stands nearer in the neighbourhood of a pixel."""
        k = max(self.side // 128, 1)
        n = self.side // k
        coarse = -np.minimum(self.depth.reshape(self.side, self.side)[: n * k : k, : n * k : k], 12.0)
        radius = max(n // 24, 1)
        over = np.clip(blur(coarse, radius) - coarse, 0, 4.0)
        soft = 1.0 / (1.0 + 0.22 * blur(over, 1))
        index = np.minimum(np.arange(self.side) // k, n - 1)
        return np.asarray(soft[index[:, None], index[None]].reshape(-1))

    def _put(self, p: Points, radiance: Array, labels: Array | int) -> None:
        self.color[:, p.pixel] = radiance
        self.labels[p.pixel] = labels

    def _shade_head(self, p: Points) -> None:
        m = skin.paint(self.person, self.scene.expression, p.u, p.v, p.w, p.x)
        hairdo.stubble(self.person.hair, p.u, p.v, p.w, m)
        N, T = self._pores(p), p.T
        light = self.scene.light
        self._put(p, shade.skin(light, N, T, p.eye, m.albedo, m.gloss, p.occlusion, p.lit), m.labels)
        back = self.head_turn.T
        rays = camera.rotate(back, -p.eye)
        local = camera.rotate(back, p.P - camera.PIVOT[:, None].astype(np.float32)) + camera.PIVOT[:, None]
        seen = [openings.eyes(self.head, side, p.u, p.v, local, rays) for side in (-1, 1)]
        if self.scene.expression.open > 0:
            seen.append(openings.mouth(self.head, p.u, p.v, local, rays))
        for s in seen:
            q = Points(*(a[..., s.index] for a in p))
            normal = camera.rotate(self.head_turn, s.normals).astype(np.float32)
            lit = q.lit * 0.6 + 0.4 * s.shade
            color = shade.plain(light, normal, q.eye, s.albedo, s.gloss, 90.0, s.shade, lit * s.shade)
            self._put(q, color, s.label)

    def _pores(self, p: Points) -> Array:
        """Normals roughened by pores and, with age, by fine creases."""
        amount = 0.05 + 0.05 * self.person.face.age
        rough = np.stack([noise(p.u * 16, p.v * 16, 1, 11) - 0.5, noise(p.u * 16, p.v * 16, 1, 23) - 0.5])
        return np.asarray(normalize(p.N + np.concatenate([rough * amount, 0 * rough[:1]])))

    def _shade_ear(self, p: Points) -> None:
        tone = self.person.ears.tone
        flush = 0.55 + 0 * p.u
        albedo = skin.tint(tone, p.P[1], p.P[2], flush, 3)
        gloss = 0.35 * tone.gloss + 0 * p.u
        self._put(p, shade.skin(self.scene.light, p.N, p.T, p.eye, albedo, gloss, p.occlusion, p.lit), R.EARS)

    def _shade_torso(self, p: Points) -> None:
        tone = self.person.neck.tone
        cloth, rim = body.neckline(self.scene.clothing, p.u, p.v)
        albedo = skin.tint(tone, p.u, p.v, 0.15 + 0 * p.u, 5) * (1 - 0.35 * rim * (1 - cloth))
        gloss = 0.35 * tone.gloss * (1 - cloth)
        bare = shade.skin(self.scene.light, p.N, p.T, p.eye, albedo, gloss, p.occlusion, p.lit)
        weave = body.weave(self.scene.clothing, p.u, p.v) * (1 + 0.35 * rim)
        worn = shade.plain(self.scene.light, p.T, p.eye, weave, 0 * p.u, 8.0, p.occlusion, p.lit)
        self._put(p, mix(bare, worn, cloth), np.where(cloth > 0.5, R.BACKGROUND, R.NECK))

    def _shade_hand(self, p: Points) -> None:
        tone = self.person.neck.tone
        albedo = skin.tint(tone, p.P[0], p.P[1], 0.25 + 0 * p.u, 7)
        gloss = 0.3 * tone.gloss + 0 * p.u
        radiance = shade.skin(self.scene.light, p.N, p.T, p.eye, albedo, gloss, p.occlusion, p.lit)
        self._put(p, radiance, R.BACKGROUND)

    def _shade_hair(self, p: Points) -> None:
        albedo, gloss, shift = hairdo.strands(self.person.hair, p.u, p.v, p.w)
        N = p.N * np.where(dot(p.N, p.eye) < 0, np.float32(-1), np.float32(1))
        light = self.scene.light
        radiance = shade.hair(light, N, p.T, p.eye, albedo, gloss, shift, p.occlusion, p.lit)
        self._put(p, radiance, R.HAIR)

    def _shade_earring(self, p: Points) -> None:
        metal = np.array(self.person.earrings.color, np.float32)[:, None] * np.ones_like(p.u)
        glow = 0.35 + 0.65 * step(0.2, 0.9, dot(p.N, p.eye))
        radiance = shade.plain(self.scene.light, p.N, p.eye, metal * glow, 1.6 + 0 * p.u, 30.0, p.occlusion, p.lit)
        self._put(p, radiance, R.EARRINGS)

    def _glasses(self) -> None:
        glasses = self.person.glasses
        if glasses.style == "none":
            return
        for grid in accessories.glasses_grids(glasses, self.head):
            g = self._turn(grid, self.head_turn)
            fields = [*g.points, *g.normals, *g.soft, g.u, g.v, g.w, g.x, g.occlusion]
            values = np.stack(fields, -1).reshape(-1, 14).astype(np.float32)
            faces = raster.grid_triangles(*g.u.shape)
            x, y, depth = self.camera.project(values[:, :3].T)
            f = raster.fragments(x, y, depth, faces, self.side)
            f = raster.keep(f, f.depth < self.depth[f.pixel])
            f = raster.keep(f, raster.nearest(f, self.side))
            p = self._points(f.pixel, raster.interpolate(f, faces, values))
            cover, albedo, gloss, N = accessories.look(glasses, self.person.face, p.u, p.v, p.w, p.N, self.head_turn)
            radiance = shade.plain(self.scene.light, N, p.eye, albedo, gloss, 50.0, 1 + 0 * p.u, p.lit)
            some = np.flatnonzero(cover > 0)
            pixel, cover = f.pixel[some], cover[some]
            self.color[:, pixel] = mix(self.color[:, pixel], radiance[:, some], cover)
            self.labels[pixel] = R.GLASSES
            self.depth[pixel] = f.depth[some]


SHADERS = ("head", "ear", "torso", "hand", "hair", "earring")


def majority(labels: Array, k: int) -> Array:
    """Labels [s * k, s * k] -> [s, s]: the commonest of each k x k block, the lowest id at a tie."""
    n = labels.shape[0] // k
    blocks = labels.reshape(n, k, n, k).swapaxes(1, 2).reshape(-1, k * k).astype(np.int64)
    counts = np.bincount((np.arange(len(blocks))[:, None] * R.COUNT + blocks).reshape(-1), minlength=n * n * R.COUNT)
    return np.asarray(counts.reshape(n, n, R.COUNT).argmax(-1).astype(np.uint8))
