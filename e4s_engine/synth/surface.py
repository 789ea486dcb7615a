"""The head's surface: a lofted skull and jaw, with the face's relief on the front.

A point of the head is (r, a): r runs down the knots of the profile (0 crown .. 6 brow level .. 13 jaw line ..
16 under the chin), a is the azimuth in radians (0 front, positive to image right).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from e4s_engine.synth import curves
from e4s_engine.synth.maths import Array, blur, bump, grid_normals, mix, normalize, spline, step
from e4s_engine.synth.params import Expression, Person

LEVEL = 2.6  # cm: the skull is an ellipsoid above this height, a face below
BALL = 1.8  # cm: eyeball radius; larger than life, to fill the lids' opening from corner to corner
JAW_ROW = 13.0


def profile(person: Person, expression: Expression) -> Array:
    """Return knots [17, 6]: front height and depth, half width, back depth, rise at the side, squareness."""
    f = person.face
    top = np.radians(np.arange(90, -1, -15))
    knots = np.zeros((17, 6))
    knots[:7, 0] = LEVEL + 9.1 * np.sin(top)
    knots[:7, 1] = 9.35 * np.cos(top)
    knots[:7, 2] = 7.45 * np.cos(top)
    knots[:7, 3] = 9.6 * np.cos(top)
    knots[7:, 0] = [0.0, -2.5, -5.0, -7.0, -8.85, -10.4, -11.25, -11.5, -11.1, -10.4]
    knots[7:, 1] = [9.0, 8.8, 8.7, 8.55, 8.15, 8.0, 7.3, 6.0, 4.2, 2.0]
    knots[7:, 2] = [7.25, 7.05, 6.72, 6.32, 5.78, 5.25, 4.95, 4.5, 3.8, 3.0]
    knots[7:, 3] = [9.0, 8.0, 6.5, 5.0, 3.5, 2.5, 2.0, 2.0, 2.0, 2.0]
    knots[7:, 4] = [0.0, 0.1, 0.5, 1.2, 2.4, 3.6, 4.2, 4.4, 4.0, 3.4]
    knots[:, 5] = np.interp(np.arange(17), [0, 5, 8, 11, 16], [2.0, 2.3, 2.25, 2.15, 2.05])
    down = np.clip((np.arange(17) - 8) / 4, 0, 1)
    cheeks = np.clip((np.arange(17) - 7) / 3, 0, 1)
    knots[:, 2] *= mix(person.skull, f.width, cheeks) * (1 + 0.15 * f.jaw * down)
    knots[:, 4] *= 1 - 0.25 * f.square
    knots[:, 5] += 0.45 * f.square * down
    knots[3:6, 1] += 0.35 * f.forehead * np.array([0.6, 1.0, 0.6])
    knots[7:, 0] *= f.length
    knots[12:16, 0] -= 0.45 * f.chin
    knots[11:15, 1] += 0.45 * f.chin
    dropped = 2.0 * expression.open * np.array([0.1, 0.55, 0.95, 1, 1, 1, 0.8])
    knots[10:, 0] -= dropped
    knots[10:, 1] -= 0.15 * dropped
    return knots


def loft(knots: Array, r: Array, a: Array) -> Array:
    """Compute points [3, ...] of the smooth head at rows r and azimuths a (broadcast together)."""
    y, front, half, back, rise, n = spline(knots, r)
    sine, cosine = np.sin(a), np.cos(a)
    shape = np.maximum(1.0 - np.abs(sine) ** n, 1e-9) ** (1.0 / n)
    z = np.where(cosine >= 0, front * shape, back * cosine)
    lift = rise * np.where(cosine >= 0, (1 - np.clip(cosine, 0, 1)) ** 1.15, 1.0)
    return np.stack(np.broadcast_arrays(half * sine, y + lift, z))


def locate(knots: Array, X: Array, Y: Array) -> tuple[Array, Array]:
    """Return (r, a) of the loft's front points at X, Y (1-D)."""
    rows = np.linspace(0, JAW_ROW, 261)
    table = spline(knots, rows)
    y, half, rise = table[0], table[2], table[4]
    r = np.interp(-Y, -y, rows)
    a = np.zeros_like(r)
    for _ in range(6):
        a = np.arcsin(np.clip(X / np.interp(r, rows, half), -0.999, 0.999))
        lift = np.interp(r, rows, rise) * (1 - np.cos(a)) ** 1.15
        r = np.interp(-(Y - lift), -y, rows)
    return r, a


@dataclass(frozen=True)
class Head:
    """The surface of a person with an expression. Depths are in cm."""

    person: Person
    expression: Expression
    knots: Array
    eye_depth: float  # z of the eyeballs' centres
    teeth_depth: float  # z of the teeth's front
    chin: float  # Y of the chin's lowest point

    def points(self, r: Array, a: Array) -> tuple[Array, Array]:
        """Compute unposed surface points [3, ...] and their X, Y [2, ...] on the loft."""
        base = loft(self.knots, r, a)
        facing = step(-0.05, 0.35, np.cos(a))
        forward, outward = _relief(self, base[0], base[1])
        point = base.copy()
        point[0] += outward * np.sin(a) * facing
        point[2] += (forward + outward * np.cos(a)) * facing
        point[2] = _lids(self, base[0], base[1], point[2], facing)
        return point, base[:2]

    def at(self, X: Array, Y: Array) -> Array:
        """Compute the surface points [3, N] at the frontal positions X, Y [N]."""
        r, a = locate(self.knots, X, Y)
        return self.points(r, a)[0]


def head(person: Person, expression: Expression) -> Head:
    """Prepare the surface, with the positions of eyeballs and teeth behind it."""
    knots = profile(person, expression)
    e = person.eyes
    spots = np.array([[e.spacing, 0.0], [0.0, person.face.mouth]])
    r, a = locate(knots, spots[:, 0], spots[:, 1])
    depth = loft(knots, r, a)[2]
    eye_depth = float(depth[0]) - 0.38 - 0.28 * e.deep - BALL
    return Head(person, expression, knots, eye_depth, float(depth[1]) - 0.30, float(knots[13, 0]) - 0.2)


def _relief(h: Head, X: Array, Y: Array) -> tuple[Array, Array]:
    """Compute the face's relief on the loft: forward, and outward from its axis, cm."""
    person, expression = h.person, h.expression
    f, e = person.face, person.eyes
    x = np.abs(X)
    smile = max(expression.smile, 0.0)
    lines = f.age
    brow_shift = 0.3 * (expression.raise_brows - expression.frown)
    forward = (0.12 + 0.42 * f.ridge) * bump((x - 2.7) / 1.9, (Y - 1.5 - brow_shift) / 0.7)
    forward -= (0.62 + 0.22 * e.deep) * bump((x - e.spacing) / 1.75, (Y + 0.05) / 1.05)
    forward -= 0.14 * bump((x - 1.5) / 0.55, (Y - 0.3) / 0.8)
    forward -= (0.03 + 0.10 * lines) * bump((x - e.spacing + 0.3) / 1.2, (Y + 1.35) / 0.28)
    forward += (0.05 * lines + 0.07 * smile) * bump((x - e.spacing) / 1.1, (Y + 0.85) / 0.25)
    outward = (0.12 + 0.38 * f.cheekbones) * bump((x - 5.1) / 1.5, (Y + 2.4) / 1.1)
    outward += (0.48 * f.cheeks + 0.08) * bump((x - 4.3) / 1.7, (Y + 6.0) / 1.9)
    outward -= 0.28 * bump((x - 6.3) / 1.1, (Y - 2.6) / 1.8)
    outward += 0.26 * lines * bump((x - 3.9) / 1.0, (Y + 8.3) / 0.9)  # jowls
    forward += (0.12 + 0.42 * smile) * bump((x - 3.7) / 1.5, (Y + 3.5 - 0.3 * smile) / 1.25)
    _fold(h, x, Y, forward)
    _chin(h, x, Y, forward)
    forward += _lips(h, X, Y)
    forward += _nose(h, X, x, Y)
    return forward, outward


def _fold(h: Head, x: Array, Y: Array, forward: Array) -> None:
    """Add the fold from the nose's wing round the mouth's corner."""
    person, expression = h.person, h.expression
    start = -person.nose.length + 0.1
    end = person.face.mouth - 0.3
    t = (start - Y) / (start - end)
    corner = curves.mouth_width(person, expression)
    x_fold = mix(person.nose.width + 0.28, corner + 0.75, np.clip(t, 0, 1.2) ** 0.85)
    along = step(-0.12, 0.12, t) * step(1.35, 0.8, t)
    depth = 0.02 + 0.13 * person.face.age + 0.20 * max(expression.smile, 0.0)
    forward += depth * along * (0.9 * bump((x - x_fold - 0.66) / 0.62) - 0.55 * bump((x - x_fold) / 0.3))


def _chin(h: Head, x: Array, Y: Array, forward: Array) -> None:
    f = h.person.face
    centre = h.chin + 1.25
    forward += (0.38 + 0.15 * f.chin) * bump(x / (1.45 + 0.5 * f.square), (Y - centre) / 0.85)
    forward -= 0.16 * f.cleft * bump(x / 0.16, (Y - centre + 0.1) / 0.5)
    floor = curves.mouth(h.person, h.expression, np.zeros(1)).bottom[0]
    forward -= 0.24 * bump(x / 1.8, (Y - floor + 0.5) / 0.45)


def _lips(h: Head, X: Array, Y: Array) -> Array:
    lips = h.person.lips
    m = curves.mouth(h.person, h.expression, X)
    inside = np.sqrt(np.maximum(1.0 - m.s * m.s, 0.0))
    upper = np.clip((Y - m.inner_top) / np.maximum(m.top - m.inner_top, 0.05), 0, 1)
    lower = np.clip((m.inner_bottom - Y) / np.maximum(m.inner_bottom - m.bottom, 0.05), 0, 1)
    height = (0.20 + 0.26 * lips.pout) * inside
    rise = 0.40 * bump(X / 2.7, (Y - h.person.face.mouth) / 1.9)
    rise += height * (np.sin(np.pi * upper**0.85) * 0.95 + np.sin(np.pi * lower**0.8) * 1.15)
    seam = np.where(m.inner_top < Y, Y - m.inner_top, np.where(m.inner_bottom > Y, m.inner_bottom - Y, 0))
    rise -= 0.17 * bump(seam / 0.13) * step(1.12, 0.9, np.abs(m.s))
    rise -= 0.14 * bump((np.abs(m.s) - 1.06) / 0.10, (Y - m.inner_top) / 0.25)
    base = curves.nose_base(h.person)
    band = step(base + 0.15, base - 0.15, Y) * step(-0.25, 0.15, Y - m.top)
    rise += band * (0.07 * bump((np.abs(X) - 0.42) / 0.2) - 0.12 * bump(X / 0.26))
    return np.asarray(rise)


def _nose(h: Head, X: Array, x: Array, Y: Array) -> Array:
    n = h.person.nose
    tip, base = -n.length, curves.nose_base(h.person)
    t = (1.0 - Y) / (1.0 - tip)  # 0 at the root, 1 at the tip
    k = np.clip(t, 0, 1)
    bridge = 0.18 + 0.55 * n.bridge
    ridge = step(-0.35, 0.12, t) * (
        bridge + (n.projection - bridge) * k**1.2 + 0.22 * n.hump * bump((t - 0.42) / 0.2)
    )
    fall = step(base - 0.08, tip + 0.22 + 0.12 * n.upturn, Y) ** 0.8
    spread = n.bridge_width * 1.12 + 0.34 * k * k + 0.15 * bump((t - 0.02) / 0.25)
    body = ridge * np.exp(-((x / spread) ** 1.9)) * fall
    ball = 0.50 * bump(X / (0.98 * n.tip), (Y - tip - 0.05) / (0.76 * n.tip)) * fall
    wing_y = tip - 0.12
    round_off = np.hypot((x - n.width + 0.52) / 0.62, (Y - wing_y) / 0.66)
    wing = (1.18 + 0.25 * (n.projection - 2.2)) * np.exp(-(round_off**2.6))
    groove = 0.10 * bump((round_off - 1.25) / 0.26) * step(0.5, 1.0, x)
    hole = 0.35 * bump((x - 0.46 * n.width) / 0.26, (Y - base - 0.22) / 0.16)
    return np.asarray(0.5 * (body + ball + wing + np.sqrt((body + ball - wing) ** 2 + 0.05)) - groove - hole)


def _lids(h: Head, X: Array, Y: Array, z: Array, facing: Array) -> Array:
    """Wrap the lids around the eyeballs, with the crease of the upper lid."""
    e = h.person.eyes
    for side in (-1, 1):
        c = curves.eye(h.person, h.expression, side, X, Y)
        p = c.s * e.width
        lid = h.eye_depth + np.sqrt(np.maximum((BALL + 0.09) ** 2 - p * p - c.q * c.q, 0.3))
        reach = np.hypot(p / (e.width + 0.02), c.q / 0.72)
        z = mix(z, lid, step(1.75, 0.95, reach) * facing)
        ends = step(1.35, 0.75, np.abs(c.s))
        over = c.q - c.fold
        z = z - ends * facing * e.crease * 0.17 * bump((over - 0.27) / 0.12)
        z = z + ends * facing * 0.13 * bump((over - 0.55) / 0.22) * (0.7 + 0.5 * h.person.face.age)
        z = z + ends * facing * 0.05 * bump((c.q - c.lower + 0.1) / 0.1)
    return np.asarray(z)


@dataclass(frozen=True)
class Grid:
    """A patch of surface.

    points, normals, soft (blurred normals, or hair's strand direction) [3, R, C]; u, v, w, x [R, C], whose
    meaning depends on the part's shader; occlusion [R, C] is 1 in the open.
    """

    points: Array
    normals: Array
    soft: Array
    u: Array
    v: Array
    w: Array
    x: Array
    occlusion: Array


ROWS = np.concatenate([np.linspace(0, 6, 40, endpoint=False), np.linspace(6, 13, 118, endpoint=False),
                       np.linspace(13, 16, 14)]).astype(np.float32)  # fmt: skip
_S = np.linspace(-1, 1, 161, dtype=np.float32)
COLUMNS = (np.radians(118) * (0.55 * _S + 0.45 * _S**3)).astype(np.float32)


def hairline(a: Array, height: float) -> Array:
    """Return Y of the hairline at azimuth a (radians); height: -1 low .. 1 high."""
    degrees = np.degrees(np.abs(a))
    y = np.interp(degrees, [0, 25, 43, 55, 62, 68, 74, 82, 92, 100, 112, 180],
                  [6.9, 6.8, 6.0, 4.6, 3.2, 1.8, 0.3, -1.2, -1.4, 0.8, -3.0, -7.5])  # fmt: skip
    return np.asarray(y + height * 0.9 * bump(degrees / 50))


def head_grid(h: Head, line: float) -> Grid:
    """Build the head's mesh. u, v are the loft's X, Y; w is the height above the hairline; x is the row r."""
    r, a = np.broadcast_arrays(ROWS[:, None], COLUMNS[None, :])
    points, xy = h.points(r, a)
    points = points.astype(np.float32)
    normals = grid_normals(points)
    soft = normalize(blur(normals, 3))
    near = np.maximum(np.sum((blur(points, 2) - points) * normals, 0), 0)
    far = np.maximum(np.sum((blur(points, 7) - points) * normals, 0), 0)
    occlusion = 1.0 / (1.0 + 3.0 * near + 0.8 * far)
    w = points[1] - hairline(COLUMNS, line)
    return Grid(points, normals, soft, xy[0], xy[1], w, r, occlusion)
