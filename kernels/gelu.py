"""GELU: a value times the share of a normal distribution below it."""

from __future__ import annotations

from .elementwise import tile
from .language import jit, tl
from .launch import Context, Launch, blocks, constants


@jit
def activated(value):
    """Return the GELU of values in fp32."""
    return 0.5 * value * (1.0 + tl.erf(value * 0.7071067811865476))


@jit
def gelu(
    x, y,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, Y_PIXEL: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = (tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    live = (pixels < ROWS) & (channels < CHANNELS)
    places = sample * ROWS + pixels
    value = tl.load(x + places * X_PIXEL + channels, mask=live, other=0.0).to(tl.float32)
    tl.store(y + places * Y_PIXEL + channels, activated(value).to(y.dtype.element_ty), mask=live)


def launch_gelu(c: Context) -> list[Launch]:
    """Build the launch of a GELU."""
    x, y = c.view("x"), c.view("y")
    down, across = tile(x.c)
    return [
        Launch(
            "gelu.gelu",
            {"x": c.buffer("x"), "y": c.buffer("y")},
            ("y",),
            constants(
                rows=x.pixels, x_pixel=x.pixel, channels=x.c, y_pixel=y.pixel, block_p=down, block_c=across
            ),
            (blocks(y.pixels, down), blocks(x.c, across)),
            y.n,
        )
    ]
