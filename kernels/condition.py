"""Features mixed with others by a number per sample, then leaky ReLU times a gain."""

from __future__ import annotations

from .elementwise import tile
from .language import jit, tl
from .launch import Context, Launch, blocks, constants


@jit
def condition(
    x, shift, share, scale1, bias1, scale2, bias2, bias, y,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, SHIFT_PIXEL: tl.constexpr, SHARE_PIXEL: tl.constexpr,
    CHANNELS: tl.constexpr, Y_PIXEL: tl.constexpr, EPSILON: tl.constexpr, SLOPE: tl.constexpr,
    GAIN: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = (tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P))[:, None]
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    known = channels < CHANNELS
    live = (pixels < ROWS) & known
    places = sample * ROWS + pixels
    part = tl.load(share + sample * SHARE_PIXEL)
    first = tl.load(scale1 + channels, mask=known, other=0.0) * part
    first += tl.load(bias1 + channels, mask=known, other=0.0)
    second = tl.load(scale2 + channels, mask=known, other=0.0) * part
    second += tl.load(bias2 + channels, mask=known, other=0.0)
    norm = tl.sqrt(first * first + second * second + EPSILON)
    value = tl.load(x + places * X_PIXEL + channels, mask=live, other=0.0).to(tl.float32) * (first / norm)
    other = tl.load(shift + places * SHIFT_PIXEL + channels, mask=live, other=0.0).to(tl.float32)
    value += other * (second / norm) + tl.load(bias + channels, mask=known, other=0.0)
    value = tl.where(value > 0, value, value * SLOPE) * GAIN
    tl.store(y + places * Y_PIXEL + channels, value.to(y.dtype.element_ty), mask=live)


def launch_condition(c: Context) -> list[Launch]:
    """Build the launch of a conditioned mix."""
    x, y = c.view("x"), c.view("y")
    down, across = tile(x.c)
    vectors = {name: c.vector(name) for name in ("scale1", "bias1", "scale2", "bias2", "bias")}
    buffers = {name: c.buffer(name) for name in ("x", "shift", "share")}
    return [
        Launch(
            "condition.condition",
            {**buffers, **vectors, "y": c.buffer("y")},
            ("y",),
            constants(
                rows=x.pixels, x_pixel=x.pixel, shift_pixel=c.view("shift").pixel,
                share_pixel=c.view("share").pixel, channels=x.c, y_pixel=y.pixel, epsilon=c.real("epsilon"),
                slope=c.real("slope"), gain=c.real("gain"), block_p=down, block_c=across,
            ),
            (blocks(y.pixels, down), blocks(x.c, across)),
            y.n,
        )
    ]  # fmt: skip
