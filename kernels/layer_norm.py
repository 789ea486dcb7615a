"""The channels of every pixel, normalised together; a program holds all channels of a few pixels."""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, blocks, constants, power

VALUES = 4096  # per program
MOST_CHANNELS = 8192


@jit
def layer_norm(
    x, scale, shift, y,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, Y_PIXEL: tl.constexpr,
    EPSILON: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = (tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
    channels = tl.arange(0, BLOCK_C)[None, :]
    known = channels < CHANNELS
    live = (pixels < ROWS) & known
    places = sample * ROWS + pixels
    value = tl.load(x + places * X_PIXEL + channels, mask=live, other=0.0).to(tl.float32)
    mean = tl.sum(value, axis=1) / CHANNELS
    centred = tl.where(live, value - mean[:, None], 0.0)
    factor = 1.0 / tl.sqrt(tl.sum(centred * centred, axis=1) / CHANNELS + EPSILON)
    value = centred * factor[:, None] * tl.load(scale + channels, mask=known, other=0.0)
    value += tl.load(shift + channels, mask=known, other=0.0)
    tl.store(y + places * Y_PIXEL + channels, value.to(y.dtype.element_ty), mask=live)


def launch_layer_norm(c: Context) -> list[Launch]:
    """Build the launch of a layer norm."""
    x, y = c.view("x"), c.view("y")
    across = power(x.c, 16, MOST_CHANNELS)
    down = max(VALUES // across, 1)
    return [
        Launch(
            "layer_norm.layer_norm",
            {"x": c.buffer("x"), "scale": c.vector("scale"), "shift": c.vector("shift"), "y": c.buffer("y")},
            ("y",),
            constants(
                rows=x.pixels, x_pixel=x.pixel, channels=x.c, y_pixel=y.pixel, epsilon=c.real("epsilon"),
                block_p=down, block_c=across,
            ),
            (blocks(y.pixels, down), 1),
            y.n,
        )
    ]  # fmt: skip
