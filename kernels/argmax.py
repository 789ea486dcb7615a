"""The best class per pixel, straight from the small logits, which are never stored at full size."""

from __future__ import annotations

from .elementwise import sizes
from .language import jit, tl
from .launch import Context, Launch, blocks, constants, power
from .resize_coordinates import between

PIXELS = 64  # per program
MOST = 4096  # logits per program; with many classes it has fewer pixels


@jit
def argmax(
    x, y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr, Y_PIXEL: tl.constexpr, MODE: tl.constexpr, BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = tl.arange(0, BLOCK_C)[None, :]
    inside = pixels < HEIGHT * WIDTH
    x += sample * (H * W * X_PIXEL)
    known = inside[:, None] & (channels < CHANNELS)
    logits = between(x, pixels, channels, known, H, W, X_PIXEL, HEIGHT, WIDTH, MODE)
    logits = tl.where(channels < CHANNELS, logits, float("-inf"))
    best = tl.argmax(logits, axis=1)
    tl.store(y + sample * (HEIGHT * WIDTH) + pixels, best.to(tl.uint8), mask=inside)


def launch_argmax(c: Context) -> list[Launch]:
    """Build the launch that writes classes at the output's size."""
    x, y = c.view("x"), c.view("y")
    across = power(x.c, 16)
    pixels = min(PIXELS, MOST // across)
    return [
        Launch(
            "argmax.argmax",
            {"x": c.buffer("x"), "y": c.buffer("y")},
            ("y",),
            sizes(x, y) | constants(mode=c.integer("mode"), block_p=pixels, block_c=across),
            (blocks(y.pixels, pixels), 1),
            y.n,
        )
    ]
