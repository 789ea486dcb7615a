"""Regional modulated convolution as one implicit GEMM (E4S section 3.3; StyleGAN2 section 2.2).

The style is a property of the output pixel: the row of A that feeds it is scaled by the style of its region,

    acc[pixel, o] = sum over tap, c of x[pixel + tap, c] * style[region of pixel, c] * kernel[tap, c, o]

and the epilogue demodulates with that region's scale, adds noise and bias and activates. A tile whose pixels
share a region reads one row of styles; a tile on a border gathers a row per pixel. Channels go round in the
outer order and taps in the inner one, so that a step's styles stay in the first-level cache.

Upsampling (transposed convolution and FIR) is four 3 x 3 convolutions of the small map, one per parity of the
output pixel, each with a kernel folded from both: programs side by side make the four phases of one tile.
"""

from __future__ import annotations

import numpy as np

from e4s_engine.plan import Arrays, Conv

from . import tiles
from .language import jit, tl
from .launch import Context, Launch, Packed, blocks, constants, gemm_layout, kernel_of, padded

# MIX[phase][d][k]: how much of tap k an output row (or column) of that parity takes of input d - 1; as
# e4s_engine.ops._fir.phase_kernels has it.
MIX = np.array(
    [
        [[0, 0.25, 0.75], [0.75, 0.75, 0.25], [0.25, 0, 0]],
        [[0, 0, 0.25], [0.25, 0.75, 0.75], [0.75, 0.25, 0]],
    ],
    np.float32,
)


@jit
def accumulate(
    x, kernel, styles, region, row, column, columns,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, DEPTH: tl.constexpr,
    STYLE_PIXEL: tl.constexpr, PADDED: tl.constexpr, UNIFORM: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """The sums of one tile. region: of every row, or of all rows where UNIFORM."""
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for step in range(0, 9 * (DEPTH // BLOCK_K)):
        tap = step % 9
        channel = step // 9 * BLOCK_K + tl.arange(0, BLOCK_K)
        from_row = row + tap // 3 - 1
        from_column = column + tap % 3 - 1
        inside = (from_row >= 0) & (from_row < H) & (from_column >= 0) & (from_column < W)
        pixel = (from_row * W + from_column) * X_PIXEL
        if CHANNELS % BLOCK_K == 0:
            a = tl.load(x + pixel[:, None] + channel[None, :], mask=inside[:, None], other=0.0)
        else:
            given = inside[:, None] & (channel < CHANNELS)[None, :]
            a = tl.load(x + pixel[:, None] + channel[None, :], mask=given, other=0.0)
        if styles is not None:
            if UNIFORM:
                style = tl.load(styles + region * STYLE_PIXEL + channel, mask=channel < CHANNELS, other=0.0)
                a = (a * style[None, :]).to(x.dtype.element_ty)
            else:
                places = region[:, None] * STYLE_PIXEL + channel[None, :]
                style = tl.load(styles + places, mask=(channel < CHANNELS)[None, :], other=0.0)
                a = (a * style).to(x.dtype.element_ty)
        weights = kernel + (tap * DEPTH + channel)[:, None] * PADDED + columns[None, :]
        if PADDED % BLOCK_N == 0:
            b = tl.load(weights)
        else:
            b = tl.load(weights, mask=(columns < PADDED)[None, :], other=0.0)
        total = tl.dot(a, b, total, input_precision=PRECISION)
    return total


@jit
def regional_conv(
    x, kernel, styles, demodulation, labels, noise, bias, y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, DEPTH: tl.constexpr,
    Y_PIXEL: tl.constexpr, OUTPUTS: tl.constexpr, PADDED: tl.constexpr, REGIONS: tl.constexpr,
    STYLE_PIXEL: tl.constexpr, SCALE_PIXEL: tl.constexpr, UPSAMPLE: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    SCALE: tl.constexpr = 2 if UPSAMPLE else 1
    sample = tl.program_id(2).to(tl.int64)
    phase = tl.program_id(0) % (SCALE * SCALE)
    rows = tl.program_id(0) // (SCALE * SCALE) * BLOCK_M + tl.arange(0, BLOCK_M)  # pixels of x
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    row = rows // W
    column = rows % W
    pixels = (row * SCALE + phase // SCALE) * (W * SCALE) + column * SCALE + phase % SCALE  # of y
    inside = rows < H * W
    x += sample * (H * W * X_PIXEL)
    kernel += phase * (9 * DEPTH * PADDED)
    area: tl.constexpr = H * W * SCALE * SCALE
    if labels is not None:
        region = tl.load(labels + sample * area + pixels, mask=inside, other=0).to(tl.int32)
        styles += sample * (REGIONS * STYLE_PIXEL)
        low = tl.min(tl.where(inside, region, REGIONS), axis=0)
        high = tl.max(region, axis=0)
        if low == high:
            total = accumulate(
                x, kernel, styles, low, row, column, columns, H, W, X_PIXEL, CHANNELS, DEPTH, STYLE_PIXEL,
                PADDED, True, PRECISION, BLOCK_M, BLOCK_N, BLOCK_K,
            )  # fmt: skip
        else:
            total = accumulate(
                x, kernel, styles, region, row, column, columns, H, W, X_PIXEL, CHANNELS, DEPTH, STYLE_PIXEL,
                PADDED, False, PRECISION, BLOCK_M, BLOCK_N, BLOCK_K,
            )  # fmt: skip
    else:
        region = tl.zeros((BLOCK_M,), tl.int32)
        if styles is not None:
            styles += sample * (REGIONS * STYLE_PIXEL)
        total = accumulate(
            x, kernel, styles, 0, row, column, columns, H, W, X_PIXEL, CHANNELS, DEPTH, STYLE_PIXEL, PADDED,
            True, PRECISION, BLOCK_M, BLOCK_N, BLOCK_K,
        )  # fmt: skip
    live = inside[:, None] & (columns < OUTPUTS)[None, :]
    if demodulation is not None:
        places = sample * (REGIONS * SCALE_PIXEL) + region[:, None] * SCALE_PIXEL + columns[None, :]
        total *= tl.load(demodulation + places, mask=live, other=0.0)
    if noise is not None:
        total += tl.load(noise + pixels, mask=inside, other=0.0)[:, None]
    if bias is not None:
        total += tl.load(bias + columns, mask=columns < OUTPUTS, other=0.0)[None, :]
        total = tl.where(total > 0, total, total * 0.2) * 1.4142135623730951
    target = y + (sample * area + pixels[:, None]) * Y_PIXEL + columns[None, :]
    tl.store(target, total.to(y.dtype.element_ty), mask=live)


def phase_kernels(kernel: np.ndarray) -> list[np.ndarray]:
    """[O,I,3,3] -> four of them, by the parity of the output's row and column."""
    return [
        np.einsum("yk,xl,oikl->oiyx", MIX[a], MIX[b], kernel, optimize=True) for a in (0, 1) for b in (0, 1)
    ]


def phase_weights(conv: Conv, depth: int) -> Packed:
    """The folded kernels of an upsampling layer, [4 * 9, depth, outputs padded]."""

    def make(arrays: Arrays) -> np.ndarray:
        return np.concatenate([gemm_layout(k, depth) for k in phase_kernels(kernel_of(conv, arrays))])

    return Packed((*conv.key, f"phases{depth}"), conv.type, make)


def launch_regional_conv(c: Context) -> list[Launch]:
    """A modulated convolution; without styles they are part of the weights."""
    x, y, upsample = c.view("x"), c.view("y"), c.flag("upsample")
    depth, phases = padded(x.c), 4 if upsample else 1
    conv = c.step.weights["kernel"][0]
    assert isinstance(conv, Conv)
    problem = tiles.Problem("regional_conv", x.pixels, y.c, depth, x.type, y.n * phases)
    block = tiles.choose(problem, c.table)
    styles = c.view("styles") if c.has("styles") else None
    return [
        Launch(
            "regional_conv.regional_conv",
            {
                "x": c.buffer("x"),
                "kernel": phase_weights(conv, depth) if upsample else c.conv("kernel", depth),
                "styles": c.buffer("styles"),
                "demodulation": c.buffer("demodulation"),
                "labels": c.buffer("labels"),
                "noise": c.vector("noise"),
                "bias": c.vector("bias"),
                "y": c.buffer("y"),
            },
            ("y",),
            constants(
                h=x.h, w=x.w, x_pixel=x.pixel, channels=x.c, depth=depth, y_pixel=y.pixel, outputs=y.c,
                padded=padded(y.c), regions=styles.w if styles else 1,
                style_pixel=styles.pixel if styles else 0,
                scale_pixel=c.view("demodulation").pixel if styles else 0, upsample=upsample,
                precision=c.precision, block_m=block.m, block_n=block.n, block_k=block.k,
            ),
            (phases * blocks(x.pixels, block.m), blocks(y.c, block.n)),
            y.n,
            tile=block.tile,
            problem=problem,
        )
    ]  # fmt: skip
