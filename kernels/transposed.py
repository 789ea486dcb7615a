"""Upsampling without styles, or with styles folded into the weights: a transposed convolution, then the FIR.

It takes 4 products per output pixel where the folded kernels of regional_conv.py take 9.
"""

from __future__ import annotations

import numpy as np

from e4s_engine.plan import Arrays, Conv

from . import box, tiles
from .box import outside, run_outside
from .fir import across
from .language import jit, tl
from .launch import Context, Launch, Packed, blocks, constants, gemm_layout, kernel_of, padded, power
from .regional_epilogue import activation, finished

LINES = 8  # rows per program of `filtered`


@jit
def transposed(
    x, kernel, box, y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, DEPTH: tl.constexpr,
    PADDED: tl.constexpr, PRECISION: tl.constexpr, BOX_SCALE: tl.constexpr, MARGIN: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Compute the transposed convolution of stride 2: all four output parities from one input tile.

        y[2 i + a, 2 j + b, o] = sum over p, q, c of x[i - p, j - q, c] * kernel[2 p + q, c, 2 a + b, o]

    Odd rows have no p = 1 and odd columns no q = 1: blocks of columns of such parities skip those taps.
    """
    sample = tl.program_id(2).to(tl.int64)
    if box is not None:
        if run_outside(box, sample, tl.program_id(0) * BLOCK_M, BLOCK_M, W + 1, BOX_SCALE, MARGIN):
            return
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    i = rows // (W + 1)
    j = rows % (W + 1)
    x += sample * (H * W * X_PIXEL)
    parity = columns // PADDED
    down = tl.max(2 - parity // 2, axis=0)
    along = tl.max(2 - parity % 2, axis=0)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for step in range(0, down * along * (DEPTH // BLOCK_K)):
        p = step % (down * along) // along
        q = step % along
        channel = step // (down * along) * BLOCK_K + tl.arange(0, BLOCK_K)
        row = i - p
        column = j - q
        inside = ((row >= 0) & (row < H) & (column >= 0) & (column < W))[:, None]
        if CHANNELS % BLOCK_K != 0:
            inside = inside & (channel < CHANNELS)[None, :]
        a = tl.load(x + ((row * W + column) * X_PIXEL)[:, None] + channel[None, :], mask=inside, other=0.0)
        weights = kernel + ((2 * p + q) * DEPTH + channel)[:, None] * (4 * PADDED) + columns[None, :]
        if 4 * PADDED % BLOCK_N == 0:
            b = tl.load(weights)
        else:
            b = tl.load(weights, mask=(columns < 4 * PADDED)[None, :], other=0.0)
        total = tl.dot(a, b, total, input_precision=PRECISION)
    beside = (2 * j)[:, None] + (parity % 2)[None, :]
    place = ((2 * i)[:, None] + (parity // 2)[None, :]) * (2 * W + 2) + beside
    target = y + (sample * ((2 * H + 2) * (2 * W + 2)) + place) * PADDED + (columns % PADDED)[None, :]
    live = (i <= H)[:, None] & (columns < 4 * PADDED)[None, :]
    tl.store(target, total.to(y.dtype.element_ty), mask=live)


@jit
def filtered(
    x, noise, bias, box, y,
    H: tl.constexpr, W: tl.constexpr, PADDED: tl.constexpr, OUTPUTS: tl.constexpr, Y_PIXEL: tl.constexpr,
    SLOPE: tl.constexpr, GAIN: tl.constexpr, BOX_SCALE: tl.constexpr, MARGIN: tl.constexpr,
    LINES: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Apply the FIR (1, 3, 3, 1) / 4 along both axes of the transposed convolution, then the epilogue.

    The epilogue is noise, bias, activation. H, W: size of the result. A program computes LINES rows, each
    from four horizontally filtered rows.
    """
    sample = tl.program_id(2).to(tl.int64)
    top = tl.program_id(0) // ((W + BLOCK_P - 1) // BLOCK_P) * LINES
    left = tl.program_id(0) % ((W + BLOCK_P - 1) // BLOCK_P) * BLOCK_P
    if box is not None:
        if outside(box, sample, top, left, top + LINES, left + BLOCK_P, BOX_SCALE, MARGIN):
            return
    column = left + tl.arange(0, BLOCK_P)
    channels = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    known = column < W
    x += sample * ((H + 2) * (W + 2) * PADDED)
    first = across(x, top - 1, column, channels, known, H + 2, W + 2, PADDED)
    second = across(x, top, column, channels, known, H + 2, W + 2, PADDED)
    third = across(x, top + 1, column, channels, known, H + 2, W + 2, PADDED)
    region = tl.zeros((BLOCK_P,), tl.int32)
    for line in tl.static_range(LINES):
        fourth = across(x, top + line + 2, column, channels, known, H + 2, W + 2, PADDED)
        total = (first + fourth) * 0.25 + (second + third) * 0.75
        first = second
        second = third
        third = fourth
        pixels = (top + line) * W + column
        inside = known & (top + line < H)
        live = inside[:, None] & (channels < OUTPUTS)[None, :]
        total = finished(
            total, None, noise, bias, sample, pixels, region, channels, live, inside, OUTPUTS, 1, 0,
            SLOPE, GAIN,
        )  # fmt: skip
        target = y + (sample * (H * W) + pixels[:, None]) * Y_PIXEL + channels[None, :]
        tl.store(target, total.to(y.dtype.element_ty), mask=live)


def transposed_weights(conv: Conv, depth: int) -> Packed:
    """Return an upsampling layer's kernel, [4 taps, depth, 4 parities * outputs padded]: see `transposed`."""

    def make(arrays: Arrays) -> np.ndarray:
        laid_out = gemm_layout(kernel_of(conv, arrays), depth).reshape(3, 3, depth, -1)
        result = np.zeros((2, 2, depth, 2, 2, laid_out.shape[-1]), np.float32)
        taps = ((0, 0, 0), (1, 0, 2), (0, 1, 1))  # p or q, parity, tap
        for p, a, row in taps:
            for q, b, column in taps:
                result[p, q, :, a, b] = laid_out[row, column]
        return result

    return Packed((*conv.key, f"transposed{depth}"), conv.type, make)


def launch_transposed(c: Context, conv: Conv) -> list[Launch]:
    """Build the launches of an upsampling layer whose styles are part of the weights."""
    x, y = c.view("x"), c.view("y")
    outputs = conv.shape[0]  # y may have more channels
    depth, width = padded(x.c), padded(outputs)
    pixels = (x.h + 1) * (x.w + 1)
    problem = tiles.Problem("transposed", pixels, 4 * width, depth, x.type, y.n)
    block = tiles.choose(problem, c.table)
    between = c.temporary(y.n * 4 * pixels * width, x.type)
    down, across = 32, power(outputs, 16, 32)
    first = Launch(
        "transposed.transposed",
        {
            "x": c.buffer("x"), "kernel": transposed_weights(conv, depth), "box": box.operand(c, "x"),
            "y": between,
        },
        ("y",),
        box.sizes(c, "x") | constants(
            h=x.h, w=x.w, x_pixel=x.pixel, channels=x.c, depth=depth, padded=width, precision=c.precision,
            block_m=block.m, block_n=block.n, block_k=block.k,
        ),
        (blocks(pixels, block.m), blocks(4 * width, block.n)),
        y.n,
        tile=block.tile,
        problem=problem,
    )  # fmt: skip
    second = Launch(
        "transposed.filtered",
        {
            "x": between, "noise": c.vector("noise"), "bias": c.vector("bias"), "box": box.operand(c, "y"),
            "y": c.buffer("y"),
        },
        ("y",),
        box.sizes(c, "y") | constants(
            h=y.h, w=y.w, padded=width, outputs=outputs, y_pixel=y.pixel, lines=LINES, block_p=down,
            block_c=across,
        ) | activation(c),
        (blocks(y.h, LINES) * blocks(y.w, down), blocks(outputs, across)),
        y.n,
    )  # fmt: skip
    return [first, second]
