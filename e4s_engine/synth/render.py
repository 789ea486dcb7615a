"""Rendering of people and scenes to pictures: build the patches, rasterise, shade, downsample."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from typing import NamedTuple

import numpy as np

from e4s_engine import regions as R
from e4s_engine.synth import (
    accessories,
    backdrop,
    body,
    camera,
    hairdo,
    looks,
    raster,
    shade,
    strands,
    surface,
)
from e4s_engine.synth.maths import Array, blur, mix, normalize, rotate, step
from e4s_engine.synth.params import Person, Scene


@dataclass(frozen=True)
class Picture:
    """A picture. image: uint8 [S, S, 3] sRGB; labels: uint8 [S, S]; landmarks: float32 [68, 2], pixels."""

    image: Array
    labels: Array
    landmarks: Array


class Part(NamedTuple):
    """A patch in world coordinates; kind selects its look."""

    kind: str
    grid: surface.Grid


# Samples along a pixel's side. Strands are finer than pixels: at 2 they turn into noise (SSIM 0.985 to
# pictures of 8 samples; 3 reach 0.995).
SAMPLES = 3


def render(person: Person, scene: Scene, size: int = 256, supersample: int = SAMPLES) -> Picture:
    """Render a picture of side `size`, each pixel averaged from supersample x supersample samples."""
    if size < 16 or supersample < 1:
        raise ValueError(
            f"size, supersample: expected at least 16 and at least 1, got {size} and {supersample}"
        )
    return _Studio(person, scene, size, supersample).shoot()


def render_many(
    pairs: Iterable[tuple[Person, Scene]], size: int = 256, supersample: int = SAMPLES, workers: int = 0
) -> Iterator[Picture]:
    """Render pictures of many (person, scene), in order; workers > 0 uses that many processes.

    Every picture is drawn by itself, so that it does not depend on the others.
    """
    if workers <= 0:
        yield from (render(person, scene, size, supersample) for person, scene in pairs)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap(_job, zip(pairs, repeat(size), repeat(supersample), strict=False), chunksize=4)


def _job(job: tuple[tuple[Person, Scene], int, int]) -> Picture:
    (person, scene), size, supersample = job
    return render(person, scene, size, supersample)


class _Studio:
    """State that the steps of rendering one picture share."""

    def __init__(self, person: Person, scene: Scene, size: int, supersample: int) -> None:
        self.size, self.supersample, self.side = size, supersample, size * supersample
        head = surface.head(person, scene.expression)
        self.s = looks.Sitting(person, scene, head, camera.head_rotation(scene.pose))
        self.body_turn = camera.body_rotation(scene.pose)
        self.landmarks = camera.pose_points(self.s.turn, camera.landmarks(person, scene.expression, head))
        framing = self.landmarks
        if person.frame is not None:
            framing = camera.pose_points(self.s.turn, camera.landmarks(person.frame, scene.expression))
        self.camera = camera.frame(framing, self.side)
        parts = self._parts()
        clouds = [p.grid.points[:, ::2, ::2].reshape(3, -1) for p in parts]
        self.shadows = shade.shadow_map(clouds, scene.light)
        self.parts = parts
        self.labels = np.zeros(self.side**2, np.uint8)
        self.depth = np.full(self.side**2, 40.0, np.float32)
        self.color = backdrop.paint(scene.backdrop, self.side).reshape(3, -1).astype(np.float32)

    def shoot(self) -> Picture:
        self._draw()
        if self.s.person.glasses.style != "none":
            self._glasses()
        n, k = self.size, self.supersample
        linear = np.minimum(self.color, 4.0).reshape(3, n, k, n, k).mean((2, 4))
        x, y, _ = self.camera.project(self.landmarks)
        return Picture(
            np.ascontiguousarray(np.moveaxis(shade.develop(linear), 0, -1)),
            majority(self.labels.reshape(self.side, self.side), k),
            np.stack([x, y], -1).astype(np.float32) / k,
        )

    def _parts(self) -> list[Part]:
        person, scene, head = self.s.person, self.s.scene, self.s.head
        own = [Part("head", surface.head_grid(head, person.hair.line))]
        own += [Part("ear", body.ear_grid(person.ears, person.skull, side)) for side in (-1, 1)]
        own += [Part("hair", grid) for grid in hairdo.grids(person.hair, head, scene.occluder)]
        own += [Part("earring", grid) for grid in accessories.earring_grids(person.earrings, person)]
        parts = [Part(kind, _turn(grid, self.s.turn)) for kind, grid in own]
        parts.append(Part("torso", self._twist(body.torso_grid(person.neck))))
        if scene.occluder.kind == "hand":
            parts += [Part("hand", grid) for grid in body.hand_grids(scene.occluder)]
        return parts

    def _twist(self, grid: surface.Grid) -> surface.Grid:
        """Twist the neck from the head's rotation to the shoulders' smaller one."""
        top, bottom = _turn(grid, self.s.turn), _turn(grid, self.body_turn)
        t = step(-6.0, -14.0, grid.v)
        return replace(
            grid,
            points=mix(top.points, bottom.points, t),
            normals=normalize(mix(top.normals, bottom.normals, t)),
            soft=normalize(mix(top.soft, bottom.soft, t)),
        )

    def _draw(self) -> None:
        parts = self.parts
        faces, values, owners = _join([p.grid for p in parts])
        f = self._cover(faces, values)
        f = strands.trim(f, owners, [p.kind == "hair" for p in parts], faces, values[:, 9:13])
        f = raster.keep(f, raster.nearest(f, self.side))
        self.depth[f.pixel] = f.depth
        points = self._points(f.pixel, raster.interpolate(f, faces, values))
        kinds = list(looks.LOOKS)
        kind = np.array([kinds.index(p.kind) for p in parts])[owners[f.triangle]]
        for i, look in enumerate(looks.LOOKS.values()):
            some = np.flatnonzero(kind == i)
            if len(some):
                pixel = f.pixel[some]
                self.color[:, pixel], self.labels[pixel] = look(self.s, points.pick(some))

    def _glasses(self) -> None:
        """Draw frames and lenses over the finished picture, which shows through the lenses."""
        for grid in accessories.glasses_grids(self.s.person.glasses, self.s.head):
            faces, values, _ = _join([_turn(grid, self.s.turn)])
            f = self._cover(faces, values)
            f = raster.keep(f, f.depth < self.depth[f.pixel])
            f = raster.keep(f, raster.nearest(f, self.side))
            radiance, cover = looks.glasses(
                self.s, self._points(f.pixel, raster.interpolate(f, faces, values))
            )
            some = np.flatnonzero(cover > 0)
            pixel = f.pixel[some]
            self.color[:, pixel] = mix(self.color[:, pixel], radiance[:, some], cover[some])
            self.labels[pixel] = R.GLASSES
            self.depth[pixel] = f.depth[some]

    def _cover(self, faces: Array, values: Array) -> raster.Fragments:
        x, y, depth = self.camera.project(values[:, :3].T)
        return raster.fragments(x, y, depth, faces, self.side)

    def _points(self, pixel: Array, a: Array) -> shade.Points:
        P = a[:3]
        eye = normalize(np.array([[0], [0], [camera.DISTANCE]], np.float32) - P)
        occlusion = np.clip(a[13], 0, 1) * self._contact()[pixel]
        return shade.Points(
            pixel, P, normalize(a[3:6]), normalize(a[6:9]), eye, a[9], a[10], a[11], a[12],
            occlusion, self.shadows.lookup(P),
        )  # fmt: skip

    def _contact(self) -> Array:
        """Compute the occlusion [side * side] of pixels by nearer surfaces in their neighbourhood."""
        k = max(self.side // 128, 1)
        n = self.side // k
        coarse = -np.minimum(self.depth.reshape(self.side, self.side)[: n * k : k, : n * k : k], 12.0)
        over = np.clip(blur(coarse, max(n // 24, 1)) - coarse, 0, 4.0)
        soft = 1.0 / (1.0 + 0.22 * blur(over, 1))
        index = np.minimum(np.arange(self.side) // k, n - 1)
        return np.asarray(soft[index[:, None], index[None]].reshape(-1))


def _turn(grid: surface.Grid, turn: Array) -> surface.Grid:
    return replace(
        grid,
        points=camera.pose_points(turn, grid.points),
        normals=rotate(turn, grid.normals),
        soft=rotate(turn, grid.soft),
    )


def _join(grids: list[surface.Grid]) -> tuple[Array, Array, Array]:
    """Join grids to one mesh: triangles [T, 3], vertex attributes [V, 14], each triangle's grid index [T]."""
    triangles, attributes, owners = [], [], []
    base = 0
    for i, g in enumerate(grids):
        faces = raster.grid_triangles(*g.u.shape)
        triangles.append(faces + base)
        owners.append(np.full(len(faces), i))
        fields = [*g.points, *g.normals, *g.soft, g.u, g.v, g.w, g.x, g.occlusion]
        attributes.append(np.stack(fields, dtype=np.float32, casting="same_kind").reshape(14, -1))
        base += g.u.size
    values = np.ascontiguousarray(np.concatenate(attributes, 1).T)
    return np.concatenate(triangles), values, np.concatenate(owners)


def majority(labels: Array, k: int) -> Array:
    """Downsample labels [s * k, s * k] -> [s, s]: the commonest of a k x k block, the lowest id at a tie."""
    n = labels.shape[0] // k
    blocks = labels.reshape(n, k, n, k).swapaxes(1, 2).reshape(n * n, k * k)
    index = np.arange(n * n)[:, None] * R.COUNT + blocks
    counts = np.bincount(index.reshape(-1), minlength=n * n * R.COUNT)
    return np.asarray(counts.reshape(n, n, R.COUNT).argmax(-1).astype(np.uint8))
