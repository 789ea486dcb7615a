"""Volumes moved by a mixture of the key points' motions: a program moves a block of cells of a slice."""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, blocks, constants, power
from .volumes import coordinate, sampled

PIXELS = 32


@jit
def warp(
    x, logits, source, driving, y,
    DEPTH: tl.constexpr, H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr,
    LOGIT_PIXEL: tl.constexpr, MOTIONS: tl.constexpr, SOURCE_PIXEL: tl.constexpr,
    DRIVING_PIXEL: tl.constexpr, Y_PIXEL: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    volume = sample // DEPTH
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    inside = pixels < H * W
    logits += (sample * (H * W) + pixels) * LOGIT_PIXEL
    source += volume * (MOTIONS - 1) * SOURCE_PIXEL
    driving += volume * (MOTIONS - 1) * DRIVING_PIXEL
    most = tl.load(logits, mask=inside, other=0.0)
    for motion in range(1, MOTIONS):
        most = tl.maximum(most, tl.load(logits + motion, mask=inside, other=0.0))
    shares = tl.exp(tl.load(logits, mask=inside, other=0.0) - most)
    right = shares * 0.0
    down = shares * 0.0
    deep = shares * 0.0
    for motion in range(1, MOTIONS):
        share = tl.exp(tl.load(logits + motion, mask=inside, other=0.0) - most)
        here = source + (motion - 1) * SOURCE_PIXEL
        there = driving + (motion - 1) * DRIVING_PIXEL
        right += share * (tl.load(here) - tl.load(there))
        down += share * (tl.load(here + 1) - tl.load(there + 1))
        deep += share * (tl.load(here + 2) - tl.load(there + 2))
        shares += share
    value = sampled(
        x + volume * (DEPTH * H * W * X_PIXEL), coordinate(sample % DEPTH, DEPTH) + deep / shares,
        coordinate(pixels // W, H) + down / shares, coordinate(pixels % W, W) + right / shares, channels,
        channels < CHANNELS, DEPTH, H, W, X_PIXEL,
    )  # fmt: skip
    target = y + (sample * (H * W) + pixels[:, None]) * Y_PIXEL + channels
    tl.store(target, value.to(y.dtype.element_ty), mask=inside[:, None] & (channels < CHANNELS))


def launch_warp(c: Context) -> list[Launch]:
    """Build the launch that moves volumes."""
    x, y, source = c.view("x"), c.view("y"), c.view("source")
    across = power(x.c, 16, 64)
    pointers = {name: c.buffer(name) for name in ("x", "logits", "source", "driving", "y")}
    return [
        Launch(
            "warp.warp",
            {**pointers},
            ("y",),
            constants(
                depth=x.n // source.n, h=x.h, w=x.w, x_pixel=x.pixel, channels=x.c,
                logit_pixel=c.view("logits").pixel, motions=source.w + 1, source_pixel=source.pixel,
                driving_pixel=c.view("driving").pixel, y_pixel=y.pixel, block_p=PIXELS, block_c=across,
            ),
            (blocks(y.pixels, PIXELS), blocks(x.c, across)),
            y.n,
        )
    ]  # fmt: skip
