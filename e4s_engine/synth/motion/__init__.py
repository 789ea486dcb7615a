"""People who move: clips with exact labels, landmarks and optical flow.

A folder of its own, as it changes nothing in the pictures of `render`, whose source names cached shards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from e4s_engine.synth import camera, raster, strands
from e4s_engine.synth.camera import Camera
from e4s_engine.synth.maths import Array
from e4s_engine.synth.params import Person, Pose, Scene
from e4s_engine.synth.render import SAMPLES, Picture, _join, _Studio
from e4s_engine.synth.scenes import scene

ZOOM = 1.5  # side of the frame, in sides of the aligned crop
_BACKDROP = 40.0  # depth where nothing is drawn
_SAME = 0.6  # largest difference of depths, in cm, of one point in two frames


@dataclass(frozen=True)
class Shot:
    """One frame of a film.

    picture: image, labels and landmarks. flow: float32 [S, S, 2], how far each pixel's point moves to the
    next frame, x and y in pixels; 0 in the last frame. valid: bool [S, S], where that point is seen in the
    next frame too.
    """

    picture: Picture
    flow: Array
    valid: Array


def scenes(seed: int, count: int, speed: float = 1.0) -> list[Scene]:
    """Return the scenes of a film: a seed's scene in which pose, expression and light move over time.

    speed: 1 is a calm talk; a turn of the head takes about a second and a half at 25 frames a second.
    """
    start = scene(seed)
    rng = np.random.default_rng(seed)
    phase, period = rng.uniform(0, 2 * np.pi, 6), rng.uniform(0.7, 1.3, 6)

    def wave(which: int, frames: float, t: int) -> float:
        return float(np.sin(phase[which] + 2 * np.pi * speed * t / (frames * period[which])))

    film = []
    for t in range(count):
        pose = Pose(14 * wave(0, 40, t), 5 * wave(1, 55, t), 4 * wave(2, 70, t))
        expression = replace(
            start.expression,
            open=0.16 + 0.16 * wave(3, 14, t),
            smile=0.3 + 0.3 * wave(4, 50, t),
            blink=1.0 if t % 61 in (30, 31, 32) else 0.1,
            gaze=(6 * wave(1, 45, t), 0.0),
        )
        light = replace(start.light, azimuth=start.light.azimuth + 12 * wave(5, 90, t))
        film.append(replace(start, pose=pose, expression=expression, light=light))
    return film


def film(
    person: Person, moments: Sequence[Scene], size: int = 256, zoom: float = ZOOM, supersample: int = SAMPLES
) -> Iterator[Shot]:
    """Render a film of a person, frame by frame, through a camera that stands still.

    zoom: side of the frame in sides of the crop that FFHQ's rule would take of the person in the middle.
    """
    view = _view(person, moments[0], size * supersample, zoom)
    following = _Actor(person, moments[0], size, supersample, view)
    for moment in [*moments[1:], None]:
        actor = following
        picture = actor.shoot()
        if moment is None:
            yield Shot(picture, np.zeros((size, size, 2), np.float32), np.zeros((size, size), np.bool_))
            return
        following = _Actor(person, moment, size, supersample, view)
        yield Shot(picture, *actor.flow_to(following))


def _view(person: Person, moment: Scene, side: int, zoom: float) -> Camera:
    points = camera.landmarks(person.frame or person, replace(moment.expression, open=0.1))
    framed = camera.frame(camera.pose_points(camera.head_rotation(Pose()), points), side)
    return replace(framed, axis=framed.axis * zoom)


class _Actor(_Studio):
    """A studio whose camera stands still."""

    def __init__(self, person: Person, moment: Scene, size: int, supersample: int, view: Camera) -> None:
        super().__init__(person, moment, size, supersample)
        self.camera = view

    def flow_to(self, later: _Actor) -> tuple[Array, Array]:
        """Return flow [S, S, 2] and where it is valid [S, S], after both pictures' geometry is known."""
        n, k = self.size, self.supersample
        faces, values, owners = _join([part.grid for part in self.parts])
        f = self._cover(faces, values)
        f = strands.trim(f, owners, [part.kind == "hair" for part in self.parts], faces, values[:, 9:13])
        f = raster.keep(f, raster.nearest(f, self.side))
        middle = k // 2
        f = raster.keep(f, (f.pixel % self.side % k == middle) & (f.pixel // self.side % k == middle))
        moved = raster.interpolate(f, faces, _join([part.grid for part in later.parts])[1])
        x, y, depth = later.camera.project(moved[:3])
        flow, valid = np.zeros((n * n, 2), np.float32), np.zeros(n * n, np.bool_)
        rows, columns = f.pixel // self.side, f.pixel % self.side
        pixel = rows // k * n + columns // k
        flow[pixel] = np.stack([x - columns - 0.5, y - rows - 0.5], -1) / k
        seen = later.front()
        to_x, to_y = np.floor(x).astype(int), np.floor(y).astype(int)
        inside = (to_x >= 0) & (to_x < self.side) & (to_y >= 0) & (to_y < self.side)
        at = np.where(inside, to_y * self.side + to_x, 0)
        valid[pixel] = inside & (np.abs(seen[at] - depth) < _SAME)
        empty = np.ones(n * n, np.bool_)
        empty[pixel] = False
        behind = seen.reshape(self.side, self.side)[middle::k, middle::k].reshape(-1)
        valid[empty] = behind[empty] == _BACKDROP
        return flow.reshape(n, n, 2), valid.reshape(n, n)

    def front(self) -> Array:
        """Return the depth [side * side] of what is nearest, glasses left out."""
        faces, values, owners = _join([part.grid for part in self.parts])
        f = self._cover(faces, values)
        f = strands.trim(f, owners, [part.kind == "hair" for part in self.parts], faces, values[:, 9:13])
        f = raster.keep(f, raster.nearest(f, self.side))
        depth = np.full(self.side**2, _BACKDROP, np.float32)
        depth[f.pixel] = f.depth
        return depth
