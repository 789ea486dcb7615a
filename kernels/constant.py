"""The generator's learned constant, repeated over the batch."""

from __future__ import annotations

from .elementwise import tile
from .language import jit, tl
from .launch import Context, Launch, blocks, constants


@jit
def constant(
    values, y,
    ROWS: tl.constexpr, CHANNELS: tl.constexpr, Y_PIXEL: tl.constexpr, BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = (tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    live = (pixels < ROWS) & (channels < CHANNELS)
    value = tl.load(values + pixels * CHANNELS + channels, mask=live, other=0.0)
    target = y + (sample * ROWS + pixels) * Y_PIXEL + channels
    tl.store(target, value.to(y.dtype.element_ty), mask=live)


def launch_constant(c: Context) -> list[Launch]:
    """Build the launch that writes the constant for each sample."""
    y = c.view("y")
    down, across = tile(y.c)
    return [
        Launch(
            "constant.constant",
            {"values": c.vector("values"), "y": c.buffer("y")},
            ("y",),
            constants(rows=y.pixels, channels=y.c, y_pixel=y.pixel, block_p=down, block_c=across),
            (blocks(y.pixels, down), blocks(y.c, across)),
            y.n,
        )
    ]
