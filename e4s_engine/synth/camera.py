"""Pose, the 68 landmarks, and a camera that frames them as in FFHQ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from e4s_engine.synth import curves, surface
from e4s_engine.synth.maths import Array, rotate, step
from e4s_engine.synth.params import Expression, Person, Pose

DISTANCE = 115.0  # cm from the lens to the head's centre
PIVOT = np.array([0.0, -7.0, -2.0])  # in the neck: the head turns about it


def rotation(yaw: float, pitch: float, roll: float) -> Array:
    """Return the rotation [3, 3] float64 of angles in degrees, signed as in Pose."""
    y, p, r = np.radians([yaw, -pitch, -roll])
    turn = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    nod = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    tip = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    return np.asarray(tip @ turn @ nod)


def head_rotation(pose: Pose) -> Array:
    """Return the rotation [3, 3] from head to world."""
    return rotation(pose.yaw, pose.pitch, pose.roll)


def body_rotation(pose: Pose) -> Array:
    """Return the rotation [3, 3] of the shoulders, which follow the head part of the way."""
    return rotation(0.35 * pose.yaw, 0.1 * pose.pitch, 0.15 * pose.roll)


def pose_points(matrix: Array, points: Array) -> Array:
    """Rotate [3, ...] points about the neck."""
    pivot = PIVOT.reshape((3,) + (1,) * (points.ndim - 1)).astype(points.dtype)
    return np.asarray(rotate(matrix, points - pivot) + pivot)


@dataclass(frozen=True)
class Camera:
    """A camera from world to pixels of an image of side `size`: perspective, then FFHQ's similarity."""

    centre: Array  # [2] on the plane z = 0, y down
    axis: Array  # [2] half the crop's width, towards image right
    size: int

    def project(self, points: Array) -> tuple[Array, Array, Array]:
        """Project points [3, ...] in cm to x, y in pixels (centres at .5) and depth (greater is farther)."""
        scale = DISTANCE / (DISTANCE - points[2])
        px = points[0] * scale - self.centre[0]
        py = -points[1] * scale - self.centre[1]
        unit = self.axis / float(self.axis @ self.axis)
        x = (px * unit[0] + py * unit[1] + 1) * (self.size / 2)
        y = (py * unit[0] - px * unit[1] + 1) * (self.size / 2)
        return x, y, -points[2]


def frame(landmarks: Array, size: int) -> Camera:
    """Frame posed 3-D landmarks [3, 68] by FFHQ's rule."""
    scale = DISTANCE / (DISTANCE - landmarks[2])
    plane = np.stack([landmarks[0] * scale, -landmarks[1] * scale], -1)
    left, right = plane[36:42].mean(0), plane[42:48].mean(0)
    middle = (left + right) / 2
    across = right - left
    down = (plane[48] + plane[54]) / 2 - middle
    x = across - down[::-1] * [-1, 1]
    x = x / np.hypot(*x) * max(np.hypot(*across) * 2.0, np.hypot(*down) * 1.8)
    return Camera(middle + 0.1 * down, x, size)


def landmarks(person: Person, expression: Expression, head: surface.Head | None = None) -> Array:
    """Compute the 68 iBUG points on the unposed head [3, 68], cm."""
    h = head or surface.head(person, expression)
    points = np.zeros((3, 68))
    angles = np.radians([-88, -88, -88, -86, -80, -68, -52, -28, 0, 28, 52, 68, 80, 86, 88, 88, 88])
    rows = np.array([6.9, 7.9, 8.9, 10.2, 11.6, 12.4, 12.8, 13.0, 13.1])
    points[:, :17] = h.points(np.concatenate([rows, rows[-2::-1]]), angles)[0]
    points[:, 17:] = h.at(*_frontal(person, expression))
    for first in (36, 42):
        points[2, first : first + 6] = np.minimum(
            points[2, first : first + 6], h.eye_depth + surface.BALL + 0.1
        )
    return points


def _frontal(person: Person, expression: Expression) -> tuple[Array, Array]:
    """Return X, Y of landmarks 17..67."""
    X, Y = np.zeros(51), np.zeros(51)
    t = np.array([0.02, 0.25, 0.5, 0.75, 0.97])
    start, end = 1.25 - 0.25 * expression.frown, 1.25 + 3.75 * person.brows.length
    x = start + t * (end - start)
    height = curves.brow(person, expression, x)[1]
    X[:5], Y[:5], X[5:10], Y[5:10] = -x[::-1], height[::-1], x, height
    n = person.nose
    Y[10:14] = np.linspace(0.35, -n.length, 4)
    X[14:19] = np.array([-0.68, -0.36, 0, 0.36, 0.68]) * n.width
    Y[14:19] = curves.nose_base(person) + np.array([0.22, 0.06, 0.0, 0.06, 0.22])
    for first, side in ((19, -1), (25, 1)):
        X[first : first + 6], Y[first : first + 6] = _slit(person, expression, side)
    corner = curves.mouth_width(person, expression)
    outer = np.array([-1, -0.62, -0.24, 0, 0.24, 0.62, 1]) * corner
    m = curves.mouth(person, expression, outer)
    X[31:38], Y[31:38] = outer, m.top
    X[38:43], Y[38:43] = outer[5:0:-1] * 0.96, curves.mouth(person, expression, outer[5:0:-1] * 0.96).bottom
    inner = np.array([-0.9, -0.4, 0, 0.4, 0.9]) * corner
    m = curves.mouth(person, expression, inner)
    X[43:48], Y[43:48] = inner, m.inner_top
    X[48:51], Y[48:51] = inner[3:0:-1], m.inner_bottom[3:0:-1]
    return X, Y


def _slit(person: Person, expression: Expression, side: int) -> tuple[Array, Array]:
    """Return X, Y of one eye's six points, clockwise from the image-left corner."""
    e = person.eyes
    s = (
        np.array([1, 0.38, -0.38, -1, -0.38, 0.38])
        if side < 0
        else np.array([-1, -0.38, 0.38, 1, 0.38, -0.38])
    )
    c = curves.eye(person, expression, side, side * (e.spacing + s * e.width), np.zeros(6))
    q = np.where(np.arange(6) < 3, c.upper, c.lower) * step(1.0, 0.99, np.abs(s))
    # The lids' heights are read at s, so undo the tilt of the local frame.
    tilt = np.radians(e.tilt + 2.0 * expression.smile)
    p = s * e.width
    return side * (e.spacing + p * np.cos(tilt) - q * np.sin(tilt)), p * np.sin(tilt) + q * np.cos(tilt)
