"""The generator's range to 8-bit pictures: (x + 1) / 2 clamped, times 255, truncated like published code."""

from __future__ import annotations

from . import box
from .box import run_outside
from .language import jit, tl
from .launch import Context, Launch, blocks, constants

BLOCK = 256


@jit
def to_uint8(
    x, box, y,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, X_PIXEL: tl.constexpr, BOX_SCALE: tl.constexpr,
    MARGIN: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    if box is not None:
        if run_outside(box, sample, tl.program_id(0) * BLOCK, BLOCK, WIDTH, BOX_SCALE, MARGIN):
            return
    pixels = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK))[:, None]
    channel = tl.arange(0, 4)[None, :]
    live = (pixels < ROWS) & (channel < 3)
    places = sample * ROWS + pixels
    value = (tl.load(x + places * X_PIXEL + channel, mask=live, other=0.0) + 1) / 2
    value = tl.where(value > 0, tl.minimum(value, 1.0), 0.0)  # NaN becomes 0
    tl.store(y + places * 3 + channel, (value * 255).to(tl.int32).to(tl.uint8), mask=live)


def launch_to_uint8(c: Context) -> list[Launch]:
    """Build the launch that writes the caller's 8-bit pixels."""
    x, y = c.view("x"), c.view("y")
    return [
        Launch(
            "to_uint8.to_uint8",
            {"x": c.buffer("x"), "box": box.operand(c, "x"), "y": c.buffer("y")},
            ("y",),
            box.sizes(c, "x") | constants(rows=x.pixels, width=x.w, x_pixel=x.pixel, block=BLOCK),
            (blocks(x.pixels, BLOCK), 1),
            y.n,
        )
    ]
