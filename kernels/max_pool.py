"""Max pooling 3 x 3, stride 2, padding 1."""

from __future__ import annotations

from .elementwise import map_launch
from .language import jit, tl
from .launch import Context, Launch


@jit
def max_pool(
    x, y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr, Y_PIXEL: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    live = (pixels < HEIGHT * WIDTH)[:, None] & (channels < CHANNELS)
    x += sample * (H * W * X_PIXEL)
    best = tl.full((BLOCK_P, BLOCK_C), float("-inf"), tl.float32)
    for tap in tl.static_range(9):
        row = (pixels // WIDTH * 2 + tap // 3 - 1)[:, None]
        column = (pixels % WIDTH * 2 + tap % 3 - 1)[:, None]
        valid = live & (row >= 0) & (row < H) & (column >= 0) & (column < W)
        value = tl.load(x + (row * W + column) * X_PIXEL + channels, mask=valid, other=float("-inf"))
        best = tl.maximum(best, value.to(tl.float32))
    target = y + (sample * (HEIGHT * WIDTH) + pixels[:, None]) * Y_PIXEL + channels
    tl.store(target, best.to(y.dtype.element_ty), mask=live)


def launch_max_pool(c: Context) -> list[Launch]:
    """Build the launch that halves a feature map's sides."""
    return [map_launch(c, "max_pool.max_pool")]
