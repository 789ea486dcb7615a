"""Copies: a part of a concatenation, every n-th pixel, a change of type, an output for the caller."""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, blocks, constants, power


@jit
def copy(
    x, y,
    W: tl.constexpr, IMAGE: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, ROWS: tl.constexpr,
    STORED: tl.constexpr, WIDTH: tl.constexpr, Y_PIXEL: tl.constexpr, STRIDE: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    live = (pixels < ROWS)[:, None]
    source = pixels // WIDTH * STRIDE * W + pixels % WIDTH * STRIDE
    value = tl.load(
        x + sample * IMAGE + source[:, None] * X_PIXEL + channels,
        mask=live & (channels < CHANNELS),
        other=0.0,
    )
    target = y + (sample * ROWS + pixels[:, None]) * Y_PIXEL + channels
    tl.store(target, value.to(y.dtype.element_ty), mask=live & (channels < STORED))


def launch_copy(c: Context) -> list[Launch]:
    """Build the launch that copies x into y, from channel `first` of y on."""
    x, y = c.view("x"), c.view("y")
    across = power(x.c, 4, 128)  # convolutions read four channels of a picture, of which the last is zero
    down = 4096 // across
    return [
        Launch(
            "copy.copy",
            {"x": c.buffer("x"), "y": c.buffer("y", c.integer("first"))},
            ("y",),
            constants(
                w=x.w, image=x.pixels * x.pixel, x_pixel=x.pixel, channels=x.c, rows=y.pixels,
                stored=4 if x.c == 3 and y.pixel == 4 else x.c, width=y.w, y_pixel=y.pixel,
                stride=c.integer("stride"), block_p=down, block_c=across,
            ),
            (blocks(y.pixels, down), blocks(x.c, across)),
            y.n,
        )
    ]  # fmt: skip
