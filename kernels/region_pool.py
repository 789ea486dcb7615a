"""The mean over each region's pixels, all regions in one pass; or over all pixels.

Each part of the feature map is a product: one-hot labels [regions, pixels] times features [pixels, channels].
A second launch adds up the parts, always in the same order.
"""

from __future__ import annotations

from .instance_norm import CHANNELS, PIXELS, parts
from .language import jit, tl
from .launch import Context, Launch, blocks, constants, padded, power


@jit
def part_sums(
    x, labels, sums, counts,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, SUMS: tl.constexpr,
    PARTS: tl.constexpr, LENGTH: tl.constexpr, REGIONS: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    part = tl.program_id(0)
    channels = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    known = channels < CHANNELS
    regions = tl.arange(0, REGIONS)
    x += sample * (ROWS * X_PIXEL)
    total = tl.zeros((REGIONS, BLOCK_C), tl.float32)
    count = tl.zeros((REGIONS,), tl.float32)
    for start in range(0, LENGTH, BLOCK_P):
        pixels = part * LENGTH + start + tl.arange(0, BLOCK_P)
        live = pixels < ROWS
        source = x + pixels[:, None] * X_PIXEL + channels[None, :]
        value = tl.load(source, mask=live[:, None] & known[None, :], other=0.0)
        if labels is not None:
            region = tl.load(labels + sample * ROWS + pixels, mask=live, other=255).to(tl.int32)
        else:
            region = tl.where(live, 0, 255)
        hot = regions[:, None] == region[None, :]
        count += tl.sum(hot.to(tl.float32), axis=1)
        total = tl.dot(hot.to(x.dtype.element_ty), value, total, input_precision=PRECISION)
    place = sample * PARTS + part
    target = sums + (place * REGIONS + regions[:, None]) * SUMS + channels[None, :]
    tl.store(target, total, mask=known[None, :])
    if tl.program_id(1) == 0:
        tl.store(counts + place * REGIONS + regions, count)


@jit
def mean(
    sums, counts, y,
    CHANNELS: tl.constexpr, SUMS: tl.constexpr, PARTS: tl.constexpr, REGIONS: tl.constexpr,
    USED: tl.constexpr, Y_PIXEL: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    regions = tl.arange(0, REGIONS)
    total = tl.zeros((REGIONS, BLOCK_C), tl.float32)
    count = tl.zeros((REGIONS,), tl.float32)
    for part in range(0, PARTS):
        place = sample * PARTS + part
        source = sums + (place * REGIONS + regions[:, None]) * SUMS + channels
        total += tl.load(source, mask=channels < CHANNELS, other=0.0)
        count += tl.load(counts + place * REGIONS + regions)
    means = total / tl.maximum(count, 1.0)[:, None]
    live = (regions < USED)[:, None] & (channels < CHANNELS)
    target = y + (sample * USED + regions[:, None]) * Y_PIXEL + channels
    tl.store(target, means.to(y.dtype.element_ty), mask=live)


def launch_region_pool(c: Context) -> list[Launch]:
    """Build the launches that sum each part, then take the mean. Regions without a pixel give zeros."""
    x, y = c.view("x"), c.view("y")
    count, width, regions = parts(x), padded(x.c), power(y.w, 16)
    sums = c.temporary(x.n * count * regions * width)
    counts = c.temporary(x.n * count * regions)
    length = blocks(blocks(x.pixels, count), PIXELS) * PIXELS
    first = Launch(
        "region_pool.part_sums",
        {"x": c.buffer("x"), "labels": c.buffer("labels"), "sums": sums, "counts": counts},
        ("sums", "counts"),
        constants(
            rows=x.pixels, x_pixel=x.pixel, channels=x.c, sums=width, parts=count, length=length,
            regions=regions, precision=c.precision, block_p=PIXELS, block_c=CHANNELS,
        ),
        (count, blocks(x.c, CHANNELS)),
        x.n,
    )  # fmt: skip
    second = Launch(
        "region_pool.mean",
        {"sums": sums, "counts": counts, "y": c.buffer("y")},
        ("y",),
        constants(
            channels=x.c, sums=width, parts=count, regions=regions, used=y.w, y_pixel=y.pixel,
            block_c=CHANNELS,
        ),
        (1, blocks(x.c, CHANNELS)),
        x.n,
    )  # fmt: skip
    return [first, second]
