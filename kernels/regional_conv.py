"""Regional modulated convolution as one implicit GEMM (E4S section 3.3; StyleGAN2 section 2.2).

The style is a property of the output pixel: the row of A that feeds it is scaled by the style of its region,

    acc[pixel, o] = sum over tap, c of x[pixel + tap, c] * style[region of pixel, c] * kernel[tap, c, o]

and the epilogue demodulates with that region's scale, adds noise and bias and activates. A tile whose pixels
share a region reads one row of styles; a tile on a border gathers a row per pixel. Channels are the outer
loop and taps the inner one, so that a step's styles stay in the first-level cache. Large maps are scaled
ahead, see spread.py.

Upsampling (transposed convolution and FIR) is four 3 x 3 convolutions of the small map, one per parity of the
output pixel, each with a kernel folded from both: adjacent programs compute the four phases of one tile. So
it is for small maps, and for labels with too many borders; see transposed.py for others.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from e4s_engine.plan import Arrays, Conv

from . import box, patches, seams, spread, tiles
from .box import run_outside, tile_outside
from .conv2d import rows_of
from .fir import add_skip, phase_kernels
from .instance_norm import gathered
from .language import jit, tl
from .launch import (
    Argument,
    Context,
    Launch,
    Packed,
    blocks,
    constants,
    gemm_layout,
    kernel_of,
    padded,
    power,
)
from .regional_epilogue import activated, activation, demodulated, finished, written
from .transposed import launch_transposed, problem_of


@jit
def accumulate(
    x, kernel, styles, region, row, column, columns, part,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, DEPTH: tl.constexpr,
    STYLE_PIXEL: tl.constexpr, PADDED: tl.constexpr, UNIFORM: tl.constexpr, PRECISION: tl.constexpr,
    SPLIT: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """Return the sums of one tile.

    region: region of each row, or one for all rows if UNIFORM. STAGES: loads in flight, or None.
    """
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for step in tl.range(0, 9 * (DEPTH // BLOCK_K // SPLIT), num_stages=STAGES):
        tap = step % 9
        channel = (part * (DEPTH // BLOCK_K // SPLIT) + step // 9) * BLOCK_K + tl.arange(0, BLOCK_K)
        from_row = row + tap // 3 - 1
        from_column = column + tap % 3 - 1
        inside = (from_row >= 0) & (from_row < H) & (from_column >= 0) & (from_column < W)
        pixel = (from_row * W + from_column) * X_PIXEL
        if CHANNELS % BLOCK_K == 0:
            a = tl.load(x + pixel[:, None] + channel[None, :], mask=inside[:, None], other=0.0)
        else:
            valid = inside[:, None] & (channel < CHANNELS)[None, :]
            a = tl.load(x + pixel[:, None] + channel[None, :], mask=valid, other=0.0)
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
def accumulate_spread(
    copies, kernel, code, row, column, columns, part,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, DEPTH: tl.constexpr,
    PADDED: tl.constexpr, PRECISION: tl.constexpr, SPLIT: tl.constexpr, BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Return the sums of one tile of a map that was spread. code: copies that each row's taps read."""
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for step in range(0, 9 * (DEPTH // BLOCK_K // SPLIT)):
        tap = step % 9
        channel = (part * (DEPTH // BLOCK_K // SPLIT) + step // 9) * BLOCK_K + tl.arange(0, BLOCK_K)
        from_row = row + tap // 3 - 1
        from_column = column + tap % 3 - 1
        inside = (from_row >= 0) & (from_row < H) & (from_column >= 0) & (from_column < W)
        copy = (code >> (2 * tap)) & 3
        pixel = (copy * (H * W) + from_row * W + from_column) * X_PIXEL
        if CHANNELS % BLOCK_K == 0:
            a = tl.load(copies + pixel[:, None] + channel[None, :], mask=inside[:, None], other=0.0)
        else:
            valid = inside[:, None] & (channel < CHANNELS)[None, :]
            a = tl.load(copies + pixel[:, None] + channel[None, :], mask=valid, other=0.0)
        weights = kernel + (tap * DEPTH + channel)[:, None] * PADDED + columns[None, :]
        if PADDED % BLOCK_N == 0:
            b = tl.load(weights)
        else:
            b = tl.load(weights, mask=(columns < PADDED)[None, :], other=0.0)
        total = tl.dot(a, b, total, input_precision=PRECISION)
    return total


@jit
def regional_conv(
    x, kernel, styles, copies, codes, demodulation, labels, noise, bias, matrix, rgb_bias, skip, count, box,
    y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, DEPTH: tl.constexpr,
    Y_PIXEL: tl.constexpr, OUTPUTS: tl.constexpr, PADDED: tl.constexpr, REGIONS: tl.constexpr,
    STYLE_PIXEL: tl.constexpr, SCALE_PIXEL: tl.constexpr, SLOPE: tl.constexpr, GAIN: tl.constexpr,
    UPSAMPLE: tl.constexpr, PRECISION: tl.constexpr, SPLIT: tl.constexpr, COPIES: tl.constexpr,
    OVERFLOW: tl.constexpr, MOST: tl.constexpr, BOX_SCALE: tl.constexpr, MARGIN: tl.constexpr,
    TILE_W: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """count: where it is at most MOST, other launches have computed the sample (transposed.py)."""
    SCALE: tl.constexpr = 2 if UPSAMPLE else 1
    sample = tl.program_id(2).to(tl.int64)
    phase = tl.program_id(0) % (SCALE * SCALE)
    TILES: tl.constexpr = (H * W + BLOCK_M - 1) // BLOCK_M
    tile = tl.program_id(0) // (SCALE * SCALE) % TILES
    part = tl.program_id(0) // (SCALE * SCALE * TILES)
    if count is not None:
        if tl.load(count + sample) <= MOST:
            return
    if box is not None:
        if tile_outside(box, sample, tile, SCALE, SCALE, W, TILE_W, BLOCK_M, BOX_SCALE, MARGIN):
            return
    rows = rows_of(tile, W, TILE_W, BLOCK_M)  # pixels of x
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    row = rows // W
    column = rows % W
    pixels = (row * SCALE + phase // SCALE) * (W * SCALE) + column * SCALE + phase % SCALE  # of y
    inside = rows < H * W
    x += sample * (H * W * X_PIXEL)
    kernel += phase * (9 * DEPTH * PADDED)
    area: tl.constexpr = H * W * SCALE * SCALE
    if labels is not None:
        styles += sample * (REGIONS * STYLE_PIXEL)
        if codes is None or box is None:
            region = tl.load(labels + sample * area + pixels, mask=inside, other=0).to(tl.int32)
    if codes is not None:
        code = tl.load(codes + sample * area + pixels, mask=inside, other=0)
        if tl.max(code, axis=0) < OVERFLOW:
            copies += sample * (COPIES * H * W * X_PIXEL)
            total = accumulate_spread(
                copies, kernel, code, row, column, columns, part, H, W, X_PIXEL, CHANNELS, DEPTH, PADDED,
                PRECISION, SPLIT, BLOCK_M, BLOCK_N, BLOCK_K,
            )  # fmt: skip
        else:  # rare, and it must not take the other path's registers: small steps, two loads in flight
            if box is not None:
                region = tl.load(labels + sample * area + pixels, mask=inside, other=0).to(tl.int32)
            total = accumulate(
                x, kernel, styles, region, row, column, columns, part, H, W, X_PIXEL, CHANNELS, DEPTH,
                STYLE_PIXEL, PADDED, False, PRECISION, SPLIT, BLOCK_M, BLOCK_N, 16, 2,
            )  # fmt: skip
    elif labels is not None:
        low = tl.min(tl.where(inside, region, REGIONS), axis=0)
        high = tl.max(region, axis=0)
        if low == high:
            total = accumulate(
                x, kernel, styles, low, row, column, columns, part, H, W, X_PIXEL, CHANNELS, DEPTH,
                STYLE_PIXEL, PADDED, True, PRECISION, SPLIT, BLOCK_M, BLOCK_N, BLOCK_K,
                None,
            )  # fmt: skip
        else:
            total = accumulate(
                x, kernel, styles, region, row, column, columns, part, H, W, X_PIXEL, CHANNELS, DEPTH,
                STYLE_PIXEL, PADDED, False, PRECISION, SPLIT, BLOCK_M, BLOCK_N, BLOCK_K,
                None,
            )  # fmt: skip
    else:
        region = tl.zeros((BLOCK_M,), tl.int32)
        if styles is not None:
            styles += sample * (REGIONS * STYLE_PIXEL)
        total = accumulate(
            x, kernel, styles, 0, row, column, columns, part, H, W, X_PIXEL, CHANNELS, DEPTH, STYLE_PIXEL,
            PADDED, True, PRECISION, SPLIT, BLOCK_M, BLOCK_N, BLOCK_K, None,
        )  # fmt: skip
    live = inside[:, None] & (columns < OUTPUTS)[None, :]
    if SPLIT == 1 and codes is not None:
        if box is not None:  # beside it the sums leave no registers for regions that are read before
            region = tl.load(labels + sample * area + pixels, mask=inside, other=0).to(tl.int32)
        total = demodulated(
            total, demodulation, sample, region, columns, inside, OUTPUTS, REGIONS, SCALE_PIXEL
        )
        total = activated(total, noise, bias, pixels, columns, inside, OUTPUTS, SLOPE, GAIN)
    elif SPLIT == 1:
        total = finished(
            total, demodulation, noise, bias, sample, pixels, region, columns, live, inside, OUTPUTS,
            REGIONS, SCALE_PIXEL, SLOPE, GAIN,
        )  # fmt: skip
    target = (sample * SPLIT + part) * area + pixels[:, None]
    if matrix is None:
        tl.store(y + target * Y_PIXEL + columns[None, :], total.to(y.dtype.element_ty), mask=live)
    else:
        channel = tl.arange(0, 4)[None, :]
        live = inside[:, None] & (channel < 3)
        colour = tl.zeros((BLOCK_M, 4), tl.float32)
        for c in tl.static_range(3):
            weights = tl.load(matrix + c * OUTPUTS + columns, mask=columns < OUTPUTS, other=0.0)
            colour = tl.where(channel == c, tl.sum(total * weights[None, :], axis=1)[:, None], colour)
        colour += tl.load(rgb_bias + channel, mask=channel < 3, other=0.0)
        if skip is not None:
            colour = add_skip(colour, skip, sample, pixels, channel, live, H, W)
        tl.store(y + target * Y_PIXEL + channel, colour, mask=live)


@jit
def finish(
    x, demodulation, labels, noise, bias, box, y,
    AREA: tl.constexpr, WIDTH: tl.constexpr, X_PIXEL: tl.constexpr, Y_PIXEL: tl.constexpr,
    OUTPUTS: tl.constexpr, REGIONS: tl.constexpr, SCALE_PIXEL: tl.constexpr, SLOPE: tl.constexpr,
    GAIN: tl.constexpr, SPLIT: tl.constexpr, BOX_SCALE: tl.constexpr, MARGIN: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Sum the parts and apply the epilogue."""
    sample = tl.program_id(2).to(tl.int64)
    if box is not None:
        if run_outside(box, sample, tl.program_id(0) * BLOCK_P, BLOCK_P, WIDTH, BOX_SCALE, MARGIN):
            return
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    columns = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    inside = pixels < AREA
    live = inside[:, None] & (columns < OUTPUTS)[None, :]
    region = tl.zeros((BLOCK_P,), tl.int32)
    if labels is not None:
        region = tl.load(labels + sample * AREA + pixels, mask=inside, other=0).to(tl.int32)
    total = gathered(x, sample, pixels, columns, live, AREA, 0, X_PIXEL, SPLIT)
    written(
        total, demodulation, noise, bias, y, sample, pixels, region, columns, inside, AREA, OUTPUTS, REGIONS,
        SCALE_PIXEL, Y_PIXEL, SLOPE, GAIN,
    )  # fmt: skip


def phase_weights(conv: Conv, depth: int) -> Packed:
    """Return the folded kernels of an upsampling layer, [4 * 9, depth, outputs padded]."""

    def make(arrays: Arrays) -> np.ndarray:
        return np.concatenate([gemm_layout(k, depth) for k in phase_kernels(kernel_of(conv, arrays))])

    return Packed((*conv.key, f"phases{depth}"), conv.type, make)


def launch_regional_conv(c: Context) -> list[Launch]:
    """Build the launches of a modulated convolution; without styles, these are folded into the weights."""
    y, upsample = c.view("y"), c.flag("upsample")
    conv = c.step.weights["kernel"][0]
    assert isinstance(conv, Conv)
    outputs = conv.shape[0]  # y may have more channels
    shape = patches.shape_of(c, outputs)
    if shape:
        rgb = None if upsample or outputs < y.c else _only_coloured(c)
        return patches.launch_patches(c, conv, shape, rgb)
    if upsample and not c.has("styles"):
        return launch_transposed(c, conv)
    if upsample and spread.wanted(c) and not tiles.refused(problem_of(c, outputs), c.table):
        scaling, read = spread.launches(c)
        rows = seams.rows_of(c, read.near)
        # Mostly there is nothing for the sums: they come first, so that no other launch waits for them.
        return [*_launch_sums(c, conv, rows), scaling, *launch_transposed(c, conv, read, rows)]
    return _launch_sums(c, conv)


def _launch_sums(c: Context, conv: Conv, rows: seams.Rows | None = None) -> list[Launch]:
    """Build the launches of a layer by this file's kernels. rows: where they fit, nothing is computed."""
    x, y, upsample = c.view("x"), c.view("y"), c.flag("upsample")
    depth, phases, outputs = padded(x.c), 4 if upsample else 1, conv.shape[0]
    is_spread = spread.wanted(c) and rows is None
    name = "spread" if is_spread else "regional_conv"
    problem = tiles.Problem(name, x.pixels, outputs, depth, x.type, y.n * phases, 9)
    block = dataclasses.replace(tiles.default(problem), split=1) if rows else tiles.choose(problem, c.table)
    styles = c.view("styles") if c.has("styles") else None
    epilogue = activation(c) | constants(
        regions=styles.w if styles else 1, scale_pixel=c.view("demodulation").pixel if styles else 0
    )
    rest = {
        "demodulation": c.buffer("demodulation"),
        "labels": c.buffer("labels"),
        "noise": c.vector("noise"),
        "bias": c.vector("bias"),
    }
    scaling, read = spread.launches(c) if is_spread else (None, None)
    split = block.split > 1
    rgb = None if split or upsample or styles or block.n < outputs or outputs < y.c else _only_coloured(c)
    out = c.partials("y", block.split) if split else (rgb or c).buffer("y")
    first = Launch(
        "regional_conv.regional_conv",
        {
            "x": c.buffer("x"),
            "kernel": phase_weights(conv, depth) if upsample else c.conv("kernel", depth),
            "styles": c.buffer("styles"),
            "copies": read.copies if read else None,
            "codes": spread.add_codes(c, read.near) if read else None,
            **(dict.fromkeys(rest) | {"labels": rest["labels"]} if split else rest),
            "matrix": rgb.vector("matrix") if rgb else None,
            "rgb_bias": rgb.vector("bias") if rgb else None,
            "skip": rgb.buffer("skip") if rgb else None,
            "count": rows.count if rows else None,
            "box": box.operand(c, "y"),
            "y": out,
        },
        ("y",),
        box.sizes(c, "y") | constants(
            h=x.h, w=x.w, x_pixel=x.pixel, channels=x.c, depth=depth,
            y_pixel=padded(outputs) if split else (rgb.view("y") if rgb else y).pixel, outputs=outputs,
            padded=padded(outputs), style_pixel=styles.pixel if styles else 0, upsample=upsample,
            precision=c.precision, split=block.split, copies=spread.COPIES, overflow=spread.OVERFLOW,
            most=rows.most if rows else 0, tile_w=tiles.rectangle(x.h, x.w, block.m), block_m=block.m,
            block_n=block.n, block_k=block.k,
        ) | epilogue,
        (block.split * phases * blocks(x.pixels, block.m), blocks(outputs, block.n)),
        y.n,
        tile=block.tile,
        problem=None if rows else problem,
    )  # fmt: skip
    last = [_finish(c, outputs, out, rest, epilogue, block.split)] if split else []
    return [*([scaling] if scaling else []), first, *last]


def _only_coloured(c: Context) -> Context | None:
    """Absorb an unmodulated toRGB step that alone reads this layer's map; return its context or None."""
    readers = c.readers("y")
    if readers is None or len(readers) != 1:
        return None
    index, step, _ = readers[0]
    return c.absorb(index) if step.kind == "to_rgb" and "styles" not in step.buffers else None


def _finish(
    c: Context,
    outputs: int,
    parts: Argument,
    rest: dict[str, Argument],
    epilogue: dict[str, float],
    split: int,
) -> Launch:
    y, down, across = c.view("y"), 32, power(outputs, 16, 64)
    return Launch(
        "regional_conv.finish",
        {"x": parts, **rest, "box": box.operand(c, "y"), "y": c.buffer("y")},
        ("y",),
        box.sizes(c, "y") | constants(
            area=y.pixels, width=y.w, x_pixel=padded(outputs), y_pixel=y.pixel, outputs=outputs, split=split,
            block_p=down, block_c=across,
        ) | epilogue,
        (blocks(y.pixels, down), blocks(outputs, across)),
        y.n,
    )  # fmt: skip
