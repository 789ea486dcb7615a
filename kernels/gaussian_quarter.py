"""A picture filtered by a Gaussian, with zeros around it: every fourth row and column."""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, blocks, constants

PIXELS = 64


@jit
def gaussian_quarter(
    x, taps, y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
    Y_PIXEL: tl.constexpr, SIZE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    channels = tl.arange(0, 4)[None, :]
    live = (pixels < HEIGHT * WIDTH)[:, None] & (channels < 3)
    x += sample * (H * W * X_PIXEL)
    total = tl.zeros((BLOCK, 4), tl.float32)
    for tap in range(0, SIZE * SIZE):
        row = pixels // WIDTH * 4 + tap // SIZE - SIZE // 2
        column = pixels % WIDTH * 4 + tap % SIZE - SIZE // 2
        inside = ((row >= 0) & (row < H) & (column >= 0) & (column < W))[:, None] & live
        value = tl.load(x + (row * W + column)[:, None] * X_PIXEL + channels, mask=inside, other=0.0)
        total += value.to(tl.float32) * (tl.load(taps + tap // SIZE) * tl.load(taps + tap % SIZE))
    target = y + (sample * (HEIGHT * WIDTH) + pixels[:, None]) * Y_PIXEL + channels
    # A fourth channel, zero: convolutions read all four of a picture.
    tl.store(target, total.to(y.dtype.element_ty), mask=(pixels < HEIGHT * WIDTH)[:, None])


def launch_gaussian_quarter(c: Context) -> list[Launch]:
    """Build the launch that reduces a picture."""
    x, y = c.view("x"), c.view("y")
    return [
        Launch(
            "gaussian_quarter.gaussian_quarter",
            {"x": c.buffer("x"), "taps": c.vector("taps"), "y": c.buffer("y")},
            ("y",),
            constants(
                h=x.h, w=x.w, x_pixel=x.pixel, height=y.h, width=y.w, y_pixel=y.pixel, size=13, block=PIXELS,
            ),
            (blocks(y.pixels, PIXELS), 1),
            y.n,
        )
    ]  # fmt: skip
