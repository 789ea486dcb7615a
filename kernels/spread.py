"""A map's pixels scaled by styles ahead of a regional convolution, whose operands then need no arithmetic.

The style belongs to the output pixel: a pixel is read with the style of each region among the outputs that
read it, mostly one. So `spread` writes it once per such region: copy 0 of the whole map has each pixel's own
region, copies 1 to 3 hold pixels near a border for the other regions there, in their order. `codes` says for
each output pixel which copy each of its nine taps reads, two bits a tap: the convolution adds that to its
addresses, and both operands of its products come from memory as they are, on borders too. Only a tile with a
pixel that five regions read falls back to scaling in the kernel (bit OVERFLOW of its code).
"""

from __future__ import annotations

import dataclasses

from . import box
from .box import run_outside
from .language import jit, tl
from .launch import Argument, Context, Launch, Operand, blocks, constants, power

COPIES = 4
MOST = 24  # regions
OVERFLOW = 1 << 30
BLOCK = 256
PIXELS = 32
# Outputs of a layer from which on its map is spread. On smaller maps many tiles hold a pixel that five
# regions read, and fall back.
LEAST = 4096


@dataclasses.dataclass(frozen=True)
class Spread:
    """A map spread for a layer: its copies, and each pixel's own region and the others that read it."""

    copies: Operand
    near: Operand


@jit
def bits_of(x):
    """Count the bits of integers below 2^24."""
    x = x - ((x >> 1) & 0x555555)
    x = (x & 0x333333) + ((x >> 2) & 0x333333)
    x = (x + (x >> 4)) & 0x0F0F0F
    return (x + (x >> 8) + (x >> 16)) & 0xFF


@jit
def rank(known, region):
    """Count the regions below `region` among the others that read a place. known: see `nearby`."""
    return bits_of(known & ((1 << region) - 1) & 0xFFFFFF)


@jit
def nearby(
    labels, y,
    H: tl.constexpr, W: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, SCALE: tl.constexpr,
    FIRST: tl.constexpr, LAST: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write the region of each of ROWS x COLUMNS places, from bit 24 on, and bits of the others that read it.

    H, W: size of the labels, those of the outputs. A place at row r is read by outputs of the rows
    SCALE r + FIRST to SCALE r + LAST - 1; its own region is that of output SCALE r, or of the last one.
    """
    sample = tl.program_id(2).to(tl.int64)
    places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = places < ROWS * COLUMNS
    row = places // COLUMNS * SCALE
    column = places % COLUMNS * SCALE
    labels += sample * (H * W)
    own = labels + tl.minimum(row, H - 1) * W + tl.minimum(column, W - 1)
    own = tl.load(own, mask=inside, other=0).to(tl.int32)
    found = tl.zeros((BLOCK,), tl.int32)
    for i in tl.static_range(LAST - FIRST):
        for j in tl.static_range(LAST - FIRST):
            r = row + FIRST + i
            c = column + FIRST + j
            live = inside & (r >= 0) & (r < H) & (c >= 0) & (c < W)
            label = tl.load(labels + r * W + c, mask=live, other=0).to(tl.int32)
            found = found | tl.where(live, 1 << label, 0)
    others = found & (0xFFFFFF ^ (1 << own))
    tl.store(y + sample * (ROWS * COLUMNS) + places, others | (own << 24), mask=inside)


@jit
def codes(
    labels, near, y,
    H: tl.constexpr, W: tl.constexpr, SCALE: tl.constexpr, COPIES: tl.constexpr, OVERFLOW: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Write for each output pixel the copies that its taps read. H, W: size of the input."""
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    area: tl.constexpr = H * W * SCALE * SCALE
    inside = pixels < area
    row = pixels // (W * SCALE) // SCALE
    column = pixels % (W * SCALE) // SCALE
    region = tl.load(labels + sample * area + pixels, mask=inside, other=0).to(tl.int32)
    code = tl.zeros((BLOCK,), tl.int32)
    for tap in tl.static_range(9):
        r = row + tap // 3 - 1
        c = column + tap % 3 - 1
        live = inside & (r >= 0) & (r < H) & (c >= 0) & (c < W)
        known = tl.load(near + sample * (H * W) + r * W + c, mask=live, other=0)
        copy = tl.where(live & ((known >> 24) != region), 1 + rank(known, region), 0)
        code = code | tl.where(copy < COPIES, copy << (2 * tap), OVERFLOW)
    tl.store(y + sample * area + pixels, code, mask=inside)


@jit
def spread(
    x, styles, near, box, y,
    AREA: tl.constexpr, WIDTH: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr,
    REGIONS: tl.constexpr, STYLE_PIXEL: tl.constexpr, COPIES: tl.constexpr, BOX_SCALE: tl.constexpr,
    MARGIN: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Write a map's copies, [copy, pixel, channel] for each sample."""
    sample = tl.program_id(2).to(tl.int64)
    if box is not None:
        if run_outside(box, sample, tl.program_id(0) * BLOCK_P, BLOCK_P, WIDTH, BOX_SCALE, MARGIN):
            return
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    inside = pixels < AREA
    known = (channels < CHANNELS)[None, :]
    near_by = tl.load(near + sample * AREA + pixels, mask=inside, other=0)
    places = pixels[:, None] * X_PIXEL + channels[None, :]
    value = tl.load(x + sample * (AREA * X_PIXEL) + places, mask=inside[:, None] & known, other=0.0)
    value = value.to(tl.float32)
    styles += sample * (REGIONS * STYLE_PIXEL)
    y += sample * (COPIES * AREA * X_PIXEL)
    others = near_by & 0xFFFFFF
    region = near_by >> 24
    live = inside
    for copy in tl.static_range(COPIES):
        if copy > 0:
            lowest = others & (-others)
            others = others ^ lowest
            live = lowest != 0
            region = tl.where(live, bits_of(lowest - 1), 0)
        if tl.max(live.to(tl.int32), axis=0) > 0:
            wanted = live[:, None] & known
            style = tl.load(
                styles + region[:, None] * STYLE_PIXEL + channels[None, :], mask=wanted, other=0.0
            )
            target = y + copy * (AREA * X_PIXEL) + places
            tl.store(target, (value * style).to(y.dtype.element_ty), mask=wanted)


def wanted(c: Context) -> bool:
    """Return whether a layer's map is spread."""
    if c.step.kind != "regional_conv" or not c.has("labels"):
        return False
    return c.view("y").pixels >= LEAST and c.view("styles").w <= MOST


def launch_nearby(c: Context, y: Operand, shape: tuple[int, int], reach: tuple[int, int]) -> Launch:
    """Build the launch that writes the regions of (rows, columns) places, read by outputs within a reach."""
    labels, (rows, columns), (first, last) = c.view("y"), shape, reach
    return Launch(
        "spread.nearby",
        {"labels": c.buffer("labels"), "y": y},
        ("y",),
        constants(
            h=labels.h, w=labels.w, rows=rows, columns=columns, scale=2 if c.flag("upsample") else 1,
            first=first, last=last, block=BLOCK,
        ),
        (blocks(rows * columns, BLOCK), 1),
        labels.n,
    )  # fmt: skip


def add_codes(c: Context, near: Operand) -> Operand:
    """Return the copies that each output pixel's taps read, and add the launch that writes them, early."""
    x, y = c.view("x"), c.view("y")
    codes = c.temporary(y.n * y.pixels, "i32")
    operands: dict[str, Argument] = {"labels": c.buffer("labels"), "near": near, "y": codes}
    sizes = constants(
        h=x.h, w=x.w, scale=2 if c.flag("upsample") else 1, block=BLOCK, copies=COPIES, overflow=OVERFLOW
    )
    c.early([Launch("spread.codes", operands, ("y",), sizes, (blocks(y.pixels, BLOCK), 1), y.n)])
    return codes


def launches(c: Context) -> tuple[Launch, Spread]:
    """Return the launch that spreads a layer's input, and what it makes; add that on labels, early."""
    x, styles = c.view("x"), c.view("styles")
    scale = 2 if c.flag("upsample") else 1
    near = c.temporary(x.n * x.pixels, "i32")
    copies = c.temporary(x.n * COPIES * x.pixels * x.pixel, x.type)
    c.early([launch_nearby(c, near, (x.h, x.w), (-scale, 2 * scale))])
    across = power(x.c, 16, 64)
    scaling = Launch(
        "spread.spread",
        {
            "x": c.buffer("x"), "styles": c.buffer("styles"), "near": near, "box": box.operand(c, "x"),
            "y": copies,
        },
        ("y",),
        box.sizes(c, "x") | constants(
            area=x.pixels, width=x.w, x_pixel=x.pixel, channels=x.c, regions=styles.w,
            style_pixel=styles.pixel, copies=COPIES, block_p=PIXELS, block_c=across,
        ),
        (blocks(x.pixels, PIXELS), blocks(x.c, across)),
        x.n,
    )  # fmt: skip
    return scaling, Spread(copies, near)
