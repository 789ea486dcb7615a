"""Convolutions of small, deep maps by Winograd's tiles of 2 x 2 outputs (Lavin and Gray 2016).

A tile reads a window d of 4 x 4 pixels. Along each axis four products stand for six:

    planes    v = (d0 - d2, d1 + d2, d2 - d1, d1 - d3)
    kernels   u = (g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2)
    outputs   y = (m0 + m1 + m2, m1 - m2 - m3),  m = u * v summed over the channels

so that a 3 x 3 convolution is sixteen products [tiles, depth] x [depth, outputs] of a quarter of its rows:
4/9 of the multiplications, in a ninth of the dependent steps. The launches around it have every pixel of a
few channels in one program: they write planes beside the map (`split_map`) and read the sums of planes
(`joined`), so that the convolution is one launch, as before.
"""

from __future__ import annotations

import numpy as np

from e4s_engine.plan import Arrays, Conv

from . import tiles
from .language import jit, tl
from .launch import Argument, Context, Launch, Packed, Tile, blocks, constants, kernel_of, padded, power
from .partial import FEW, PLANES, SMALL, only_normalised

COUNT = 16  # planes
LEAST_CHANNELS = 256  # transforms cost as many bytes a channel, products the square of the channels
LEAST_PIXELS = 256  # on smaller maps reading the kernels counts most, and there are 16/9 of them
KERNELS = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)


@jit
def products(
    x, kernel, y,
    ROWS: tl.constexpr, DEPTH: tl.constexpr, PADDED: tl.constexpr, COUNT: tl.constexpr,
    PRECISION: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Multiply each plane [ROWS, DEPTH] by its own kernel [DEPTH, PADDED]."""
    sample = tl.program_id(2).to(tl.int64)
    TILES: tl.constexpr = (ROWS + BLOCK_M - 1) // BLOCK_M
    plane = tl.program_id(0) // TILES
    rows = tl.program_id(0) % TILES * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = (rows < ROWS)[:, None]
    known = (columns < PADDED)[None, :]
    x += (sample * COUNT + plane) * (ROWS * DEPTH)
    kernel += plane * (DEPTH * PADDED)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for step in range(0, DEPTH // BLOCK_K):
        channel = step * BLOCK_K + tl.arange(0, BLOCK_K)
        a = tl.load(x + rows[:, None] * DEPTH + channel[None, :], mask=inside, other=0.0)
        weights = kernel + channel[:, None] * PADDED + columns[None, :]
        b = tl.load(weights) if PADDED % BLOCK_N == 0 else tl.load(weights, mask=known, other=0.0)
        total = tl.dot(a, b, total, input_precision=PRECISION)
    y += (sample * COUNT + plane) * (ROWS * PADDED)
    tl.store(y + rows[:, None] * PADDED + columns[None, :], total, mask=inside & known)


@jit
def joined(
    x, sample, pixels, channels, live,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, X_PIXEL: tl.constexpr,
):  # fmt: skip
    """Return a map's pixels from the sums of planes."""
    down = pixels // WIDTH % 2
    along = pixels % WIDTH % 2
    tile = pixels // WIDTH // 2 * (WIDTH // 2) + pixels % WIDTH // 2
    total = tl.zeros((pixels.shape[0], channels.shape[0]), tl.float32)
    for i in tl.static_range(3):
        for j in tl.static_range(3):
            plane = (down + i) * 4 + along + j
            places = (sample * 16 + plane) * (ROWS // 4) + tile
            value = tl.load(x + places[:, None] * X_PIXEL + channels[None, :], mask=live, other=0.0)
            minus = ((down == 1) & (i > 0)) != ((along == 1) & (j > 0))
            total += tl.where(minus[:, None], -value, value)
    return total


@jit
def split_map(
    x, y, sample, channels, known,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr,
    BLOCK_P: tl.constexpr,
):  # fmt: skip
    """Write the planes of a map whose channels this program has written. BLOCK_P: power of two >= ROWS."""
    tl.debug_barrier()  # pixels that other threads have written are read
    TILES: tl.constexpr = ROWS // 4
    index = tl.arange(0, BLOCK_P)
    j = index // (BLOCK_P // 4)
    tile = index % (BLOCK_P // 4)
    top = tile // (WIDTH // 2) * 2 - 1
    left = tile % (WIDTH // 2) * 2 - 1
    one = left + tl.where(j == 0, 0, tl.where(j == 2, 2, 1))
    other = left + tl.where(j == 3, 3, tl.where(j == 2, 1, 2))
    plus = (j == 1)[:, None]
    inside = tile < TILES
    x += sample * (ROWS * X_PIXEL)
    for i in tl.static_range(4):
        first = top + (0 if i == 0 else (2 if i == 2 else 1))
        second = top + (3 if i == 3 else (1 if i == 2 else 2))
        value = across(x, first, one, other, plus, inside, channels, known, ROWS, WIDTH, X_PIXEL)
        more = across(x, second, one, other, plus, inside, channels, known, ROWS, WIDTH, X_PIXEL)
        value = value + more if i == 1 else value - more
        places = ((sample * 16 + i * 4 + j) * TILES + tile)[:, None] * CHANNELS + channels[None, :]
        tl.store(y + places, value.to(y.dtype.element_ty), mask=inside[:, None] & known[None, :])


@jit
def across(
    x, row, one, other, plus, inside, channels, known,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, X_PIXEL: tl.constexpr,
):  # fmt: skip
    """Return the sum or difference of two pixels of a row; beyond the map they are zero."""
    live = (inside & (row >= 0) & (row < ROWS // WIDTH))[:, None] & known[None, :]
    first = x + (row * WIDTH + one)[:, None] * X_PIXEL + channels[None, :]
    second = x + (row * WIDTH + other)[:, None] * X_PIXEL + channels[None, :]
    a = tl.load(first, mask=live & ((one >= 0) & (one < WIDTH))[:, None], other=0.0).to(tl.float32)
    b = tl.load(second, mask=live & ((other >= 0) & (other < WIDTH))[:, None], other=0.0).to(tl.float32)
    return tl.where(plus, a + b, a - b)


@jit
def finish(
    x, slope, y, planes,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr,
    Y_PIXEL: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Write a map from the sums of its planes, after PReLU, and the planes of the next convolution."""
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.arange(0, BLOCK_P)
    channels = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    known = channels < CHANNELS
    live = (pixels < ROWS)[:, None] & known[None, :]
    value = joined(x, sample, pixels, channels, live, ROWS, WIDTH, X_PIXEL)
    if slope is not None:
        slopes = tl.load(slope + channels, mask=known, other=0.0)[None, :]
        value = tl.where(value > 0, value, value * slopes)
    places = (sample * ROWS + pixels[:, None]) * Y_PIXEL + channels[None, :]
    tl.store(y + places, value.to(y.dtype.element_ty), mask=live)
    if planes is not None:
        split_map(y, planes, sample, channels, known, ROWS, WIDTH, Y_PIXEL, CHANNELS, BLOCK_P)


def weights_of(conv: Conv) -> Packed:
    """Return a kernel [O,I,3,3] as [planes, depth, outputs]."""

    def make(arrays: Arrays) -> np.ndarray:
        kernel = np.einsum("ik,jl,ockl->ijco", KERNELS, KERNELS, kernel_of(conv, arrays), optimize=True)
        return kernel.reshape(COUNT, *kernel.shape[2:])

    return Packed((*conv.key, "winograd"), conv.type, make)


def wanted(c: Context, name: str) -> Argument:
    """Return memory for the planes of a map that only a convolution of this form reads; else None."""
    readers = c.readers(name)
    if readers is None or len(readers) != 1:
        return None
    reader = c.reader(readers[0][0])
    if reader.step.kind != "conv2d" or not _suits(reader):
        return None
    return c.add_planes(name)


def _suits(c: Context) -> bool:
    """Return whether a convolution's map, kernel and epilogue have this form, and no card's table refuses."""
    x, y, conv = c.view("x"), c.view("y"), c.step.weights["kernel"][0]
    assert isinstance(conv, Conv)
    plain = not any(c.has(name) for name in ("bias", "residual"))
    plain = plain and not any(c.flag(name) for name in ("relu", "relu_last", "reflect", "first", "to"))
    small = LEAST_PIXELS <= x.pixels <= SMALL and x.h % 2 == 0 and x.w % 2 == 0 and (x.h, x.w) == (y.h, y.w)
    deep = conv.shape == (y.c, x.c, 3, 3) and min(x.c, y.c) >= LEAST_CHANNELS and x.c % 16 == y.c % 16 == 0
    return plain and small and deep and not tiles.refused(_problem(c), c.table)


def _problem(c: Context) -> tiles.Problem:
    x, y = c.view("x"), c.view("y")
    return tiles.Problem("winograd", x.pixels // 4, y.c, x.c, x.type, COUNT * x.n)


def launch_winograd(c: Context, planes: Argument) -> list[Launch]:
    """Build the launches of a convolution whose map came as planes."""
    x, y, conv = c.view("x"), c.view("y"), c.step.weights["kernel"][0]
    assert isinstance(conv, Conv)
    problem = _problem(c)
    block = tiles.choose(problem, c.table)
    alone = not c.has("prelu") and only_normalised(c, "y")
    sums = c.partials("y", COUNT // 4)
    if alone:
        c.add_partial("y", PLANES, sums)
    main = Launch(
        "winograd.products",
        {"x": planes, "kernel": weights_of(conv), "y": sums},
        ("y",),
        constants(
            rows=x.pixels // 4, depth=x.c, padded=y.c, count=COUNT, precision=c.precision, block_m=block.m,
            block_n=block.n, block_k=block.k,
        ),
        (COUNT * blocks(x.pixels // 4, block.m), blocks(y.c, block.n)),
        y.n,
        tile=block.tile,
        problem=problem,
    )  # fmt: skip
    if alone:
        return [main]
    last = Launch(
        "winograd.finish",
        {"x": sums, "slope": c.vector("prelu"), "y": c.buffer("y"), "planes": wanted(c, "y")},
        ("y", "planes"),
        constants(
            rows=y.pixels, width=y.w, x_pixel=padded(y.c), channels=y.c, y_pixel=y.pixel,
            block_p=power(y.pixels), block_c=FEW,
        ),
        (blocks(y.c, FEW), 1),
        y.n,
        tile=Tile(8 if y.pixels > 256 else 4),
    )  # fmt: skip
    return [main, last]
