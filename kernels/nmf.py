"""Non-negative factorisation of every sample, X ~ B K^T, by multiplicative updates in fp32.

X [P,C] has a row per pixel, K [P,R] its coefficients, B [C,R] the bases; R is padded with zeros, which stay
zero. One launch multiplies a factor by itself, the next updates the other one: a program has a block of
pixels, or of channels. Products are added up in small steps, which stay in registers.
"""

from __future__ import annotations

from typing import Any

from .language import jit, tl
from .launch import Argument, Context, Launch, blocks, constants, padded, power

PIXELS = 64  # per program
CHANNELS = 32
STEP = 16  # terms of a sum that are loaded together


@jit
def square(
    m, out,
    COUNT: tl.constexpr, SAMPLE: tl.constexpr, PADDED: tl.constexpr, STEP: tl.constexpr,
    BLOCK_R: tl.constexpr,
):  # fmt: skip
    """Multiply a factor M [COUNT, PADDED] by itself: 16 rows of M^T M."""
    sample = tl.program_id(2).to(tl.int64)
    rows = tl.program_id(0) * 16 + tl.arange(0, 16)
    columns = tl.arange(0, BLOCK_R)
    m += sample * SAMPLE
    total = tl.zeros((16, BLOCK_R), tl.float32)
    for start in range(0, COUNT, STEP):
        places = start + tl.arange(0, STEP)
        a = tl.load(
            m + places[None, :] * PADDED + rows[:, None],
            mask=(places < COUNT)[None, :] & (rows < PADDED)[:, None],
            other=0.0,
        )
        b = tl.load(
            m + places[:, None] * PADDED + columns[None, :],
            mask=(places < COUNT)[:, None] & (columns < PADDED)[None, :],
            other=0.0,
        )
        total = tl.dot(a, b, total, input_precision="ieee")
    live = (rows < PADDED)[:, None] & (columns < PADDED)[None, :]
    out += sample * (PADDED * PADDED)
    tl.store(out + rows[:, None] * PADDED + columns[None, :], total, mask=live)


@jit
def divided(
    old, products, factor, squared, rows, COUNT: tl.constexpr, PADDED: tl.constexpr,
    EPSILON: tl.constexpr, STEP: tl.constexpr, BLOCK_R: tl.constexpr,
):  # fmt: skip
    """Return old * products / (old @ squared + epsilon) for some rows of a factor."""
    columns = tl.arange(0, BLOCK_R)[None, :]
    total = tl.zeros(products.shape, tl.float32)
    for start in range(0, PADDED, STEP):
        inner = start + tl.arange(0, STEP)
        live = (rows < COUNT)[:, None] & (inner < PADDED)[None, :]
        a = tl.load(factor + rows[:, None] * PADDED + inner[None, :], mask=live, other=0.0)
        held = (inner < PADDED)[:, None] & (columns < PADDED)
        b = tl.load(squared + inner[:, None] * PADDED + columns, mask=held, other=0.0)
        total = tl.dot(a, b, total, input_precision="ieee")
    return old * products / (total + EPSILON)


@jit
def coefficients(
    x, bases, squared, k,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, DEPTH: tl.constexpr, BASES: tl.constexpr, RANK: tl.constexpr,
    PADDED: tl.constexpr, EPSILON: tl.constexpr, STEP: tl.constexpr, BLOCK_P: tl.constexpr,
    BLOCK_R: tl.constexpr,
):  # fmt: skip
    """Update the coefficients of some pixels; the first ones, without a square, are a softmax."""
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    columns = tl.arange(0, BLOCK_R)[None, :]
    x += sample * (ROWS * X_PIXEL)
    bases += sample * BASES
    k += sample * (ROWS * PADDED)
    products = tl.zeros((BLOCK_P, BLOCK_R), tl.float32)
    for start in range(0, DEPTH, STEP):
        channels = start + tl.arange(0, STEP)
        live = (pixels < ROWS)[:, None] & (channels < DEPTH)[None, :]
        a = tl.load(x + pixels[:, None] * X_PIXEL + channels[None, :], mask=live, other=0.0).to(tl.float32)
        held = (channels < DEPTH)[:, None] & (columns < PADDED)
        b = tl.load(bases + channels[:, None] * PADDED + columns, mask=held, other=0.0)
        products = tl.dot(a, b, products, input_precision="ieee")
    live = (pixels < ROWS)[:, None] & (columns < PADDED)
    places = k + pixels[:, None] * PADDED + columns
    if squared is None:
        products = tl.where(columns < RANK, products, float("-inf"))
        shares = tl.exp(products - tl.max(products, axis=1)[:, None])
        result = shares / tl.sum(shares, axis=1)[:, None]
    else:
        old = tl.load(places, mask=live, other=0.0)
        squared += sample * (PADDED * PADDED)
        result = divided(old, products, k, squared, pixels, ROWS, PADDED, EPSILON, STEP, BLOCK_R)
    tl.store(places, result, mask=live)


@jit
def update_bases(
    x, k, squared, old, bases,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, DEPTH: tl.constexpr, BASES: tl.constexpr,
    PADDED: tl.constexpr, EPSILON: tl.constexpr, STEP: tl.constexpr, BLOCK_C: tl.constexpr,
    BLOCK_R: tl.constexpr,
):  # fmt: skip
    """Update the bases of some channels."""
    sample = tl.program_id(2).to(tl.int64)
    channels = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    columns = tl.arange(0, BLOCK_R)[None, :]
    x += sample * (ROWS * X_PIXEL)
    k += sample * (ROWS * PADDED)
    squared += sample * (PADDED * PADDED)
    old += sample * BASES
    products = tl.zeros((BLOCK_C, BLOCK_R), tl.float32)
    for start in range(0, ROWS, STEP):
        pixels = start + tl.arange(0, STEP)
        live = (pixels < ROWS)[None, :] & (channels < DEPTH)[:, None]
        a = tl.load(x + pixels[None, :] * X_PIXEL + channels[:, None], mask=live, other=0.0).to(tl.float32)
        held = (pixels < ROWS)[:, None] & (columns < PADDED)
        b = tl.load(k + pixels[:, None] * PADDED + columns, mask=held, other=0.0)
        products = tl.dot(a, b, products, input_precision="ieee")
    live = (channels < DEPTH)[:, None] & (columns < PADDED)
    places = channels[:, None] * PADDED + columns
    value = tl.load(old + places, mask=live, other=0.0)
    result = divided(value, products, old, squared, channels, DEPTH, PADDED, EPSILON, STEP, BLOCK_R)
    tl.store(bases + sample * (DEPTH * PADDED) + places, result, mask=live)


@jit
def multiplied(
    k, bases, y,
    ROWS: tl.constexpr, Y_PIXEL: tl.constexpr, DEPTH: tl.constexpr, PADDED: tl.constexpr,
    BASES: tl.constexpr, STEP: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
    BLOCK_R: tl.constexpr,
):  # fmt: skip
    """Multiply the factors."""
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    bases += sample * BASES
    result = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    for start in range(0, BLOCK_R, STEP):
        inner = start + tl.arange(0, STEP)
        held = (pixels < ROWS)[:, None] & (inner < PADDED)[None, :]
        a = tl.load(k + (sample * ROWS + pixels[:, None]) * PADDED + inner[None, :], mask=held, other=0.0)
        held = (inner < PADDED)[:, None] & (channels < DEPTH)[None, :]
        b = tl.load(bases + channels[None, :] * PADDED + inner[:, None], mask=held, other=0.0)
        result = tl.dot(a, b, result, input_precision="ieee")
    live = (pixels < ROWS)[:, None] & (channels < DEPTH)[None, :]
    target = y + (sample * ROWS + pixels[:, None]) * Y_PIXEL + channels[None, :]
    tl.store(target, result.to(y.dtype.element_ty), mask=live)


def launch_nmf(c: Context) -> list[Launch]:
    """Build the launches of a factorisation: the start, the updates in turn, the product."""
    x, y, rank, steps = c.view("x"), c.view("y"), c.integer("rank"), c.integer("steps")
    wide, first = padded(rank), c.vector("start")
    later, k = c.temporary(x.n * x.c * wide), c.temporary(x.n * x.pixels * wide)
    squared = c.temporary(x.n * wide * wide)
    whole = constants(padded=wide, block_r=power(wide, 16, 256))
    sizes = whole | constants(rows=x.pixels, depth=x.c)
    reading = sizes | constants(x_pixel=x.pixel, epsilon=c.real("epsilon"), step=STEP)
    down, across = blocks(x.pixels, PIXELS), blocks(x.c, CHANNELS)

    def square_of(factor: Argument, count: int, sample: int) -> Launch:
        values = whole | constants(count=count, sample=sample, step=STEP)
        return Launch(
            "nmf.square", {"m": factor, "out": squared}, ("out",), values, (blocks(wide, 16), 1), x.n
        )

    def coefficients_from(bases: Argument, sample: int, square: Argument) -> Launch:
        values = reading | constants(bases=sample, rank=rank, block_p=PIXELS)
        pointers = {"x": c.buffer("x"), "bases": bases, "squared": square, "k": k}
        return Launch("nmf.coefficients", pointers, ("k",), values, (down, 1), x.n)

    bases: Argument = first
    sample = 0  # all samples begin with the same bases
    listed = [coefficients_from(bases, sample, None)]
    for _ in range(steps):
        listed += [square_of(bases, x.c, sample), coefficients_from(bases, sample, squared)]
        pointers = {"x": c.buffer("x"), "k": k, "squared": squared, "old": bases, "bases": later}
        values: dict[str, Any] = reading | constants(bases=sample, block_c=CHANNELS)
        update = Launch("nmf.update_bases", pointers, ("bases",), values, (across, 1), x.n)
        listed += [square_of(k, x.pixels, x.pixels * wide), update]
        bases, sample = later, x.c * wide
    listed += [square_of(bases, x.c, sample), coefficients_from(bases, sample, squared)]
    values = sizes | constants(bases=sample, y_pixel=y.pixel, block_p=PIXELS, block_c=CHANNELS, step=STEP)
    pointers = {"k": k, "bases": bases, "y": c.buffer("y")}
    return [*listed, Launch("nmf.multiplied", pointers, ("y",), values, (down, across), y.n)]
