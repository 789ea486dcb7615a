"""The end of a residual unit: instance norm, gain, and the sum with the shortcut.

An instance-normalised map has mean zero, so its excitation is a constant gain (ops/squeeze_excite.py). The
shortcut is the map itself, every n-th pixel of it, or a second normalised map.
"""

from __future__ import annotations

from .instance_norm import CHANNELS, PIXELS, launch_statistics, mean_and_factor, parts
from .language import jit, tl
from .launch import Context, Launch, blocks, constants, padded, power


@jit
def norm_add(
    x, sums, shortcut, shortcut_sums, y,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr,
    SUMS: tl.constexpr, PARTS: tl.constexpr, PARTS_POWER: tl.constexpr, Y_PIXEL: tl.constexpr,
    SHORTCUT_PIXEL: tl.constexpr, SHORTCUT_W: tl.constexpr, SHORTCUT_IMAGE: tl.constexpr,
    STRIDE: tl.constexpr, GAIN: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    known = channels < CHANNELS
    live = (pixels < ROWS)[:, None] & known[None, :]
    mean, factor = mean_and_factor(x, sums, sample, channels, known, ROWS, X_PIXEL, SUMS, PARTS, PARTS_POWER)
    places = sample * ROWS + pixels[:, None]
    value = tl.load(x + places * X_PIXEL + channels[None, :], mask=live, other=0.0).to(tl.float32)
    value = (value - mean[None, :]) * (factor * GAIN)[None, :]
    source = (pixels // WIDTH * STRIDE * SHORTCUT_W + pixels % WIDTH * STRIDE)[:, None] * SHORTCUT_PIXEL
    other = tl.load(shortcut + sample * SHORTCUT_IMAGE + source + channels[None, :], mask=live, other=0.0)
    other = other.to(tl.float32)
    if shortcut_sums is not None:
        mean, factor = mean_and_factor(
            shortcut, shortcut_sums, sample, channels, known, ROWS, SHORTCUT_PIXEL, SUMS, PARTS, PARTS_POWER
        )
        other = (other - mean[None, :]) * factor[None, :]
    value += other
    tl.store(y + places * Y_PIXEL + channels[None, :], value.to(y.dtype.element_ty), mask=live)


def launch_norm_add(c: Context) -> list[Launch]:
    """The sums of x, those of the shortcut where it is normalised, and the sum of both."""
    x, y, shortcut = c.view("x"), c.view("y"), c.view("shortcut")
    first, sums = launch_statistics(c, "x")
    launches, shortcut_sums = [first], None
    if c.flag("normalised"):
        second, shortcut_sums = launch_statistics(c, "shortcut")
        launches.append(second)
    launches.append(
        Launch(
            "squeeze_excite.norm_add",
            {
                "x": c.buffer("x"),
                "sums": sums,
                "shortcut": c.buffer("shortcut"),
                "shortcut_sums": shortcut_sums,
                "y": c.buffer("y"),
            },
            ("y",),
            constants(
                rows=x.pixels, width=x.w, x_pixel=x.pixel, channels=x.c, sums=padded(x.c), parts=parts(x),
                parts_power=power(parts(x)), y_pixel=y.pixel, shortcut_pixel=shortcut.pixel,
                shortcut_w=shortcut.w, shortcut_image=shortcut.pixels * shortcut.pixel,
                stride=c.integer("stride"), gain=c.real("gain"), block_p=PIXELS, block_c=CHANNELS,
            ),
            (blocks(y.pixels, PIXELS), blocks(x.c, CHANNELS)),
            y.n,
        )
    )  # fmt: skip
    return launches
