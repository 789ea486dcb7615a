"""Regional convolutions without regions whose outputs are few: a row of the product is a patch of outputs.

A product of 32 or 64 columns keeps the matrix units waiting for its left operand. Here a row has the window
that a patch of 1 x 2 or 2 x 2 outputs reads together, and a column for every output channel of each:

    acc[patch, (a, b, o)] = sum over r, s, c of x[patch + (r, s), c] * kernel[r, s, c, (a, b, o)]

For 2 x 2 outputs these are 16 taps in place of 4 x 9 with four times the columns: 16/9 of the products, of
which 7 in 16 are with zeros, and 4/9 of the loads. Upsampling by the folded kernels of regional_conv.py is
the same, with a window of 3 x 3 and no products more.
"""

from __future__ import annotations

import numpy as np

from e4s_engine.plan import Arrays, Conv

from . import box, tiles
from .box import tile_outside
from .conv2d import rows_of
from .fir import add_skip, phase_kernels
from .language import jit, tl
from .launch import Context, Launch, Packed, blocks, constants, gemm_layout, kernel_of, padded
from .regional_epilogue import activation

# Largest number of outputs that patches of 2 x 2, of 1 x 2 and upsampled ones are for.
SQUARES, PAIRS, PHASES = 32, 64, 32
LEAST = 4096  # pixels


@jit
def patches(
    x, kernel, noise, bias, matrix, rgb_bias, skip, box, y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, DEPTH: tl.constexpr,
    DOWN: tl.constexpr, ALONG: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, TALL: tl.constexpr,
    WIDE: tl.constexpr, Y_PIXEL: tl.constexpr, OUTPUTS: tl.constexpr, PADDED: tl.constexpr,
    SLOPE: tl.constexpr, GAIN: tl.constexpr, PRECISION: tl.constexpr, BOX_SCALE: tl.constexpr,
    MARGIN: tl.constexpr, TILE_W: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """DOWN, ALONG: pixels of x between patches. ROWS, COLUMNS: the window. TALL, WIDE: outputs of a patch."""
    sample = tl.program_id(2).to(tl.int64)
    HIGH: tl.constexpr = H // DOWN
    BROAD: tl.constexpr = W // ALONG
    COUNT: tl.constexpr = TALL * WIDE
    if box is not None:
        if tile_outside(box, sample, tl.program_id(0), TALL, WIDE, BROAD, TILE_W, BLOCK_M, BOX_SCALE, MARGIN):
            return
    SPAN: tl.constexpr = BLOCK_K // DEPTH if BLOCK_K > DEPTH else 1  # pixels of a step
    STEPS: tl.constexpr = DEPTH // BLOCK_K if BLOCK_K < DEPTH else 1  # steps of a pixel
    places = rows_of(tl.program_id(0), BROAD, TILE_W, BLOCK_M)
    top = places // BROAD * DOWN - 1
    left = places % BROAD * ALONG - 1
    k = tl.arange(0, BLOCK_K)
    n = tl.arange(0, COUNT * PADDED)
    x += sample * (H * W * X_PIXEL)
    total = tl.zeros((BLOCK_M, COUNT * PADDED), tl.float32)
    TAPS: tl.constexpr = ROWS * COLUMNS // SPAN
    for step in range(0, TAPS * STEPS):
        tap = step % TAPS * SPAN
        row = top + tap // COLUMNS
        column = left + tap % COLUMNS
        across = column[:, None] + (k // DEPTH)[None, :]
        channel = step // TAPS * BLOCK_K + k
        inside = ((row >= 0) & (row < H))[:, None] & (across >= 0) & (across < W)
        if CHANNELS < DEPTH:
            inside = inside & (channel % DEPTH < CHANNELS)[None, :]
        source = x + ((row * W + column) * X_PIXEL)[:, None] + channel[None, :]
        a = tl.load(source, mask=inside, other=0.0)
        b = tl.load(kernel + (tap * DEPTH + channel)[:, None] * (COUNT * PADDED) + n[None, :])
        total = tl.dot(a, b, total, input_precision=PRECISION)
    sums = tl.reshape(total, (BLOCK_M, COUNT, PADDED))
    output = tl.arange(0, PADDED)
    known = output < OUTPUTS
    part = tl.arange(0, COUNT)[None, :]
    down = (places // BROAD * TALL)[:, None] + part // WIDE
    pixels = down * (BROAD * WIDE) + (places % BROAD * WIDE)[:, None] + part % WIDE
    live = (places < HIGH * BROAD)[:, None] & (part >= 0)
    if noise is not None:
        sums += tl.load(noise + pixels, mask=live, other=0.0)[:, :, None]
    if bias is not None:
        sums += tl.load(bias + output, mask=known, other=0.0)[None, None, :]
        sums = tl.where(sums > 0, sums, sums * SLOPE) * GAIN
    AREA: tl.constexpr = HIGH * BROAD * COUNT
    if matrix is None:
        target = y + (sample * AREA + pixels[:, :, None]) * Y_PIXEL + output[None, None, :]
        tl.store(target, sums.to(y.dtype.element_ty), mask=live[:, :, None] & known[None, None, :])
    else:
        channel = tl.arange(0, 4)[None, :]
        pixels = tl.reshape(pixels, (BLOCK_M * COUNT,))
        colour = tl.zeros((BLOCK_M * COUNT, 4), tl.float32)
        for c in tl.static_range(3):
            weights = tl.load(matrix + c * OUTPUTS + output, mask=known, other=0.0)
            one = tl.reshape(tl.sum(sums * weights[None, None, :], axis=2), (BLOCK_M * COUNT,))
            colour = tl.where(channel == c, one[:, None], colour)
        seen = tl.reshape(live.to(tl.int32), (BLOCK_M * COUNT,))[:, None] > 0
        seen = seen & (channel < 3)
        colour += tl.load(rgb_bias + channel, mask=channel < 3, other=0.0)
        if skip is not None:
            colour = add_skip(colour, skip, sample, pixels, channel, seen, HIGH * TALL, BROAD * WIDE)
        tl.store(y + (sample * AREA + pixels[:, None]) * Y_PIXEL + channel, colour, mask=seen)


def shape_of(c: Context, outputs: int) -> tuple[int, int] | None:
    """Return the outputs of a layer's patches, (rows, columns); None for layers that are not for patches."""
    x, y = c.view("x"), c.view("y")
    depth, width = padded(x.c), padded(outputs)
    if (
        c.has("styles")
        or y.pixels < LEAST
        or depth not in (16, 32, 64, 128, 256)
        or width not in (16, 32, 64)
    ):
        return None
    shape = (2, 2) if outputs <= SQUARES else (1, 2)
    if c.flag("upsample"):
        shape = (2, 2)
        fits = outputs <= PHASES
    else:
        fits = outputs <= PAIRS and x.h % shape[0] == 0 and x.w % 2 == 0
    wide = x.type == "f32" and shape[0] * shape[1] * width > tiles.FLOATS  # too many sums for registers
    if not fits or wide or tiles.refused(_problem(c, outputs, shape), c.table):
        return None
    return shape


def _problem(c: Context, outputs: int, shape: tuple[int, int]) -> tiles.Problem:
    x, (tall, wide) = c.view("x"), shape
    patches = x.pixels if c.flag("upsample") else x.pixels // (tall * wide)
    return tiles.Problem("patches", patches, tall * wide * padded(outputs), padded(x.c), x.type, x.n)


def patch_weights(conv: Conv, depth: int, shape: tuple[int, int], upsample: bool) -> Packed:
    """Return a kernel as [rows, columns, depth, outputs of a patch, outputs padded]."""
    tall, wide = shape

    def make(arrays: Arrays) -> np.ndarray:
        kernel = kernel_of(conv, arrays)
        if upsample:
            phases = [gemm_layout(k, depth) for k in phase_kernels(kernel)]
            return np.stack(phases, axis=2)
        taps = gemm_layout(kernel, depth).reshape(3, 3, depth, -1)
        result = np.zeros((tall + 2, wide + 2, depth, tall, wide, taps.shape[-1]), np.float32)
        for a in range(tall):
            for b in range(wide):
                result[a : a + 3, b : b + 3, :, a, b] = taps
        return result

    return Packed((*conv.key, f"patches{depth}.{tall}.{wide}.{upsample}"), conv.type, make)


def launch_patches(c: Context, conv: Conv, shape: tuple[int, int], rgb: Context | None) -> list[Launch]:
    """Build the launch of a layer; rgb: the toRGB step that it computes as well."""
    x, y, upsample = c.view("x"), c.view("y"), c.flag("upsample")
    outputs = conv.shape[0]  # y may have more channels
    depth, width = padded(x.c), padded(outputs)
    tall, wide = shape
    down, along = (1, 1) if upsample else shape
    high, broad = x.h // down, x.w // along
    window = (3, 3) if upsample else (tall + 2, wide + 2)
    problem = _problem(c, outputs, shape)
    block = tiles.choose(problem, c.table)
    k = min(32 if x.type == "f32" else 64, depth if upsample else 2 * depth)
    return [
        Launch(
            "patches.patches",
            {
                "x": c.buffer("x"),
                "kernel": patch_weights(conv, depth, shape, upsample),
                "noise": c.vector("noise"),
                "bias": c.vector("bias"),
                "matrix": rgb.vector("matrix") if rgb else None,
                "rgb_bias": rgb.vector("bias") if rgb else None,
                "skip": rgb.buffer("skip") if rgb else None,
                "box": box.operand(c, "y"),
                "y": (rgb or c).buffer("y"),
            },
            ("y",),
            box.sizes(c, "y") | constants(
                h=x.h, w=x.w, x_pixel=x.pixel, channels=x.c, depth=depth, down=down, along=along,
                rows=window[0], columns=window[1], tall=tall, wide=wide,
                y_pixel=rgb.view("y").pixel if rgb else y.pixel, outputs=outputs, padded=width,
                precision=c.precision, tile_w=tiles.rectangle(high, broad, block.m), block_m=block.m,
                block_k=k,
            ) | activation(c),
            (blocks(high * broad, block.m), 1),
            y.n,
            tile=block.tile,
            problem=problem,
        )
    ]  # fmt: skip
