"""Tiles of the matrix products: rows x columns of sums per program, and the depth of a step.

The defaults are predictions, not measurements: no GPU was at hand. Large tiles reuse what they load; small
ones fill the card's multiprocessors, which counts more below a hundred tiles. Three stages of 128 x 128 x 64
in 16 bits take 96 KB of shared memory, within every card's limit. `tune.py` measures better ones on a card.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping

from .launch import SIZES, Tile, blocks, power

FILL = 100  # tiles that keep a large card busy; two encodes run side by side
FLOATS = 64  # largest side for 32-bit operands: their products take ordinary registers
DEPTHS = (64, 32, 16)


@dataclasses.dataclass(frozen=True)
class Problem:
    """A product [rows, depth] x [depth, columns] of operands of a type, `batch` times, in a kernel."""

    kernel: str
    rows: int
    columns: int
    depth: int
    kind: str
    batch: int = 1


@dataclasses.dataclass(frozen=True)
class Block:
    """Sides of a tile."""

    m: int
    n: int
    k: int
    tile: Tile


Table = Mapping[Problem, Block]


def choose(problem: Problem, table: Table) -> Block:
    """The tile for a product: what a table has for it, else the default."""
    return table.get(problem) or default(problem)


def default(problem: Problem) -> Block:
    """The tile that is taken where none was measured."""
    most = _most(problem)
    m, n = power(problem.rows, 16, most), power(problem.columns, 16, most)
    while problem.batch * blocks(problem.rows, m) * blocks(problem.columns, n) < FILL and max(m, n) > 32:
        if m >= n:
            m //= 2
        else:
            n //= 2
    k = _depths(problem)[0]
    if problem.kind == "f32":
        k = min(k, 32)
    return Block(m, n, k, Tile(8 if m * n >= 128 * 128 else 4, 3))


def candidates(problem: Problem, shared: int) -> list[Block]:
    """Tiles worth a measurement on a card with so much shared memory."""
    sides = [side for side in (16, 32, 64, 128, 256) if side <= 2 * _most(problem)]
    every = itertools.product(sides, sides, _depths(problem), (4, 8), (2, 3, 4))
    found = [Block(m, n, k, Tile(warps, stages)) for m, n, k, warps, stages in every]
    return [block for block in found if _sensible(block, problem, shared)]


def _most(problem: Problem) -> int:
    return FLOATS if problem.kind == "f32" else 128


def _depths(problem: Problem) -> tuple[int, ...]:
    """Steps through the depth that divide it; where none does, taps and channels go in one: see conv2d."""
    return tuple(k for k in DEPTHS if problem.depth % k == 0) or (32,)


def _sensible(block: Block, problem: Problem, shared: int) -> bool:
    loads = (block.m + block.n) * block.k * SIZES[problem.kind] * block.tile.stages
    sums = block.m * block.n // (32 * block.tile.warps)  # per thread, of 255 registers
    small = block.m <= power(problem.rows, 16) and block.n <= power(problem.columns, 16)
    return small and loads <= shared and 2 <= sums <= 128


def distance(block: Block, other: Block) -> float:
    """How unlike two tiles are: doublings of their sides, and a little for the rest."""
    pairs = ((block.m, other.m), (block.n, other.n), (block.k, other.k), (block.tile.warps, other.tile.warps))
    doublings = sum(abs(a.bit_length() - b.bit_length()) for a, b in pairs)
    return doublings + 0.5 * abs(block.tile.stages - other.tile.stages)
