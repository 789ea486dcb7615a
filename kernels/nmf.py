"""Non-negative factorisation of every sample, X ~ B K^T, by multiplicative updates in fp32.

X [P,C] has a row per pixel, K [P,R] its coefficients, B [C,R] the bases; R is padded with zeros, which stay
zero. A launch updates one factor: of the coefficients a program has a block of pixels, of the bases a block of
channels. Each multiplies the whole other factor by itself again, which is small.
"""

from __future__ import annotations

from typing import Any

from .language import jit, tl
from .launch import Argument, Context, Launch, blocks, constants, padded, power

PIXELS = 64  # per program or step
CHANNELS = 32


@jit
def coefficients(
    x, bases, k,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, DEPTH: tl.constexpr, BASES: tl.constexpr, RANK: tl.constexpr,
    PADDED: tl.constexpr, EPSILON: tl.constexpr, FIRST: tl.constexpr, BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr, BLOCK_R: tl.constexpr,
):  # fmt: skip
    """Update the coefficients of some pixels; the first ones are a softmax."""
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    columns = tl.arange(0, BLOCK_R)[None, :]
    x += sample * (ROWS * X_PIXEL)
    bases += sample * BASES
    products = tl.zeros((BLOCK_P, BLOCK_R), tl.float32)
    square = tl.zeros((BLOCK_R, BLOCK_R), tl.float32)
    for start in range(0, DEPTH, BLOCK_C):
        channels = start + tl.arange(0, BLOCK_C)
        live = (pixels < ROWS)[:, None] & (channels < DEPTH)[None, :]
        a = tl.load(x + pixels[:, None] * X_PIXEL + channels[None, :], mask=live, other=0.0).to(tl.float32)
        held = (channels < DEPTH)[:, None] & (columns < PADDED)
        b = tl.load(bases + channels[:, None] * PADDED + columns, mask=held, other=0.0)
        products = tl.dot(a, b, products, input_precision="ieee")
        if not FIRST:
            square = tl.dot(tl.trans(b), b, square, input_precision="ieee")
    live = (pixels < ROWS)[:, None] & (columns < PADDED)
    places = k + (sample * ROWS + pixels[:, None]) * PADDED + columns
    if FIRST:
        products = tl.where(columns < RANK, products, float("-inf"))
        shares = tl.exp(products - tl.max(products, axis=1)[:, None])
        result = shares / tl.sum(shares, axis=1)[:, None]
    else:
        old = tl.load(places, mask=live, other=0.0)
        result = old * products / (tl.dot(old, square, input_precision="ieee") + EPSILON)
    tl.store(places, result, mask=live)


@jit
def update_bases(
    x, k, old, bases,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, DEPTH: tl.constexpr, BASES: tl.constexpr,
    PADDED: tl.constexpr, EPSILON: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
    BLOCK_R: tl.constexpr,
):  # fmt: skip
    """Update the bases of some channels."""
    sample = tl.program_id(2).to(tl.int64)
    channels = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    columns = tl.arange(0, BLOCK_R)[None, :]
    x += sample * (ROWS * X_PIXEL)
    k += sample * (ROWS * PADDED)
    products = tl.zeros((BLOCK_C, BLOCK_R), tl.float32)
    square = tl.zeros((BLOCK_R, BLOCK_R), tl.float32)
    for start in range(0, ROWS, BLOCK_P):
        pixels = start + tl.arange(0, BLOCK_P)
        live = (pixels < ROWS)[:, None] & (channels < DEPTH)[None, :]
        a = tl.load(x + pixels[:, None] * X_PIXEL + channels[None, :], mask=live, other=0.0).to(tl.float32)
        held = (pixels < ROWS)[:, None] & (columns < PADDED)
        b = tl.load(k + pixels[:, None] * PADDED + columns, mask=held, other=0.0)
        products = tl.dot(tl.trans(a), b, products, input_precision="ieee")
        square = tl.dot(tl.trans(b), b, square, input_precision="ieee")
    live = (channels < DEPTH)[:, None] & (columns < PADDED)
    places = channels[:, None] * PADDED + columns
    value = tl.load(old + sample * BASES + places, mask=live, other=0.0)
    value = value * products / (tl.dot(value, square, input_precision="ieee") + EPSILON)
    tl.store(bases + sample * (DEPTH * PADDED) + places, value, mask=live)


@jit
def multiplied(
    k, bases, y,
    ROWS: tl.constexpr, Y_PIXEL: tl.constexpr, DEPTH: tl.constexpr, PADDED: tl.constexpr,
    BASES: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_R: tl.constexpr,
):  # fmt: skip
    """Multiply the factors."""
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    columns = tl.arange(0, BLOCK_R)
    bases += sample * BASES
    held = (pixels < ROWS)[:, None] & (columns < PADDED)[None, :]
    a = tl.load(k + (sample * ROWS + pixels[:, None]) * PADDED + columns[None, :], mask=held, other=0.0)
    held = (columns < PADDED)[:, None] & (channels < DEPTH)[None, :]
    b = tl.load(bases + channels[None, :] * PADDED + columns[:, None], mask=held, other=0.0)
    result = tl.dot(a, b, input_precision="ieee")
    live = (pixels < ROWS)[:, None] & (channels < DEPTH)[None, :]
    target = y + (sample * ROWS + pixels[:, None]) * Y_PIXEL + channels[None, :]
    tl.store(target, result.to(y.dtype.element_ty), mask=live)


def launch_nmf(c: Context) -> list[Launch]:
    """Build the launches of a factorisation: the start, the updates in turn, the product."""
    x, y, rank, steps = c.view("x"), c.view("y"), c.integer("rank"), c.integer("steps")
    wide = padded(rank)
    first, later, k = c.vector("start"), c.temporary(x.n * x.c * wide), c.temporary(x.n * x.pixels * wide)
    sizes = constants(
        rows=x.pixels, depth=x.c, padded=wide, block_p=PIXELS, block_c=CHANNELS, block_r=power(wide, 16, 256)
    )
    reading, own = constants(x_pixel=x.pixel, epsilon=c.real("epsilon")), {"BASES": x.c * wide}
    down, across = blocks(x.pixels, PIXELS), blocks(x.c, CHANNELS)

    def coefficients_from(bases: Argument, more: dict[str, Any], start: bool) -> Launch:
        values = sizes | reading | more | constants(rank=rank, first=start)
        pointers = {"x": c.buffer("x"), "bases": bases, "k": k}
        return Launch("nmf.coefficients", pointers, ("k",), values, (down, 1), x.n)

    bases: Argument = first
    held = {"BASES": 0}  # all samples begin with the same bases
    listed = [coefficients_from(bases, held, True)]
    for _ in range(steps):
        listed.append(coefficients_from(bases, held, False))
        pointers = {"x": c.buffer("x"), "k": k, "old": bases, "bases": later}
        values = sizes | reading | held
        listed.append(Launch("nmf.update_bases", pointers, ("bases",), values, (across, 1), x.n))
        bases, held = later, own
    listed.append(coefficients_from(bases, held, False))
    pointers = {"k": k, "bases": bases, "y": c.buffer("y")}
    values = sizes | held | constants(y_pixel=y.pixel)
    listed.append(Launch("nmf.multiplied", pointers, ("y",), values, (down, across), y.n))
    return listed
