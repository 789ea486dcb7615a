"""A scale and a shift per channel, then PReLU: norms and activations not fused into another step.

The result may be a part of the channels of a wider map.
"""

from __future__ import annotations

from .elementwise import tile
from .language import jit, tl
from .launch import Context, Launch, blocks, constants


@jit
def affine(
    x, scale, shift, slope, y,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, Y_PIXEL: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = (tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    known = channels < CHANNELS
    live = (pixels < ROWS) & known
    places = sample * ROWS + pixels
    value = tl.load(x + places * X_PIXEL + channels, mask=live, other=0.0).to(tl.float32)
    value = value * tl.load(scale + channels, mask=known, other=0.0)
    value += tl.load(shift + channels, mask=known, other=0.0)
    if slope is not None:
        value = tl.where(value > 0, value, value * tl.load(slope + channels, mask=known, other=0.0))
    tl.store(y + places * Y_PIXEL + channels, value.to(y.dtype.element_ty), mask=live)


def launch_affine(c: Context) -> list[Launch]:
    """Build the launch of a scale, shift and PReLU."""
    x, y = c.view("x"), c.view("y")
    down, across = tile(x.c)
    return [
        Launch(
            "affine.affine",
            {
                "x": c.buffer("x"),
                "scale": c.vector("scale"),
                "shift": c.vector("shift"),
                "slope": c.vector("prelu"),
                "y": c.buffer("y", c.integer("to")),
            },
            ("y",),
            constants(
                rows=x.pixels, x_pixel=x.pixel, channels=x.c, y_pixel=y.pixel, block_p=down, block_c=across
            ),
            (blocks(y.pixels, down), blocks(x.c, across)),
            y.n,
        )
    ]
