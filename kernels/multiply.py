"""The product of two feature maps."""

from __future__ import annotations

from .elementwise import tile
from .language import jit, tl
from .launch import Context, Launch, blocks, constants


@jit
def multiply(
    x, other, y,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, OTHER_PIXEL: tl.constexpr, CHANNELS: tl.constexpr,
    Y_PIXEL: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = (tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    live = (pixels < ROWS) & (channels < CHANNELS)
    places = sample * ROWS + pixels
    value = tl.load(x + places * X_PIXEL + channels, mask=live, other=0.0).to(tl.float32)
    value *= tl.load(other + places * OTHER_PIXEL + channels, mask=live, other=0.0).to(tl.float32)
    tl.store(y + places * Y_PIXEL + channels, value.to(y.dtype.element_ty), mask=live)


def launch_multiply(c: Context) -> list[Launch]:
    """Build the launch of a product."""
    x, y = c.view("x"), c.view("y")
    down, across = tile(x.c)
    return [
        Launch(
            "multiply.multiply",
            {"x": c.buffer("x"), "other": c.buffer("other"), "y": c.buffer("y")},
            ("y",),
            constants(
                rows=x.pixels, x_pixel=x.pixel, other_pixel=c.view("other").pixel, channels=x.c,
                y_pixel=y.pixel, block_p=down, block_c=across,
            ),
            (blocks(y.pixels, down), blocks(x.c, across)),
            y.n,
        )
    ]  # fmt: skip
