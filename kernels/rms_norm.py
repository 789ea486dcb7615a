"""Vectors divided by their root mean square: a program computes one vector."""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, constants, power


@jit
def rms_norm(
    x, y,
    WIDTH: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, Y_PIXEL: tl.constexpr,
    EPSILON: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    vector = tl.program_id(2).to(tl.int64) * WIDTH + tl.program_id(0)
    channels = tl.arange(0, BLOCK)
    live = channels < CHANNELS
    value = tl.load(x + vector * X_PIXEL + channels, mask=live, other=0.0)
    mean = tl.sum(value * value, axis=0) / CHANNELS
    tl.store(y + vector * Y_PIXEL + channels, value / tl.sqrt(mean + EPSILON), mask=live)


def launch_rms_norm(c: Context) -> list[Launch]:
    """Build the launch that normalises vectors [N,1,R,C]."""
    x, y = c.view("x"), c.view("y")
    return [
        Launch(
            "rms_norm.rms_norm",
            {"x": c.buffer("x"), "y": c.buffer("y")},
            ("y",),
            constants(
                width=x.w, x_pixel=x.pixel, channels=x.c, y_pixel=y.pixel, epsilon=c.real("epsilon"),
                block=power(x.c, 128),
            ),
            (x.w, 1),
            y.n,
        )
    ]  # fmt: skip
