"""The sum of a map and a multiple of another, then ReLU.

The second one may be a single pixel, broadcast over the map.
"""

from __future__ import annotations

from .elementwise import tile
from .language import jit, tl
from .launch import Context, Launch, blocks, constants


@jit
def add(
    x, other, y,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, Y_PIXEL: tl.constexpr,
    OTHER_PIXEL: tl.constexpr, OTHER_ROWS: tl.constexpr, GAIN: tl.constexpr, RELU: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = (tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    live = (pixels < ROWS) & (channels < CHANNELS)
    places = sample * ROWS + pixels
    result = tl.load(x + places * X_PIXEL + channels, mask=live, other=0.0).to(tl.float32)
    if OTHER_ROWS == 1:
        term = tl.load(other + sample * OTHER_PIXEL + channels, mask=channels < CHANNELS, other=0.0)
    else:
        term = tl.load(other + places * OTHER_PIXEL + channels, mask=live, other=0.0)
    result += term.to(tl.float32) * GAIN
    if RELU:
        result = tl.maximum(result, 0.0)
    tl.store(y + places * Y_PIXEL + channels, result.to(y.dtype.element_ty), mask=live)


def launch_add(c: Context) -> list[Launch]:
    """Build the launch of a sum."""
    x, other, y = c.view("x"), c.view("other"), c.view("y")
    down, across = tile(x.c)
    return [
        Launch(
            "add.add",
            {"x": c.buffer("x"), "other": c.buffer("other"), "y": c.buffer("y")},
            ("y",),
            constants(
                rows=x.pixels, x_pixel=x.pixel, channels=x.c, y_pixel=y.pixel, other_pixel=other.pixel,
                other_rows=other.pixels, gain=c.real("gain"), relu=c.flag("relu"), block_p=down,
                block_c=across,
            ),
            (blocks(y.pixels, down), blocks(x.c, across)),
            y.n,
        )
    ]  # fmt: skip
