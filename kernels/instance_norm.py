"""Instance norm without affine parameters, then PReLU.

A small map takes one launch: a program holds all pixels of a few channels. It also adds up the partial sums
of a convolution with a split depth (see conv2d.py), which then needs no other pass, and transforms maps
between convolutions by Winograd's tiles (winograd.py).

A large map needs the mean and squared deviations of each channel per part of the map, from the launch that
writes the map where possible, else from a separate pass; every program then merges the parts for its own
channels (Chan, Golub, LeVeque 1983) and applies them. The order of all sums is fixed, so every run gives the
same results.
"""

from __future__ import annotations

from . import winograd
from .language import jit, tl
from .launch import Argument, Context, Launch, Sums, Tile, View, blocks, constants, padded, power
from .partial import FEW, SMALL, map_or_partial, normalises
from .winograd import joined, split_map

CHANNELS = 32  # channels per program on large maps
PIXELS = 128  # pixels per loop step
PARTS = 32
MOST_PARTS = 128  # when the launch that writes the map computes the sums as well


@jit
def gathered(
    x, sample, pixels, channels, live,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, X_PIXEL: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    """Load some pixels and channels in fp32: a feature map, the sum of SPLIT partial ones, or of planes."""
    if SPLIT == 0:
        return joined(x, sample, pixels, channels, live, ROWS, WIDTH, X_PIXEL)
    places = x + (sample * (SPLIT * ROWS) + pixels[:, None]) * X_PIXEL + channels[None, :]
    value = tl.load(places, mask=live, other=0.0).to(tl.float32)
    for part in tl.static_range(1, SPLIT):
        value += tl.load(places + part * (ROWS * X_PIXEL), mask=live, other=0.0).to(tl.float32)
    return value


@jit
def standardised(value, live, ROWS: tl.constexpr, EPSILON: tl.constexpr):
    """Return (value - mean) / sqrt(variance + epsilon) over the first axis; a single pixel gives 0."""
    mean = tl.sum(value, axis=0) / ROWS
    centred = tl.where(live, value - mean[None, :], 0.0)
    factor = 1.0 / tl.sqrt(tl.sum(centred * centred, axis=0) / ROWS + EPSILON)
    if ROWS == 1:
        factor = factor * 0.0
    return centred * factor[None, :]


@jit
def whole(
    x, slope, y, planes,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr,
    SPLIT: tl.constexpr, Y_PIXEL: tl.constexpr, EPSILON: tl.constexpr, BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.arange(0, BLOCK_P)
    channels = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    known = channels < CHANNELS
    live = (pixels < ROWS)[:, None] & known[None, :]
    value = standardised(
        gathered(x, sample, pixels, channels, live, ROWS, WIDTH, X_PIXEL, SPLIT), live, ROWS, EPSILON
    )
    if slope is not None:
        slopes = tl.load(slope + channels, mask=channels < CHANNELS, other=0.0)[None, :]
        value = tl.where(value > 0, value, value * slopes)
    places = (sample * ROWS + pixels[:, None]) * Y_PIXEL + channels[None, :]
    tl.store(y + places, value.to(y.dtype.element_ty), mask=live)
    if planes is not None:
        split_map(y, planes, sample, channels, known, ROWS, WIDTH, Y_PIXEL, CHANNELS, BLOCK_P)


@jit
def store_sums(
    value, sums, place, columns, known,
    SUMS: tl.constexpr, COUNT: tl.constexpr,
):  # fmt: skip
    """Store the mean and squared deviations of COUNT rows, all of which lie in the map."""
    mean = tl.sum(value, axis=0) / COUNT
    centred = value - mean[None, :]
    target = sums + place * (2 * SUMS) + columns
    tl.store(target, mean, mask=known)
    tl.store(target + SUMS, tl.sum(centred * centred, axis=0), mask=known)


@jit
def statistics(
    x, sums,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, SUMS: tl.constexpr,
    PARTS: tl.constexpr, LENGTH: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Compute mean and squared deviations of one part of the map.

    The sums are relative to the channel's first pixel: they stay accurate where the mean is far from zero.
    """
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
    count = tl.maximum(tl.minimum(ROWS - part * LENGTH, LENGTH), 1).to(tl.float32)
    shift = tl.sum(total, axis=0) / count
    target = sums + (sample * PARTS + part) * (2 * SUMS) + channels
    tl.store(target, pivot + shift, mask=known)
    tl.store(target + SUMS, tl.maximum(tl.sum(squares, axis=0) - count * shift * shift, 0.0), mask=known)


@jit
def mean_and_factor(
    sums, sample, channels, known,
    ROWS: tl.constexpr, SUMS: tl.constexpr, PARTS: tl.constexpr, LENGTH: tl.constexpr,
    PARTS_POWER: tl.constexpr, EPSILON: tl.constexpr,
):  # fmt: skip
    """Return mean and 1 / sqrt(variance + epsilon) of some channels; the factor is 0 for a single pixel."""
    part = tl.arange(0, PARTS_POWER)
    live = (part < PARTS)[:, None] & known[None, :]
    count = tl.maximum(tl.minimum(ROWS - part * LENGTH, LENGTH), 0).to(tl.float32)[:, None]
    source = sums + (sample * PARTS + part[:, None]) * (2 * SUMS) + channels[None, :]
    means = tl.load(source, mask=live, other=0.0)
    squares = tl.load(source + SUMS, mask=live, other=0.0)
    mean = tl.sum(means * count, axis=0) / ROWS
    shift = means - mean[None, :]
    variance = tl.sum(squares + count * shift * shift, axis=0) / ROWS
    factor = 1.0 / tl.sqrt(variance + EPSILON)
    if ROWS == 1:
        factor = factor * 0.0
    return mean, factor


@jit
def normalised(
    x, sums,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, SUMS: tl.constexpr,
    PARTS: tl.constexpr, LENGTH: tl.constexpr, PARTS_POWER: tl.constexpr, EPSILON: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Return this program's values normalised, their places (sample and pixel), channels and mask."""
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    known = channels < CHANNELS
    mean, factor = mean_and_factor(
        sums, sample, channels, known, ROWS, SUMS, PARTS, LENGTH, PARTS_POWER, EPSILON
    )
    live = (pixels < ROWS)[:, None] & known[None, :]
    places = sample * ROWS + pixels[:, None]
    value = tl.load(x + places * X_PIXEL + channels[None, :], mask=live, other=0.0).to(tl.float32)
    value = (value - mean[None, :]) * factor[None, :]
    return value, places, channels, live


@jit
def normalise(
    x, sums, slope, y,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, SUMS: tl.constexpr,
    PARTS: tl.constexpr, LENGTH: tl.constexpr, PARTS_POWER: tl.constexpr, Y_PIXEL: tl.constexpr,
    EPSILON: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    value, places, channels, live = normalised(
        x, sums, ROWS, X_PIXEL, CHANNELS, SUMS, PARTS, LENGTH, PARTS_POWER, EPSILON, BLOCK_P, BLOCK_C
    )
    if slope is not None:
        slopes = tl.load(slope + channels, mask=channels < CHANNELS, other=0.0)[None, :]
        value = tl.where(value > 0, value, value * slopes)
    tl.store(y + places * Y_PIXEL + channels[None, :], value.to(y.dtype.element_ty), mask=live)


def parts(x: View) -> int:
    """Return the number of parts that a map's sums are split into: about 512 pixels each, at most 32."""
    return min(max(x.pixels // 512, 1), PARTS)


def block_of(x: View) -> tuple[int, Tile]:
    """Return pixels per program and its tile: more pixels for a large map, with many parts to merge."""
    return (4 * PIXELS, Tile(8)) if x.pixels >= 128 * PIXELS else (PIXELS, Tile(4))


def wanted_sums(c: Context, name: str, length: int) -> Argument:
    """Return memory for the sums per `length` pixels of a large map whose norm is used; else None."""
    y = c.view(name)
    wanted = any(
        normalises(step, role) or (step.kind == "spade" and role == "x")
        for _, step, role in c.readers(name) or []
    )
    fits = y.pixels > SMALL and y.pixels % length == 0 and y.pixels // length <= MOST_PARTS
    return c.add_sums(name, y.pixels // length, length) if wanted and fits else None


def launch_whole(c: Context) -> Launch:
    """Build the launch of a small map's norm."""
    x, y = c.view("x"), c.view("y")
    source, pixel, split = map_or_partial(c, "x")
    return Launch(
        "instance_norm.whole",
        {
            "x": source, "slope": c.vector("prelu"), "y": c.buffer("y"), "planes": winograd.wanted(c, "y"),
        },
        ("y", "planes"),
        constants(
            rows=x.pixels, width=x.w, x_pixel=pixel, channels=x.c, split=split, y_pixel=y.pixel,
            epsilon=c.real("epsilon"), block_p=power(x.pixels), block_c=FEW,
        ),
        (blocks(x.c, FEW), 1),
        x.n,
        tile=Tile(8 if x.pixels > 256 else 4),
    )  # fmt: skip


def sums_of(c: Context, name: str) -> tuple[list[Launch], Sums]:
    """Return the sums of a buffer, and the launch that computes them if no earlier one has."""
    known = c.sums(name)
    if known is not None:
        return [], known
    x = c.view(name)
    count, width = parts(x), padded(x.c)
    length = blocks(blocks(x.pixels, count), PIXELS) * PIXELS
    sums = Sums(c.temporary(x.n * count * 2 * width), count, length)
    launch = Launch(
        "instance_norm.statistics",
        {"x": c.buffer(name), "sums": sums.operand},
        ("sums",),
        constants(
            rows=x.pixels, x_pixel=x.pixel, channels=x.c, sums=width, parts=count, length=length,
            block_p=PIXELS, block_c=CHANNELS,
        ),
        (count, blocks(x.c, CHANNELS)),
        x.n,
    )  # fmt: skip
    return [launch], sums


def launch_instance_norm(c: Context) -> list[Launch]:
    """Build one launch for a small map; else one for the sums if missing, then one for the norm."""
    x, y = c.view("x"), c.view("y")
    if x.pixels <= SMALL:
        return [launch_whole(c)]
    first, sums = sums_of(c, "x")
    down, tile = block_of(x)
    second = Launch(
        "instance_norm.normalise",
        {"x": c.buffer("x"), "sums": sums.operand, "slope": c.vector("prelu"), "y": c.buffer("y")},
        ("y",),
        constants(
            rows=x.pixels, x_pixel=x.pixel, channels=x.c, sums=padded(x.c), parts=sums.parts,
            length=sums.length, parts_power=power(sums.parts), y_pixel=y.pixel, epsilon=c.real("epsilon"),
            block_p=down, block_c=CHANNELS,
        ),
        (blocks(y.pixels, down), blocks(x.c, CHANNELS)),
        y.n,
        tile=tile,
    )  # fmt: skip
    return [*first, second]
