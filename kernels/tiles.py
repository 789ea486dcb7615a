"""Tiles of the matrix products: rows x columns of sums per program, and the depth of a step.

The defaults are predictions, not measurements: no GPU was at hand. Large tiles reuse their loads; small ones
fill the card's multiprocessors, which counts more below a hundred tiles. Three stages of 128 x 128 x 64 in
16 bits take 96 KB of shared memory, within every card's limit. `tune.py` measures better ones on a card.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping

from .launch import SIZES, Tile, blocks, power

FILL = 100  # tiles that keep a large card busy; two encodes run side by side
FLOATS = 64  # largest side for 32-bit operands: their products use ordinary registers
DEPTHS = (64, 32, 16)


@dataclasses.dataclass(frozen=True)
class Problem:
    """A kernel's product [rows, depth] x [depth, columns] of operands of type `kind`, `batch` times.

    kernel: "mirrored" for conv2d with a mirrored border, whose places take registers from the sums.
    taps: number of passes over the depth, each with other pixels.
    """

    kernel: str
    rows: int
    columns: int
    depth: int
    kind: str
    batch: int = 1
    taps: int = 1


@dataclasses.dataclass(frozen=True)
class Block:
    """Sides of a tile. split: number of programs that share its depth."""

    m: int
    n: int
    k: int
    tile: Tile
    split: int = 1


# None: a product whose step another form computes faster, see `refused`.
Table = Mapping[Problem, Block | None]

# Kernels of forms that a step takes unless a table refuses them: cards differ in which form is faster.
FORMS = ("winograd", "seams", "patches")


def choose(problem: Problem, table: Table) -> Block:
    """Return the tile for a product: the table's, else the default."""
    return known(problem, table) or default(problem)


def known(problem: Problem, table: Table) -> Block | None:
    """Return a table's tile for the same or the nearest batch, or None. Without one for f16 it is bf16's."""
    nearest = _nearest(problem, table)
    return None if nearest is None else table[nearest]


def refused(problem: Problem, table: Table) -> bool:
    """Return whether another form of the step was faster on the table's card."""
    nearest = _nearest(problem, table)
    return nearest is not None and table[nearest] is None


def _nearest(problem: Problem, table: Table) -> Problem | None:
    batches = sorted({other.batch for other in table}, key=lambda b: abs(math.log2(b / problem.batch)))
    kinds = ("f16", "bf16") if problem.kind == "f16" else (problem.kind,)
    every = (dataclasses.replace(problem, kind=kind, batch=batch) for kind in kinds for batch in batches)
    return next((other for other in every if other in table), None)


def default(problem: Problem) -> Block:
    """Return the tile for a product without a measured one."""
    k = _depths(problem)[0]
    if problem.kind == "f32":
        most = _most(problem)
        m, n = power(problem.rows, 16, most), power(problem.columns, 16, most)
        return _filling(problem, m, n, min(k, 32), 32, 32)
    m, n = power(problem.rows, 16, 128), power(problem.columns, 16, 128)
    if problem.taps == 1:
        block = _filling(problem, m, n, k, 32, 32)
        # Four warps with two matrix instructions' rows each are faster on Hopper, and spill on sm_120.
        upsampled = problem.kernel in ("transposed", "seams")
        return dataclasses.replace(block, tile=Tile(8, 3, True)) if upsampled else block
    if problem.kernel == "regional_conv":
        block = _regional(problem, m, n, k)
    elif problem.columns >= 256 and problem.kernel != "mirrored" and _programs(problem, 128, 256) >= FILL:
        block = Block(128, 256, k, Tile(8, 3))
    else:
        # Halve tiles before splitting the depth, down to four warps' smallest tile; deep products stay wider.
        deep = problem.depth >= 512 and _programs(problem, 64, 128) >= FILL // 2
        block = _filling(problem, m, n, k, 64, 128 if deep else 64)
        if block.m * block.n <= 64 * 128 and problem.depth >= 256:
            block = dataclasses.replace(block, tile=Tile(4, 4))
    narrow = block.n <= 32 or (block.m * block.n == 128 * 128 and problem.depth <= 64)
    return dataclasses.replace(block, tile=dataclasses.replace(block.tile, cached=not narrow))


def _regional(problem: Problem, m: int, n: int, k: int) -> Block:
    """Return a wide tile, which scales each loaded pixel once for more columns.

    Tiles of 128 x 256 were faster on an H200 although they spill, and are in its table; no other card has
    been measured.
    """
    if problem.columns < 256 or problem.rows < 256:
        return _filling(problem, min(m, 64) if n == 128 else m, n, k, 16, 32, 8)
    m = min(m, 64)
    if _programs(problem, m, 256) * 8 < FILL:
        return _filling(problem, m, 128, k, m, 128, 8)
    block = _filling(problem, m, 256, k, m, 256, 8)
    return dataclasses.replace(block, tile=Tile(8, 3))


def _programs(problem: Problem, m: int, n: int) -> int:
    return problem.batch * blocks(problem.rows, m) * blocks(problem.columns, n)


def _filling(problem: Problem, m: int, n: int, k: int, least_m: int, least_n: int, first: int = 1) -> Block:
    """Halve tiles and split the depth until the card is full. first: splits to try before smaller tiles."""
    split = 1
    shares = problem.depth // k if problem.depth % k == 0 and problem.taps > 1 else 1
    while _programs(problem, m, n) * split < FILL:
        shared = shares % (2 * split) == 0
        if shared and split < first:
            split *= 2
        elif m > least_m and m >= n:
            m //= 2
        elif n > least_n:
            n //= 2
        elif m > least_m:
            m //= 2
        elif shared:
            split *= 2
        elif max(m, n) > 32:
            m, n = (m // 2, n) if m >= n else (m, n // 2)
        else:
            break
    return Block(m, n, k, Tile(8 if m * n >= 128 * 128 else 4, 3), split)


def rectangle(height: int, width: int, block: int) -> int:
    """Return the width of a nearly square tile of `block` pixels; 0 if rectangles do not fit the map."""
    across = 1 << block.bit_length() // 2
    while across > 1 and width % across:
        across //= 2
    return across if across >= 4 and height % (block // across) == 0 else 0


def candidates(problem: Problem, shared: int) -> list[Block]:
    """Return the tiles worth measuring on a card with `shared` bytes of shared memory."""
    sides = [side for side in (16, 32, 64, 128, 256) if side <= 2 * _most(problem)]
    again = problem.taps > 1 or problem.kernel in ("transposed", "seams", "patches")  # pixels are read again
    splits = (1, 2, 4, 8) if problem.taps > 1 else (1,)
    every = itertools.product(sides, sides, _depths(problem), (4, 8), (2, 3, 4), {False, again}, splits)
    possible = [Block(m, n, k, Tile(warps, stages, cached), s) for m, n, k, warps, stages, cached, s in every]
    return [block for block in possible if _sensible(block, problem, shared)]


def _most(problem: Problem) -> int:
    return FLOATS if problem.kind == "f32" else 128


def _depths(problem: Problem) -> tuple[int, ...]:
    """Return the step sizes that divide the depth; if none does, a step spans several taps: see conv2d."""
    return tuple(k for k in DEPTHS if problem.depth % k == 0) or (32,)


def _sensible(block: Block, problem: Problem, shared: int) -> bool:
    loads = (block.m + block.n) * block.k * SIZES[problem.kind] * block.tile.stages
    sums = block.m * block.n // (32 * block.tile.warps)  # per thread, of 255 registers
    small = block.m <= power(problem.rows, 16) and block.n <= power(problem.columns, 16)
    shared_depth = problem.depth % (block.k * block.split) == 0
    few = _programs(problem, block.m, block.n) * block.split <= 4 * FILL
    if block.split > 1 and not (shared_depth and few):
        return False
    return small and loads <= shared and 2 <= sums <= 128


def distance(block: Block, other: Block) -> float:
    """Return how far apart two tiles are: doublings of sides, splits and warps, half per stage and cache."""
    pairs = ((block.m, other.m), (block.n, other.n), (block.k, other.k), (block.split, other.split),
             (block.tile.warps, other.tile.warps))  # fmt: skip
    doublings = sum(abs(a.bit_length() - b.bit_length()) for a, b in pairs)
    return doublings + 0.5 * (
        abs(block.tile.stages - other.tile.stages) + (block.tile.cached != other.tile.cached)
    )
