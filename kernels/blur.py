"""A 4 x 4 filter of every channel, with two zero pixels around: the blur before a convolution of stride 2."""

from __future__ import annotations

from .elementwise import sizes, tile
from .language import jit, tl
from .launch import Context, Launch, blocks, constants


@jit
def blur(
    x, taps, y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr, Y_PIXEL: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    live = (pixels < HEIGHT * WIDTH)[:, None] & (channels < CHANNELS)
    x += sample * (H * W * X_PIXEL)
    total = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    for tap in tl.static_range(16):
        row = pixels // WIDTH + tap // 4 - 2
        column = pixels % WIDTH + tap % 4 - 2
        inside = ((row >= 0) & (row < H) & (column >= 0) & (column < W))[:, None] & live
        value = tl.load(x + (row * W + column)[:, None] * X_PIXEL + channels, mask=inside, other=0.0)
        total += value.to(tl.float32) * tl.load(taps + tap)
    target = y + (sample * (HEIGHT * WIDTH) + pixels[:, None]) * Y_PIXEL + channels
    tl.store(target, total.to(y.dtype.element_ty), mask=live)


def launch_blur(c: Context) -> list[Launch]:
    """Build the launch that filters a feature map."""
    x, y = c.view("x"), c.view("y")
    down, across = tile(x.c)
    down //= 4  # the sums of sixteen loads stay in registers
    return [
        Launch(
            "blur.blur",
            {"x": c.buffer("x"), "taps": c.vector("taps"), "y": c.buffer("y")},
            ("y",),
            sizes(x, y) | constants(block_p=down, block_c=across),
            (blocks(y.pixels, down), blocks(x.c, across)),
            y.n,
        )
    ]
