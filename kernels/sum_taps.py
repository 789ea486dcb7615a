"""The rest of a convolution of few outputs: sums of channels that belong to taps (csrc/ops/sum_taps.cpp)."""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, blocks, constants, power

PIXELS = 128


@jit
def sum_taps(
    x, bias, y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, Y_PIXEL: tl.constexpr,
    DEPTH: tl.constexpr, DEEP: tl.constexpr, SIDE: tl.constexpr, BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    slices = sample % DEPTH
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = tl.arange(0, BLOCK_C)[None, :]
    live = (pixels < H * W)[:, None] & (channels < CHANNELS)
    total = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    total += tl.load(bias + channels, mask=channels < CHANNELS, other=0.0)
    for tap in range(0, DEEP * SIDE * SIDE):
        further = tap // (SIDE * SIDE) - DEEP // 2
        row = pixels // W + tap // SIDE % SIDE - SIDE // 2
        column = pixels % W + tap % SIDE - SIDE // 2
        inside = (row >= 0) & (row < H) & (column >= 0) & (column < W)
        inside = inside & (slices + further >= 0) & (slices + further < DEPTH)
        places = ((sample + further) * H + row) * W + column
        source = x + places[:, None] * X_PIXEL + tap * CHANNELS + channels
        total += tl.load(source, mask=inside[:, None] & live, other=0.0)
    target = y + (sample * (H * W) + pixels[:, None]) * Y_PIXEL + channels
    tl.store(target, total.to(y.dtype.element_ty), mask=live)


def launch_sum_taps(c: Context) -> list[Launch]:
    """Build the launch that adds up taps."""
    x, y = c.view("x"), c.view("y")
    return [
        Launch(
            "sum_taps.sum_taps",
            {"x": c.buffer("x"), "bias": c.vector("bias"), "y": c.buffer("y")},
            ("y",),
            constants(
                h=y.h, w=y.w, x_pixel=x.pixel, channels=y.c, y_pixel=y.pixel, depth=c.integer("depth"),
                deep=c.integer("deep"), side=c.integer("side"), block_p=PIXELS, block_c=power(y.c, 4),
            ),
            (blocks(y.pixels, PIXELS), 1),
            y.n,
        )
    ]  # fmt: skip
