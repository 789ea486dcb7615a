"""Resizing of feature maps: bilinear with half-pixel centres or aligned corners, or nearest."""

from __future__ import annotations

from .elementwise import map_launch
from .language import jit, tl
from .launch import Context, Launch
from .resize_coordinates import between


@jit
def resize(
    x, y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr, Y_PIXEL: tl.constexpr, MODE: tl.constexpr, BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    live = (pixels < HEIGHT * WIDTH)[:, None] & (channels < CHANNELS)
    x += sample * (H * W * X_PIXEL)
    value = between(x, pixels, channels, live, H, W, X_PIXEL, HEIGHT, WIDTH, MODE)
    target = y + (sample * (HEIGHT * WIDTH) + pixels[:, None]) * Y_PIXEL + channels
    tl.store(target, value.to(y.dtype.element_ty), mask=live)


def launch_resize(c: Context) -> list[Launch]:
    """Build the launch that resizes a feature map."""
    return [map_launch(c, "resize.resize", mode=c.integer("mode"))]
