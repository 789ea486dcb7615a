"""Channels as slices of a volume: channel c * D + d becomes channel c of slice d."""

from __future__ import annotations

from .elementwise import tile
from .language import jit, tl
from .launch import Context, Launch, blocks, constants


@jit
def split_slices(
    x, y,
    DEPTH: tl.constexpr, ROWS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr,
    Y_PIXEL: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = (tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    live = (pixels < ROWS) & (channels < CHANNELS)
    source = x + (sample // DEPTH * ROWS + pixels) * X_PIXEL + channels * DEPTH + sample % DEPTH
    value = tl.load(source, mask=live)
    tl.store(y + (sample * ROWS + pixels) * Y_PIXEL + channels, value, mask=live)


def launch_split_slices(c: Context) -> list[Launch]:
    """Build the launch that copies every channel to its slice."""
    x, y = c.view("x"), c.view("y")
    down, across = tile(y.c)
    return [
        Launch(
            "split_slices.split_slices",
            {"x": c.buffer("x"), "y": c.buffer("y")},
            ("y",),
            constants(
                depth=y.n // x.n, rows=y.pixels, x_pixel=x.pixel, channels=y.c, y_pixel=y.pixel,
                block_p=down, block_c=across,
            ),
            (blocks(y.pixels, down), blocks(y.c, across)),
            y.n,
        )
    ]  # fmt: skip
