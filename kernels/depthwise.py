"""Depthwise convolution, square or a strip of one row or column: bias, GELU, residual."""

from __future__ import annotations

from .elementwise import tile
from .gelu import activated
from .language import jit, tl
from .launch import Context, Launch, blocks, constants, padded


@jit
def depthwise(
    x, taps, bias, residual, y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, PADDED: tl.constexpr,
    Y_PIXEL: tl.constexpr, RESIDUAL_PIXEL: tl.constexpr, DOWN: tl.constexpr, ACROSS: tl.constexpr,
    GELU: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = (tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    known = channels < CHANNELS
    live = (pixels < H * W) & known
    x += sample * (H * W * X_PIXEL)
    total = tl.zeros((BLOCK_P, BLOCK_C), tl.float32) + tl.load(bias + channels, mask=known, other=0.0)
    for tap in range(DOWN * ACROSS):
        row = pixels // W + tap // ACROSS - DOWN // 2
        column = pixels % W + tap % ACROSS - ACROSS // 2
        inside = (row >= 0) & (row < H) & (column >= 0) & (column < W) & live
        value = tl.load(x + (row * W + column) * X_PIXEL + channels, mask=inside, other=0.0)
        total += value.to(tl.float32) * tl.load(taps + tap * PADDED + channels, mask=known, other=0.0)
    if GELU:
        total = activated(total)
    places = sample * (H * W) + pixels
    if residual is not None:
        other = tl.load(residual + places * RESIDUAL_PIXEL + channels, mask=live, other=0.0)
        total += other.to(tl.float32)
    tl.store(y + places * Y_PIXEL + channels, total.to(y.dtype.element_ty), mask=live)


def launch_depthwise(c: Context) -> list[Launch]:
    """Build the launch of a depthwise convolution."""
    x, y = c.view("x"), c.view("y")
    down, across = tile(x.c)
    down //= 4  # the loads of several taps stay in flight
    return [
        Launch(
            "depthwise.depthwise",
            {
                "x": c.buffer("x"),
                "taps": c.vector("taps"),
                "bias": c.vector("bias"),
                "residual": c.buffer("residual"),
                "y": c.buffer("y"),
            },
            ("y",),
            constants(
                h=x.h, w=x.w, x_pixel=x.pixel, channels=x.c, padded=padded(x.c), y_pixel=y.pixel,
                residual_pixel=c.view("residual").pixel if c.has("residual") else 0,
                down=c.integer("height"), across=c.integer("width"), gelu=c.flag("gelu"),
                block_p=down, block_c=across,
            ),
            (blocks(y.pixels, down), blocks(x.c, across)),
            y.n,
        )
    ]  # fmt: skip
