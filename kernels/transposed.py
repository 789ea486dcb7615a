"""Upsampling as a transposed convolution, then the FIR: 9/4 products per output where folded kernels take 9.

Places of the transposed convolution are rows of four parities. Without regions, or with styles folded into
the weights, there is one row for each pixel of the map, and one more at each end; with regions there are more
along their borders, see seams.py, and the FIR reads for each output the rows of its own region.
"""

from __future__ import annotations

import numpy as np

from e4s_engine.plan import Arrays, Conv

from . import box, seams, spread, tiles
from .box import outside
from .fir import across
from .language import jit, tl
from .launch import Context, Launch, Packed, blocks, constants, gemm_layout, kernel_of, padded, power
from .regional_epilogue import activation, written
from .spread import rank

LINES = 8  # rows per program of `filtered`
PIXELS = 32  # of each row
AT_ONCE = 1  # of these rows, where borders are near


@jit
def accumulate(
    x, kernel, styles, region, code, i, j, columns,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, DEPTH: tl.constexpr,
    STYLE_PIXEL: tl.constexpr, PADDED: tl.constexpr, PRECISION: tl.constexpr, BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Return the sums of one tile. styles, region: what scales each row's pixels, or None.

    code: copies of x that each row's taps read, or None. STAGES: loads in flight, or None.
    """
    parity = columns // PADDED
    down = tl.max(2 - parity // 2, axis=0)
    along = tl.max(2 - parity % 2, axis=0)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for step in tl.range(0, down * along * (DEPTH // BLOCK_K), num_stages=STAGES):
        p = step % (down * along) // along
        q = step % along
        channel = step // (down * along) * BLOCK_K + tl.arange(0, BLOCK_K)
        row = i - p
        column = j - q
        inside = ((row >= 0) & (row < H) & (column >= 0) & (column < W))[:, None]
        if CHANNELS % BLOCK_K != 0:
            inside = inside & (channel < CHANNELS)[None, :]
        pixel = row * W + column
        if code is not None:
            pixel += ((code >> (2 * (2 * p + q))) & 3) * (H * W)
        a = tl.load(x + (pixel * X_PIXEL)[:, None] + channel[None, :], mask=inside, other=0.0)
        if styles is not None:
            places = region[:, None] * STYLE_PIXEL + channel[None, :]
            style = tl.load(styles + places, mask=(channel < CHANNELS)[None, :], other=0.0)
            a = (a * style).to(x.dtype.element_ty)
        weights = kernel + ((2 * p + q) * DEPTH + channel)[:, None] * (4 * PADDED) + columns[None, :]
        if 4 * PADDED % BLOCK_N == 0:
            b = tl.load(weights)
        else:
            b = tl.load(weights, mask=(columns < 4 * PADDED)[None, :], other=0.0)
        total = tl.dot(a, b, total, input_precision=PRECISION)
    return total


@jit
def transposed(
    x, kernel, styles, copies, entries, codes, count, box, y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, DEPTH: tl.constexpr,
    PADDED: tl.constexpr, REGIONS: tl.constexpr, STYLE_PIXEL: tl.constexpr, COPIES: tl.constexpr,
    OVERFLOW: tl.constexpr, MOST: tl.constexpr, PRECISION: tl.constexpr, BOX_SCALE: tl.constexpr,
    MARGIN: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """Compute the transposed convolution of stride 2: all four output parities from one input tile.

        y[2 i + a, 2 j + b, o] = sum over p, q, c of x[i - p, j - q, c] * kernel[2 p + q, c, 2 a + b, o]

    Odd rows have no p = 1 and odd columns no q = 1: blocks of columns of such parities skip those taps.
    MOST: rows of y for which there is memory; nothing is computed if the labels ask for more.
    """
    sample = tl.program_id(2).to(tl.int64)
    first = tl.program_id(0) * BLOCK_M
    rows = first + tl.arange(0, BLOCK_M)
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    live = rows < MOST
    quad = rows
    if count is not None:
        asked = tl.load(count + sample)
        if (asked > MOST) | (first >= asked):
            return
        live = rows < asked
        entry = tl.load(entries + sample * MOST + rows, mask=live, other=0)
        quad = entry & 0xFFFFFF
    i = quad // (W + 1)
    j = quad % (W + 1)
    if box is not None:
        top = tl.min(tl.where(live, i, H), axis=0)
        left = tl.min(tl.where(live, j, W), axis=0)
        bottom = tl.max(tl.where(live, i, 0), axis=0) + 1
        right = tl.max(tl.where(live, j, 0), axis=0) + 1
        if outside(box, sample, top, left, bottom, right, BOX_SCALE, MARGIN):
            return
    x += sample * (H * W * X_PIXEL)
    if count is not None:
        code = tl.load(codes + sample * MOST + rows, mask=live, other=0)
        if tl.max(code, axis=0) < OVERFLOW:
            copies += sample * (COPIES * H * W * X_PIXEL)
            total = accumulate(
                copies, kernel, None, None, code, i, j, columns, H, W, X_PIXEL, CHANNELS, DEPTH, STYLE_PIXEL,
                PADDED, PRECISION, BLOCK_M, BLOCK_N, BLOCK_K, None,
            )  # fmt: skip
        else:  # rare, and it must not take the other path's registers: small steps, two loads in flight
            styles += sample * (REGIONS * STYLE_PIXEL)
            total = accumulate(
                x, kernel, styles, entry >> 24, None, i, j, columns, H, W, X_PIXEL, CHANNELS, DEPTH,
                STYLE_PIXEL, PADDED, PRECISION, BLOCK_M, BLOCK_N, 16, 2,
            )  # fmt: skip
    else:
        total = accumulate(
            x, kernel, None, None, None, i, j, columns, H, W, X_PIXEL, CHANNELS, DEPTH, STYLE_PIXEL, PADDED,
            PRECISION, BLOCK_M, BLOCK_N, BLOCK_K, None,
        )  # fmt: skip
    target = y + (sample * MOST + rows[:, None]) * (4 * PADDED) + columns[None, :]
    live = live[:, None] & (columns < 4 * PADDED)[None, :]
    tl.store(target, total.to(y.dtype.element_ty), mask=live)


@jit
def mixed(
    x, near, starts, region, row, column, channels, known,
    H: tl.constexpr, W: tl.constexpr, PADDED: tl.constexpr,
):  # fmt: skip
    """Apply the FIR along both axes for some outputs, each to the places of its own region."""
    total = tl.zeros((column.shape[0], channels.shape[0]), tl.float32)
    for tap in tl.static_range(16):
        m = row - 1 + tap // 4
        n = column - 1 + tap % 4
        live = known & (m >= 0) & (n >= 0) & (n < W + 2)  # there is a row H + 1
        quad = m // 2 * (W // 2 + 1) + n // 2
        regions = tl.load(near + quad, mask=live, other=0)
        further = live & ((regions >> 24) != region)
        start = tl.load(starts + quad, mask=further, other=0)
        place = tl.where(further, start + rank(regions, region), quad)
        source = (place * 4 + m % 2 * 2 + n % 2)[:, None] * PADDED + channels[None, :]
        value = tl.load(x + source, mask=live[:, None] & (channels < PADDED)[None, :], other=0.0)
        down = 0.75 if (tap // 4 == 1 or tap // 4 == 2) else 0.25
        along = 0.75 if (tap % 4 == 1 or tap % 4 == 2) else 0.25
        total += value.to(tl.float32) * (down * along)
    return total


@jit
def filtered(
    x, near, starts, count, demodulation, labels, noise, bias, box, y,
    H: tl.constexpr, W: tl.constexpr, PADDED: tl.constexpr, OUTPUTS: tl.constexpr, Y_PIXEL: tl.constexpr,
    REGIONS: tl.constexpr, SCALE_PIXEL: tl.constexpr, MOST: tl.constexpr, SLOPE: tl.constexpr,
    GAIN: tl.constexpr, BOX_SCALE: tl.constexpr, MARGIN: tl.constexpr, LINES: tl.constexpr,
    AT_ONCE: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Apply the FIR (1, 3, 3, 1) / 4 along both axes of the transposed convolution, then the epilogue.

    The epilogue is demodulation, noise, bias, activation. H, W: size of the result. A program computes LINES
    rows, where borders are near AT_ONCE in one step.
    """
    sample = tl.program_id(2).to(tl.int64)
    top = tl.program_id(0) // ((W + BLOCK_P - 1) // BLOCK_P) * LINES
    left = tl.program_id(0) % ((W + BLOCK_P - 1) // BLOCK_P) * BLOCK_P
    if box is not None:
        if outside(box, sample, top, left, top + LINES, left + BLOCK_P, BOX_SCALE, MARGIN):
            return
    channels = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    x += sample * (MOST * 4 * PADDED)
    if count is None:
        smooth(
            x, None, None, noise, bias, y, sample, top, left, channels, H, W, PADDED, OUTPUTS, REGIONS,
            SCALE_PIXEL, Y_PIXEL, SLOPE, GAIN, LINES, BLOCK_P,
        )  # fmt: skip
    else:
        if tl.load(count + sample) > MOST:
            return
        near += sample * ((H // 2 + 1) * (W // 2 + 1))
        starts += sample * ((H // 2 + 1) * (W // 2 + 1))
        labels += sample * (H * W)
        if borders(near, top, left, H, W, LINES, BLOCK_P) == 0:
            smooth(
                x, demodulation, labels, noise, bias, y, sample, top, left, channels, H, W, PADDED, OUTPUTS,
                REGIONS, SCALE_PIXEL, Y_PIXEL, SLOPE, GAIN, LINES, BLOCK_P,
            )  # fmt: skip
        else:
            for line in range(0, LINES, AT_ONCE):
                index = tl.arange(0, AT_ONCE * BLOCK_P)
                row = top + line + index // BLOCK_P
                column = left + index % BLOCK_P
                pixels = row * W + column
                inside = (column < W) & (row < H)
                region = tl.load(labels + pixels, mask=inside, other=0).to(tl.int32)
                total = mixed(x, near, starts, region, row, column, channels, inside, H, W, PADDED)
                written(
                    total, demodulation, noise, bias, y, sample, pixels, region, channels, inside, H * W,
                    OUTPUTS, REGIONS, SCALE_PIXEL, Y_PIXEL, SLOPE, GAIN,
                )  # fmt: skip


@jit
def borders(
    near, top, left, H: tl.constexpr, W: tl.constexpr, LINES: tl.constexpr, BLOCK_P: tl.constexpr
):  # fmt: skip
    """Return bits of the regions whose own rows outputs of a block read, beside those of the quads."""
    across_quads = left // 2 - 1 + tl.arange(0, BLOCK_P)
    reached = (across_quads >= 0) & (across_quads <= W // 2) & (across_quads <= (left + BLOCK_P) // 2)
    others = tl.zeros((BLOCK_P,), tl.int32)
    for i in tl.static_range(LINES // 2 + 2):
        down = top // 2 - 1 + i
        live = reached & (down >= 0) & (down <= H // 2)
        others |= tl.load(near + down * (W // 2 + 1) + across_quads, mask=live, other=0) & 0xFFFFFF
    return tl.max(others, axis=0)


@jit
def smooth(
    x, demodulation, labels, noise, bias, y, sample, top, left, channels,
    H: tl.constexpr, W: tl.constexpr, PADDED: tl.constexpr, OUTPUTS: tl.constexpr, REGIONS: tl.constexpr,
    SCALE_PIXEL: tl.constexpr, Y_PIXEL: tl.constexpr, SLOPE: tl.constexpr, GAIN: tl.constexpr,
    LINES: tl.constexpr, BLOCK_P: tl.constexpr,
):  # fmt: skip
    """Compute a block where no border is near: each row comes from four horizontally filtered ones."""
    column = left + tl.arange(0, BLOCK_P)
    known = column < W
    region = tl.zeros((column.shape[0],), tl.int32)
    first = across(x, top - 1, column, channels, known, H + 2, W + 2, PADDED)
    second = across(x, top, column, channels, known, H + 2, W + 2, PADDED)
    third = across(x, top + 1, column, channels, known, H + 2, W + 2, PADDED)
    for line in tl.static_range(LINES):
        fourth = across(x, top + line + 2, column, channels, known, H + 2, W + 2, PADDED)
        total = (first + fourth) * 0.25 + (second + third) * 0.75
        first = second
        second = third
        third = fourth
        pixels = (top + line) * W + column
        inside = known & (top + line < H)
        if labels is not None:
            region = tl.load(labels + pixels, mask=inside, other=0).to(tl.int32)
        written(
            total, demodulation, noise, bias, y, sample, pixels, region, channels, inside, H * W, OUTPUTS,
            REGIONS, SCALE_PIXEL, Y_PIXEL, SLOPE, GAIN,
        )  # fmt: skip


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


def problem_of(c: Context, outputs: int) -> tiles.Problem:
    """Return the product of an upsampling layer in this form; "seams" are those with regions."""
    x = c.view("x")
    name = "seams" if c.has("labels") else "transposed"
    return tiles.Problem(name, (x.h + 1) * (x.w + 1), 4 * padded(outputs), padded(x.c), x.type, x.n)


def launch_transposed(
    c: Context, conv: Conv, copies: spread.Spread | None = None, rows: seams.Rows | None = None
) -> list[Launch]:
    """Build the launches of an upsampling layer. copies, rows: of a layer with regions."""
    x, y = c.view("x"), c.view("y")
    styles = c.view("styles") if rows else None
    outputs = conv.shape[0]  # y may have more channels
    depth, width = padded(x.c), padded(outputs)
    problem = problem_of(c, outputs)
    most = rows.most if rows else problem.rows
    block = tiles.choose(problem, c.table)
    between = c.temporary(y.n * 4 * most * width, x.type)
    channels = power(outputs, 16, 32)
    first = Launch(
        "transposed.transposed",
        {
            "x": c.buffer("x"),
            "kernel": transposed_weights(conv, depth),
            "styles": c.buffer("styles") if rows else None,
            "copies": copies.copies if copies else None,
            "entries": rows.entries if rows else None,
            "codes": rows.codes if rows else None,
            "count": rows.count if rows else None,
            "box": box.operand(c, "x"),
            "y": between,
        },
        ("y",),
        box.sizes(c, "x") | constants(
            h=x.h, w=x.w, x_pixel=x.pixel, channels=x.c, depth=depth, padded=width,
            regions=styles.w if styles else 1, style_pixel=styles.pixel if styles else 0,
            copies=spread.COPIES, overflow=spread.OVERFLOW, most=most, precision=c.precision,
            block_m=block.m, block_n=block.n, block_k=block.k,
        ),
        (blocks(most, block.m), blocks(4 * width, block.n)),
        y.n,
        tile=block.tile,
        problem=problem,
    )  # fmt: skip
    second = Launch(
        "transposed.filtered",
        {
            "x": between,
            "near": rows.near if rows else None,
            "starts": rows.starts if rows else None,
            "count": rows.count if rows else None,
            "demodulation": c.buffer("demodulation") if rows else None,
            "labels": c.buffer("labels") if rows else None,
            "noise": c.vector("noise"),
            "bias": c.vector("bias"),
            "box": box.operand(c, "y"),
            "y": c.buffer("y"),
        },
        ("y",),
        box.sizes(c, "y") | constants(
            h=y.h, w=y.w, padded=width, outputs=outputs, y_pixel=y.pixel,
            regions=styles.w if styles else 1, scale_pixel=c.view("demodulation").pixel if rows else 0,
            most=most, lines=LINES, at_once=AT_ONCE, block_p=PIXELS, block_c=channels,
        ) | activation(c),
        (blocks(y.h, LINES) * blocks(y.w, PIXELS), blocks(outputs, channels)),
        y.n,
    )  # fmt: skip
    return [first, second]
