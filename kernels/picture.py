"""The first three channels of a feature map as a picture, or their sigmoid."""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, blocks, constants

BLOCK = 256


@jit
def picture(
    x, y, ROWS: tl.constexpr, X_PIXEL: tl.constexpr, Y_PIXEL: tl.constexpr, SIGMOID: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = (tl.program_id(0) * BLOCK + tl.arange(0, BLOCK))[:, None]
    channel = tl.arange(0, 4)[None, :]
    live = (pixels < ROWS) & (channel < 3)
    places = sample * ROWS + pixels
    value = tl.load(x + places * X_PIXEL + channel, mask=live, other=0.0)
    if SIGMOID:
        value = 1.0 / (1.0 + tl.exp(-value))
    tl.store(y + places * Y_PIXEL + channel, value, mask=live)


def launch_picture(c: Context) -> list[Launch]:
    """Build the launch that copies three channels."""
    x, y = c.view("x"), c.view("y")
    return [
        Launch(
            "picture.picture",
            {"x": c.buffer("x"), "y": c.buffer("y")},
            ("y",),
            constants(
                rows=x.pixels, x_pixel=x.pixel, y_pixel=y.pixel, sigmoid=c.flag("sigmoid"), block=BLOCK,
            ),
            (blocks(x.pixels, BLOCK), 1),
            y.n,
        )
    ]  # fmt: skip
