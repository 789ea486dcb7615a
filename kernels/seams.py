"""Rows of a transposed convolution with regions: where outputs of several regions read a place, each its own.

The style belongs to the output pixel, and an output pixel reads 4 x 4 places of the transposed convolution
through the FIR. A place near a border is therefore computed once for each region among the outputs that read
it. Places come in quads, the four parities (2 i + a, 2 j + b): row i * (W + 1) + j is the quad in the region
of its own pixel, and the rows after these are (quad, other region), in order, as many as the labels ask for.

`ranked` writes the rows from labels alone, `codes` the copies of the spread map (spread.py) that each reads.
For portraits 0.15 (128 x 128) to 0.57 (32 x 32) rows a quad are added. Labels that ask for more than one a
quad, on average, are no faces: the layer is then computed by the folded kernels, see regional_conv.py.
"""

from __future__ import annotations

import dataclasses

from . import spread
from .language import jit, tl
from .launch import Argument, Context, Launch, Operand, blocks, constants
from .spread import bits_of, rank

BLOCK = 1024
SHARE = 1  # further rows for each quad, on average, that there is memory for


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows of a layer's transposed convolution.

    near: each quad's own region and the others, see `spread.nearby`. starts: number of a quad's first further
    row. entries: quad and region (from bit 24 on) of each row. codes: copies that its taps read. count: how
    many rows the labels ask for. most: rows that there is memory for.
    """

    near: Operand
    starts: Operand
    entries: Operand
    codes: Operand
    count: Operand
    most: int


@jit
def ranked(
    near, starts, entries, count,
    QUADS: tl.constexpr, MOST: tl.constexpr, OTHERS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write numbers and entries of a sample's rows. OTHERS: most regions beside a quad's own."""
    sample = tl.program_id(2).to(tl.int64)
    near += sample * QUADS
    starts += sample * QUADS
    entries += sample * MOST
    total = tl.full((1,), QUADS, tl.int32)
    for first in range(0, QUADS, BLOCK):
        quads = first + tl.arange(0, BLOCK)
        inside = quads < QUADS
        known = tl.load(near + quads, mask=inside, other=0)
        others = known & 0xFFFFFF
        number = bits_of(others)
        place = total + tl.cumsum(number, axis=0) - number
        tl.store(starts + quads, place, mask=inside)
        tl.store(entries + quads, quads | (known ^ others), mask=inside)
        for _ in range(OTHERS):
            lowest = others & (-others)
            live = (lowest != 0) & (place < MOST)
            tl.store(entries + place, quads | (bits_of(lowest - 1) << 24), mask=live)
            place += (lowest != 0).to(tl.int32)
            others = others ^ lowest
        total += tl.sum(number, axis=0)
    tl.store(count + sample + tl.arange(0, 1), total)


@jit
def codes(
    entries, count, near, y,
    H: tl.constexpr, W: tl.constexpr, MOST: tl.constexpr, COPIES: tl.constexpr, OVERFLOW: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Write for each row the copies that its four taps read, two bits a tap. H, W: size of the map."""
    sample = tl.program_id(2).to(tl.int64)
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = (rows < MOST) & (rows < tl.load(count + sample))
    entry = tl.load(entries + sample * MOST + rows, mask=inside, other=0)
    quad = entry & 0xFFFFFF
    region = entry >> 24
    code = tl.zeros((BLOCK,), tl.int32)
    for tap in tl.static_range(4):
        row = quad // (W + 1) - tap // 2
        column = quad % (W + 1) - tap % 2
        live = inside & (row >= 0) & (row < H) & (column >= 0) & (column < W)
        known = tl.load(near + sample * (H * W) + row * W + column, mask=live, other=0)
        # A region may read some places of the quad alone, not those that this tap is for.
        other = live & ((known >> region) & 1 == 1) & ((known >> 24) != region)
        copy = tl.where(other, 1 + rank(known, region), 0)
        code = code | tl.where(copy < COPIES, copy << (2 * tap), OVERFLOW)
    tl.store(y + sample * MOST + rows, code, mask=inside)


def rows_of(c: Context, near: Operand) -> Rows:
    """Return the rows of an upsampling layer, and add the launches on labels that write them.

    near: regions that read each pixel of the layer's map.
    """
    x, y, styles = c.view("x"), c.view("y"), c.view("styles")
    quads = (x.h + 1) * (x.w + 1)
    most = (1 + SHARE) * quads
    near_quads, starts = (c.temporary(y.n * quads, "i32") for _ in range(2))
    entries, coded = (c.temporary(y.n * most, "i32") for _ in range(2))
    count = c.temporary(y.n, "i32")
    # Outputs from two before to two after a quad's first place read one of its four.
    first = spread.launch_nearby(c, near_quads, (x.h + 1, x.w + 1), (-2, 3))
    second = Launch(
        "seams.ranked",
        {"near": near_quads, "starts": starts, "entries": entries, "count": count},
        ("starts", "entries", "count"),
        constants(quads=quads, most=most, others=styles.w - 1, block=BLOCK),
        (1, 1),
        y.n,
    )
    operands: dict[str, Argument] = {"entries": entries, "count": count, "near": near, "y": coded}
    third = Launch(
        "seams.codes",
        operands,
        ("y",),
        constants(h=x.h, w=x.w, most=most, copies=spread.COPIES, overflow=spread.OVERFLOW, block=BLOCK),
        (blocks(most, BLOCK), 1),
        y.n,
    )
    c.early([first, second, third])
    return Rows(near_quads, starts, entries, coded, count, most)
