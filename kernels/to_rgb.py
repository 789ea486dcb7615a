"""toRGB: a modulated 1 x 1 convolution to three channels, bias, and the smaller picture through the FIR.

Three columns are too few for matrix units, and the feature map is read once: memory bandwidth is the limit.
The last layer, whose map has no other reader, computes its toRGB itself: see regional_conv.py.
"""

from __future__ import annotations

from . import box
from .box import run_outside
from .fir import add_skip
from .language import jit, tl
from .launch import Context, Launch, blocks, constants, power

PIXELS = 64


@jit
def to_rgb(
    x, matrix, bias, styles, labels, skip, box, y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, Y_PIXEL: tl.constexpr,
    REGIONS: tl.constexpr, STYLE_PIXEL: tl.constexpr, BOX_SCALE: tl.constexpr, MARGIN: tl.constexpr,
    BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    if box is not None:
        if run_outside(box, sample, tl.program_id(0) * BLOCK_P, BLOCK_P, W, BOX_SCALE, MARGIN):
            return
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    inside = pixels < H * W
    if labels is not None:
        region = tl.load(labels + sample * (H * W) + pixels, mask=inside, other=0).to(tl.int32)
    else:
        region = tl.zeros((BLOCK_P,), tl.int32)
    red = tl.zeros((BLOCK_P,), tl.float32)
    green = tl.zeros((BLOCK_P,), tl.float32)
    blue = tl.zeros((BLOCK_P,), tl.float32)
    for start in range(0, CHANNELS, BLOCK_C):
        channels = start + tl.arange(0, BLOCK_C)
        known = channels < CHANNELS
        live = inside[:, None] & known[None, :]
        source = x + (sample * (H * W) + pixels[:, None]) * X_PIXEL + channels[None, :]
        value = tl.load(source, mask=live, other=0.0).to(tl.float32)
        if styles is not None:
            places = (sample * REGIONS + region[:, None]) * STYLE_PIXEL + channels[None, :]
            value *= tl.load(styles + places, mask=live, other=0.0)
        red += tl.sum(value * tl.load(matrix + channels, mask=known, other=0.0)[None, :], axis=1)
        second = tl.load(matrix + CHANNELS + channels, mask=known, other=0.0)
        green += tl.sum(value * second[None, :], axis=1)
        third = tl.load(matrix + 2 * CHANNELS + channels, mask=known, other=0.0)
        blue += tl.sum(value * third[None, :], axis=1)
    channel = tl.arange(0, 4)[None, :]
    live = inside[:, None] & (channel < 3)
    colour = tl.where(channel == 0, red[:, None], tl.where(channel == 1, green[:, None], blue[:, None]))
    colour += tl.load(bias + channel, mask=channel < 3, other=0.0)
    if skip is not None:
        colour = add_skip(colour, skip, sample, pixels, channel, live, H, W)
    tl.store(y + (sample * (H * W) + pixels[:, None]) * Y_PIXEL + channel, colour, mask=live)


def launch_to_rgb(c: Context) -> list[Launch]:
    """Build the launch of the picture at one size."""
    x, y = c.view("x"), c.view("y")
    styles = c.view("styles") if c.has("styles") else None
    return [
        Launch(
            "to_rgb.to_rgb",
            {
                "x": c.buffer("x"),
                "matrix": c.vector("matrix"),
                "bias": c.vector("bias"),
                "styles": c.buffer("styles"),
                "labels": c.buffer("labels"),
                "skip": c.buffer("skip"),
                "box": box.operand(c, "y"),
                "y": c.buffer("y"),
            },
            ("y",),
            box.sizes(c, "y") | constants(
                h=x.h, w=x.w, x_pixel=x.pixel, channels=x.c, y_pixel=y.pixel,
                regions=styles.w if styles else 1, style_pixel=styles.pixel if styles else 0, block_p=PIXELS,
                block_c=power(x.c, 16, 32),
            ),
            (blocks(y.pixels, PIXELS), 1),
            y.n,
        )
    ]  # fmt: skip
