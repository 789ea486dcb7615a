"""Dense convolution as one implicit GEMM: rows are output pixels, depth is input channels x taps.

    acc[pixel, o] = sum over tap, c of x[pixel * stride + tap - pad, c] * kernel[tap, c, o]

then bias, PReLU or ReLU, residual, ReLU. The depth is one flat loop, so that loads stay in flight from one
step to the next. Beyond its border x is zero, or mirrored.
Taps vary fastest and a tile is a rectangle of pixels, so that the first-level cache holds the pixels that the
next taps read again. Where a step is deeper than the input has channels (pictures), it spans several taps.
The slices of a volume are neighbouring samples of x; a kernel over them has more taps.
The plan's linear layers run here too, as 1 x 1 convolutions over [N,1,R,C].

A small map with many channels would keep only a fraction of the card busy for hundreds of steps: its depth
is split over parallel programs, and a second pass (or the norm that follows) adds up their partial sums in a
fixed order. The deepest ones of a chain go by Winograd's tiles instead: see winograd.py.
"""

from __future__ import annotations

import dataclasses

from e4s_engine.plan import Conv

from . import instance_norm, tiles, winograd
from .instance_norm import gathered, store_sums
from .language import jit, tl
from .launch import Argument, Context, Launch, blocks, constants, padded, power
from .partial import only_normalised

WIDE = 128  # most columns of a tile whose epilogue takes registers: wider ones spill


@jit
def finished(
    total, bias, slope, residual, columns, pixels, live,
    OUTPUTS: tl.constexpr, RESIDUAL_PIXEL: tl.constexpr, RELU: tl.constexpr, RELU_LAST: tl.constexpr,
):  # fmt: skip
    """Apply bias, PReLU or ReLU, residual, ReLU."""
    if bias is not None:
        total += tl.load(bias + columns, mask=columns < OUTPUTS, other=0.0)[None, :]
    if slope is not None:
        slopes = tl.load(slope + columns, mask=columns < OUTPUTS, other=0.0)[None, :]
        total = tl.where(total > 0, total, total * slopes)
    if RELU:
        total = tl.maximum(total, 0.0)
    if residual is not None:
        other = tl.load(residual + pixels * RESIDUAL_PIXEL + columns[None, :], mask=live, other=0.0)
        total += other.to(tl.float32)
    if RELU_LAST:
        total = tl.maximum(total, 0.0)
    return total


@jit
def rows_of(tile, WIDTH: tl.constexpr, TILE_W: tl.constexpr, BLOCK_M: tl.constexpr):
    """Return the pixels of a tile: BLOCK_M in a row, or a rectangle TILE_W wide."""
    index = tl.arange(0, BLOCK_M)
    if TILE_W == 0:
        rows = tile * BLOCK_M + index
    else:
        row = tile // (WIDTH // TILE_W) * (BLOCK_M // TILE_W) + index // TILE_W
        rows = row * WIDTH + tile % (WIDTH // TILE_W) * TILE_W + index % TILE_W
    return rows


@jit
def mirrored(place, LENGTH: tl.constexpr):
    """Return the place inside 0..LENGTH-1 that a place close to it mirrors; the edge is not repeated."""
    place = tl.where(place < 0, -place, place)
    return tl.where(place >= LENGTH, 2 * (LENGTH - 1) - place, place)


@jit
def conv2d(
    x, kernel, bias, slope, residual, sums, y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, DEPTH: tl.constexpr,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, Y_PIXEL: tl.constexpr, OUTPUTS: tl.constexpr,
    PADDED: tl.constexpr, RESIDUAL_PIXEL: tl.constexpr, SIZE: tl.constexpr, STRIDE: tl.constexpr, PAD:
    tl.constexpr, REFLECT: tl.constexpr, SLICES: tl.constexpr, VOLUME: tl.constexpr, OUT_VOLUME:
    tl.constexpr, SLICE_PAD: tl.constexpr, RELU: tl.constexpr, RELU_LAST: tl.constexpr, PRECISION:
    tl.constexpr, SPLIT: tl.constexpr, TILE_W: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    TILES: tl.constexpr = (ROWS + BLOCK_M - 1) // BLOCK_M
    tile = tl.program_id(0) % TILES
    part = tl.program_id(0) // TILES
    rows = rows_of(tile, WIDTH, TILE_W, BLOCK_M)
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    top = rows // WIDTH * STRIDE - PAD
    left = rows % WIDTH * STRIDE - PAD
    k = tl.arange(0, BLOCK_K)
    slices = sample % OUT_VOLUME - SLICE_PAD
    x += (sample // OUT_VOLUME * VOLUME + slices) * (H * W * X_PIXEL)
    AREA: tl.constexpr = SIZE * SIZE
    TAPS: tl.constexpr = SLICES * AREA
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for step in range(0, (TAPS * DEPTH // SPLIT + BLOCK_K - 1) // BLOCK_K):
        if DEPTH % BLOCK_K == 0:  # a step has one tap
            tap = step % TAPS
            channel = (part * (DEPTH // BLOCK_K // SPLIT) + step // TAPS) * BLOCK_K + k
            place = tap * DEPTH + channel
            further = tap // AREA
            row = (top + tap % AREA // SIZE)[:, None]
            column = (left + tap % SIZE)[:, None]
        else:
            place = step * BLOCK_K + k
            channel = place % DEPTH
            further = (place // DEPTH // AREA)[None, :]
            row = top[:, None] + (place // DEPTH % AREA // SIZE)[None, :]
            column = left[:, None] + (place // DEPTH % SIZE)[None, :]
        if REFLECT:
            row = mirrored(row, H)
            column = mirrored(column, W)
        inside = (row >= 0) & (row < H) & (column >= 0) & (column < W)
        if SLICES > 1:
            inside = inside & (slices + further >= 0) & (slices + further < VOLUME)
        if CHANNELS < DEPTH:
            inside = inside & (channel < CHANNELS)[None, :]
        if TAPS * DEPTH % BLOCK_K != 0:
            inside = inside & (place < TAPS * DEPTH)[None, :]
        if SLICES > 1:
            row += further * H
        a = tl.load(x + (row * W + column) * X_PIXEL + channel[None, :], mask=inside, other=0.0)
        weights = kernel + place[:, None] * PADDED + columns[None, :]
        if TAPS * DEPTH % BLOCK_K != 0:
            valid = (place < TAPS * DEPTH)[:, None] & (columns < PADDED)[None, :]
            b = tl.load(weights, mask=valid, other=0.0)
        elif PADDED % BLOCK_N != 0:
            b = tl.load(weights, mask=(columns < PADDED)[None, :], other=0.0)
        else:
            b = tl.load(weights)
        total = tl.dot(a, b, total, input_precision=PRECISION)
    live = (rows < ROWS)[:, None] & (columns < OUTPUTS)[None, :]
    pixels = sample * ROWS + rows[:, None]
    if SPLIT == 1:
        total = finished(
            total, bias, slope, residual, columns, pixels, live, OUTPUTS, RESIDUAL_PIXEL, RELU, RELU_LAST
        )
    else:
        pixels = (sample * SPLIT + part) * ROWS + rows[:, None]
    tl.store(y + pixels * Y_PIXEL + columns[None, :], total.to(y.dtype.element_ty), mask=live)
    if sums is not None:
        store_sums(total, sums, sample * TILES + tile, columns, columns < OUTPUTS, PADDED, BLOCK_M)


@jit
def finish(
    x, bias, slope, residual, y,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, Y_PIXEL: tl.constexpr, OUTPUTS: tl.constexpr,
    RESIDUAL_PIXEL: tl.constexpr, RELU: tl.constexpr, RELU_LAST: tl.constexpr, SPLIT: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Sum the parts and apply the epilogue."""
    sample = tl.program_id(2).to(tl.int64)
    rows = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    columns = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    live = (rows < ROWS)[:, None] & (columns < OUTPUTS)[None, :]
    total = gathered(x, sample, rows, columns, live, ROWS, 0, X_PIXEL, SPLIT)
    pixels = sample * ROWS + rows[:, None]
    total = finished(
        total, bias, slope, residual, columns, pixels, live, OUTPUTS, RESIDUAL_PIXEL, RELU, RELU_LAST
    )
    tl.store(y + pixels * Y_PIXEL + columns[None, :], total.to(y.dtype.element_ty), mask=live)


def launch_conv2d(c: Context) -> list[Launch]:
    """Build the launches of a dense convolution, or of a linear layer over [N,1,R,C] from channel `first`."""
    planes = c.planes("x")
    if planes is not None:
        return winograd.launch_winograd(c, planes)
    x, y, first = c.view("x"), c.view("y"), c.integer("first")
    kernel = c.step.weights["kernel"][0]
    assert isinstance(kernel, Conv)
    outputs, inputs, *deep, size, _ = kernel.shape
    slices, volume, slice_pad = deep[0] if deep else 1, c.integer("depth"), c.integer("depth_pad")
    depth = 4 if inputs == 3 else padded(inputs)
    form = "mirrored" if c.flag("reflect") else "conv2d"
    problem = tiles.Problem(form, y.pixels, outputs, depth, x.type, y.n, slices * size * size)
    block = tiles.choose(problem, c.table)
    if c.has("residual") and block.split == 1:
        block = dataclasses.replace(block, n=min(block.n, WIDE))
    rest = {"bias": c.vector("bias"), "slope": c.vector("prelu"), "residual": c.buffer("residual")}
    flags = constants(
        residual_pixel=c.view("residual").pixel if c.has("residual") else 0, relu=c.flag("relu"),
        relu_last=c.flag("relu_last"),
    )  # fmt: skip
    split, to = block.split > 1, c.integer("to")
    bare = not any(rest.values()) and not flags["RELU"] and not flags["RELU_LAST"] and outputs == y.c
    joined = split and bare and only_normalised(c, "y")
    sums: Argument = None
    out: Argument
    if split:
        out = c.add_partial("y", block.split) if joined else c.partials("y", block.split)
    else:
        out = c.buffer("y", to)
        if outputs == y.c and (y.h * y.w) % block.m == 0:
            sums = instance_norm.wanted_sums(c, "y", block.m)
        heavy = sums is not None or (c.has("bias") and c.has("prelu"))
        if heavy and tiles.known(problem, c.table) is None:
            block = dataclasses.replace(block, n=min(block.n, WIDE))
    main = Launch(
        "conv2d.conv2d",
        {
            "x": c.buffer("x", first),
            "kernel": c.conv("kernel", depth),
            **(dict.fromkeys(rest) if split else rest),
            "sums": sums,
            "y": out,
        },
        ("y", "sums"),
        constants(
            h=x.h, w=x.w, x_pixel=x.pixel, channels=4 if inputs == 3 else inputs, depth=depth,
            rows=y.pixels, width=y.w, y_pixel=padded(y.c) if split else y.pixel, outputs=outputs,
            padded=padded(outputs), size=size, stride=c.integer("stride"),
            pad=c.integer("pad"), reflect=c.flag("reflect"), slices=slices, volume=volume,
            out_volume=volume + 2 * slice_pad - slices + 1, slice_pad=slice_pad, precision=c.precision,
            split=block.split, tile_w=tiles.rectangle(y.h, y.w, block.m), block_m=block.m,
            block_n=block.n, block_k=block.k,
        ) | (constants(residual_pixel=0, relu=False, relu_last=False) if split else flags),
        (block.split * blocks(y.pixels, block.m), blocks(outputs, block.n)),
        y.n,
        tile=block.tile,
        problem=problem,
    )  # fmt: skip
    return [main] if joined or not split else [main, _finish(c, out, rest, flags, block.split, outputs)]


def _finish(
    c: Context, parts: Argument, rest: dict[str, Argument], flags: dict[str, int], split: int, outputs: int
) -> Launch:
    y = c.view("y")
    down, across = 32, power(outputs, 16, 64)
    return Launch(
        "conv2d.finish",
        {"x": parts, **rest, "y": c.buffer("y", c.integer("to"))},
        ("y",),
        constants(
            rows=y.pixels, x_pixel=padded(y.c), y_pixel=y.pixel, outputs=outputs, split=split, block_p=down,
            block_c=across,
        ) | flags,
        (blocks(y.pixels, down), blocks(outputs, across)),
        y.n,
    )  # fmt: skip
