"""Instance norm without affine parameters, then PReLU.

Two launches: sums per part of the picture, then every program adds the parts up for its own channels and
applies them. Sums are of the difference to the channel's first pixel, which keeps them accurate where the
mean is far from zero, and of a fixed number of parts, so that results are the same in every run.
"""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, Operand, View, blocks, constants, padded, power

CHANNELS = 32  # to a program
PIXELS = 128  # at a time
PARTS = 32


@jit
def statistics(
    x, sums,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, SUMS: tl.constexpr,
    PARTS: tl.constexpr, LENGTH: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    part = tl.program_id(0)
    channels = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    known = channels < CHANNELS
    x += sample * (ROWS * X_PIXEL)
    pivot = tl.load(x + channels, mask=known, other=0.0).to(tl.float32)
    total = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    squares = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    for start in range(0, LENGTH, BLOCK_P):
        pixels = part * LENGTH + start + tl.arange(0, BLOCK_P)
        live = (pixels < ROWS)[:, None] & known[None, :]
        value = tl.load(x + pixels[:, None] * X_PIXEL + channels[None, :], mask=live, other=0.0)
        value = tl.where(live, value.to(tl.float32) - pivot[None, :], 0.0)
        total += value
        squares += value * value
    target = sums + (sample * PARTS + part) * (2 * SUMS) + channels
    tl.store(target, tl.sum(total, axis=0), mask=known)
    tl.store(target + SUMS, tl.sum(squares, axis=0), mask=known)


@jit
def mean_and_factor(
    x, sums, sample, channels, known,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, SUMS: tl.constexpr, PARTS: tl.constexpr,
    PARTS_POWER: tl.constexpr,
):  # fmt: skip
    """Mean and 1 / sqrt(variance + 1e-5) of some channels; a single pixel has no variance and gives 0."""
    part = tl.arange(0, PARTS_POWER)
    live = (part < PARTS)[:, None] & known[None, :]
    source = sums + (sample * PARTS + part[:, None]) * (2 * SUMS) + channels[None, :]
    total = tl.sum(tl.load(source, mask=live, other=0.0), axis=0)
    squares = tl.sum(tl.load(source + SUMS, mask=live, other=0.0), axis=0)
    pivot = tl.load(x + sample * (ROWS * X_PIXEL) + channels, mask=known, other=0.0).to(tl.float32)
    shift = total / ROWS
    variance = tl.maximum(squares / ROWS - shift * shift, 0.0)
    factor = 1.0 / tl.sqrt(variance + 1e-5)
    if ROWS == 1:
        factor = factor * 0.0
    return pivot + shift, factor


@jit
def normalise(
    x, sums, slope, y,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, SUMS: tl.constexpr,
    PARTS: tl.constexpr, PARTS_POWER: tl.constexpr, Y_PIXEL: tl.constexpr, BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    known = channels < CHANNELS
    mean, factor = mean_and_factor(x, sums, sample, channels, known, ROWS, X_PIXEL, SUMS, PARTS, PARTS_POWER)
    live = (pixels < ROWS)[:, None] & known[None, :]
    places = sample * ROWS + pixels[:, None]
    value = tl.load(x + places * X_PIXEL + channels[None, :], mask=live, other=0.0).to(tl.float32)
    value = (value - mean[None, :]) * factor[None, :]
    if slope is not None:
        slopes = tl.load(slope + channels, mask=known, other=0.0)[None, :]
        value = tl.where(value > 0, value, value * slopes)
    tl.store(y + places * Y_PIXEL + channels[None, :], value.to(y.dtype.element_ty), mask=live)


def parts(x: View) -> int:
    """Into how many parts the sums of a picture are cut: about 512 pixels each, at most 32."""
    return min(max(x.pixels // 512, 1), PARTS)


def launch_statistics(c: Context, name: str) -> tuple[Launch, Operand]:
    """The sums of a buffer, and where they are."""
    x = c.view(name)
    count, width = parts(x), padded(x.c)
    sums = c.temporary(x.n * count * 2 * width)
    length = blocks(blocks(x.pixels, count), PIXELS) * PIXELS
    launch = Launch(
        "instance_norm.statistics",
        {"x": c.buffer(name), "sums": sums},
        ("sums",),
        constants(
            rows=x.pixels, x_pixel=x.pixel, channels=x.c, sums=width, parts=count, length=length,
            block_p=PIXELS, block_c=CHANNELS,
        ),
        (count, blocks(x.c, CHANNELS)),
        x.n,
    )  # fmt: skip
    return launch, sums


def launch_instance_norm(c: Context) -> list[Launch]:
    """Sums, then the norm."""
    x, y = c.view("x"), c.view("y")
    first, sums = launch_statistics(c, "x")
    second = Launch(
        "instance_norm.normalise",
        {"x": c.buffer("x"), "sums": sums, "slope": c.vector("prelu"), "y": c.buffer("y")},
        ("y",),
        constants(
            rows=x.pixels, x_pixel=x.pixel, channels=x.c, sums=padded(x.c), parts=parts(x),
            parts_power=power(parts(x)), y_pixel=y.pixel, block_p=PIXELS, block_c=CHANNELS,
        ),
        (blocks(y.pixels, PIXELS), blocks(x.c, CHANNELS)),
        y.n,
    )  # fmt: skip
    return [first, second]
