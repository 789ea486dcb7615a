"""The end of a residual unit: instance norm, gain, and the sum with the shortcut.

An instance-normalised map has mean zero, so its excitation is a constant gain (ops/squeeze_excite.py). The
shortcut is the map itself, every n-th pixel of it, or a second normalised map. The next unit begins with the
norm of the result: the same launch computes the whole norm of a small map, and the sums of a large one.
"""

from __future__ import annotations

from . import winograd
from .instance_norm import (
    CHANNELS,
    block_of,
    gathered,
    mean_and_factor,
    standardised,
    store_sums,
    sums_of,
    wanted_sums,
)
from .language import jit, tl
from .launch import Context, Launch, Tile, blocks, constants, padded, power
from .partial import FEW, SMALL, map_or_partial
from .winograd import split_map


@jit
def whole_add(
    x, shortcut, slope, y, normed, planes,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr,
    SPLIT: tl.constexpr, Y_PIXEL: tl.constexpr, SHORTCUT_PIXEL: tl.constexpr, SHORTCUT_W: tl.constexpr,
    SHORTCUT_IMAGE: tl.constexpr, SHORTCUT_SPLIT: tl.constexpr, STRIDE: tl.constexpr,
    NORMALISED: tl.constexpr, GAIN: tl.constexpr, EPSILON: tl.constexpr,
    NEXT_EPSILON: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """Compute all pixels of a small map, and the norm of the sum where the next unit needs it."""
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.arange(0, BLOCK_P)
    channels = tl.program_id(0) * BLOCK_C + tl.arange(0, BLOCK_C)
    known = channels < CHANNELS
    live = (pixels < ROWS)[:, None] & known[None, :]
    value = gathered(x, sample, pixels, channels, live, ROWS, WIDTH, X_PIXEL, SPLIT)
    value = standardised(value, live, ROWS, EPSILON) * GAIN
    if NORMALISED:
        other = gathered(
            shortcut, sample, pixels, channels, live, ROWS, WIDTH, SHORTCUT_PIXEL, SHORTCUT_SPLIT
        )
        value += standardised(other, live, ROWS, EPSILON)
    else:
        source = (pixels // WIDTH * STRIDE * SHORTCUT_W + pixels % WIDTH * STRIDE)[:, None] * SHORTCUT_PIXEL
        places = shortcut + sample * SHORTCUT_IMAGE + source + channels[None, :]
        value += tl.load(places, mask=live, other=0.0).to(tl.float32)
    rounded = value.to(y.dtype.element_ty)
    places = (sample * ROWS + pixels[:, None]) * Y_PIXEL + channels[None, :]
    tl.store(y + places, rounded, mask=live)
    if normed is not None:
        value = standardised(tl.where(live, rounded.to(tl.float32), 0.0), live, ROWS, NEXT_EPSILON)
        if slope is not None:
            slopes = tl.load(slope + channels, mask=known, other=0.0)[None, :]
            value = tl.where(value > 0, value, value * slopes)
        tl.store(normed + places, value.to(y.dtype.element_ty), mask=live)
    if planes is not None:
        split_map(normed, planes, sample, channels, known, ROWS, WIDTH, Y_PIXEL, CHANNELS, BLOCK_P)


@jit
def norm_add(
    x, sums, shortcut, shortcut_sums, y, next_sums,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr,
    SUMS: tl.constexpr, PARTS: tl.constexpr, LENGTH: tl.constexpr, PARTS_POWER: tl.constexpr,
    Y_PIXEL: tl.constexpr, SHORTCUT_PIXEL: tl.constexpr, SHORTCUT_W: tl.constexpr,
    SHORTCUT_IMAGE: tl.constexpr, SHORTCUT_PARTS: tl.constexpr, SHORTCUT_LENGTH: tl.constexpr,
    SHORTCUT_POWER: tl.constexpr, STRIDE: tl.constexpr, GAIN: tl.constexpr, EPSILON: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    known = channels < CHANNELS
    live = (pixels < ROWS)[:, None] & known[None, :]
    mean, factor = mean_and_factor(
        sums, sample, channels, known, ROWS, SUMS, PARTS, LENGTH, PARTS_POWER, EPSILON
    )
    places = sample * ROWS + pixels[:, None]
    value = tl.load(x + places * X_PIXEL + channels[None, :], mask=live, other=0.0).to(tl.float32)
    value = (value - mean[None, :]) * (factor * GAIN)[None, :]
    source = (pixels // WIDTH * STRIDE * SHORTCUT_W + pixels % WIDTH * STRIDE)[:, None] * SHORTCUT_PIXEL
    other = tl.load(shortcut + sample * SHORTCUT_IMAGE + source + channels[None, :], mask=live, other=0.0)
    other = other.to(tl.float32)
    if shortcut_sums is not None:
        mean, factor = mean_and_factor(
            shortcut_sums,
            sample,
            channels,
            known,
            ROWS,
            SUMS,
            SHORTCUT_PARTS,
            SHORTCUT_LENGTH,
            SHORTCUT_POWER,
            EPSILON,
        )
        other = (other - mean[None, :]) * factor[None, :]
    value += other
    tl.store(y + places * Y_PIXEL + channels[None, :], value.to(y.dtype.element_ty), mask=live)
    if next_sums is not None:
        place = sample * (ROWS // BLOCK_P) + tl.program_id(0)
        store_sums(value, next_sums, place, channels, known, SUMS, BLOCK_P)


def launch_norm_add(c: Context) -> list[Launch]:
    """Build one launch for a small map; else launches for missing sums and for the sum of both maps."""
    if c.view("x").pixels <= SMALL:
        return [_launch_whole(c)]
    x, y, shortcut = c.view("x"), c.view("y"), c.view("shortcut")
    launches, sums = sums_of(c, "x")
    beside = None
    if c.flag("normalised"):
        more, beside = sums_of(c, "shortcut")
        launches += more
    down, tile = block_of(x)
    launches.append(
        Launch(
            "norm_add.norm_add",
            {
                "x": c.buffer("x"),
                "sums": sums.operand,
                "shortcut": c.buffer("shortcut"),
                "shortcut_sums": beside.operand if beside else None,
                "y": c.buffer("y"),
                "next_sums": wanted_sums(c, "y", down),
            },
            ("y", "next_sums"),
            constants(
                rows=x.pixels, width=x.w, x_pixel=x.pixel, channels=x.c, sums=padded(x.c), parts=sums.parts,
                length=sums.length, parts_power=power(sums.parts), y_pixel=y.pixel,
                shortcut_pixel=shortcut.pixel, shortcut_w=shortcut.w,
                shortcut_image=shortcut.pixels * shortcut.pixel, shortcut_parts=beside.parts if beside else 0,
                shortcut_length=beside.length if beside else 0,
                shortcut_power=power(beside.parts) if beside else 1, stride=c.integer("stride"),
                gain=c.real("gain"), epsilon=c.real("epsilon"), block_p=down, block_c=CHANNELS,
            ),
            (blocks(y.pixels, down), blocks(x.c, CHANNELS)),
            y.n,
            tile=tile,
        )
    )  # fmt: skip
    return launches


def _launch_whole(c: Context) -> Launch:
    x, y, beside = c.view("x"), c.view("y"), c.view("shortcut")
    source, pixel, split = map_or_partial(c, "x")
    shortcut, shortcut_pixel, shortcut_split = map_or_partial(c, "shortcut")
    following = [i for i, step, _ in c.readers("y") or [] if step.kind == "instance_norm"]
    norm = c.absorb(following[0]) if following else None
    return Launch(
        "norm_add.whole_add",
        {
            "x": source,
            "shortcut": shortcut,
            "slope": norm.vector("prelu") if norm else None,
            "y": c.buffer("y"),
            "normed": norm.buffer("y") if norm else None,
            "planes": winograd.wanted(norm, "y") if norm else None,
        },
        ("y", "normed", "planes"),
        constants(
            rows=x.pixels, width=x.w, x_pixel=pixel, channels=x.c, split=split, y_pixel=y.pixel,
            shortcut_pixel=shortcut_pixel, shortcut_w=beside.w,
            shortcut_image=beside.pixels * beside.pixel, shortcut_split=shortcut_split,
            stride=c.integer("stride"), normalised=c.flag("normalised"), gain=c.real("gain"),
            epsilon=c.real("epsilon"), next_epsilon=norm.real("epsilon") if norm else 0.0,
            block_p=power(x.pixels), block_c=FEW,
        ),
        (blocks(x.c, FEW), 1),
        x.n,
        tile=Tile(8 if x.pixels > 256 else 4),
    )  # fmt: skip
