"""Default tiles of the matrix products: rows x columns of sums per program, and the depth of a step.

Predictions, not measurements: no GPU was at hand. Large tiles reuse what they load; small ones fill the
card's multiprocessors, which counts more below a hundred tiles. Three stages of 128 x 128 x 64 in 16 bits
take 96 KB of shared memory, within every card's limit.
"""

from __future__ import annotations

import dataclasses

from .launch import Tile, blocks, power

FILL = 100  # tiles that keep a large card busy; two encodes run side by side
FLOATS = 64  # largest side for 32-bit operands: their products take ordinary registers


@dataclasses.dataclass(frozen=True)
class Block:
    """Sides of a tile."""

    m: int
    n: int
    k: int
    tile: Tile


def block(rows: int, columns: int, depth: int, kind: str, batch: int = 1) -> Block:
    """The tile for a product [rows, depth] x [depth, columns] of operands of a type, `batch` times."""
    most = FLOATS if kind == "f32" else 128
    m, n = power(rows, 16, most), power(columns, 16, most)
    while batch * blocks(rows, m) * blocks(columns, n) < FILL and max(m, n) > 32:
        if m >= n:
            m //= 2
        else:
            n //= 2
    k = next((k for k in (64, 32, 16) if depth % k == 0), 32)  # else taps and channels in one: see conv2d
    if kind == "f32":
        k = min(k, 32)
    return Block(m, n, k, Tile(8 if m * n >= 128 * 128 else 4, 3))
