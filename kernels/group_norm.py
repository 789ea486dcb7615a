"""The pixels of neighbouring channels, normalised together, then PReLU. A program has a group of a sample."""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, constants, power

VALUES = 4096  # per step of a program


@jit
def group_norm(
    x, scale, shift, slope, y,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, SIZE: tl.constexpr, Y_PIXEL: tl.constexpr,
    EPSILON: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    index = tl.arange(0, BLOCK_C)
    known = (index < SIZE)[None, :]
    channels = (tl.program_id(0) * SIZE + index)[None, :]
    x += sample * (ROWS * X_PIXEL)
    y += sample * (ROWS * Y_PIXEL)
    total = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    for start in range(0, ROWS, BLOCK_P):
        pixels = (start + tl.arange(0, BLOCK_P))[:, None]
        live = (pixels < ROWS) & known
        total += tl.load(x + pixels * X_PIXEL + channels, mask=live, other=0.0).to(tl.float32)
    mean = tl.sum(tl.sum(total, axis=1), axis=0) / (ROWS * SIZE)
    total = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    for start in range(0, ROWS, BLOCK_P):
        pixels = (start + tl.arange(0, BLOCK_P))[:, None]
        live = (pixels < ROWS) & known
        value = tl.load(x + pixels * X_PIXEL + channels, mask=live, other=0.0).to(tl.float32)
        centred = tl.where(live, value - mean, 0.0)
        total += centred * centred
    variance = tl.sum(tl.sum(total, axis=1), axis=0) / (ROWS * SIZE)
    factor = tl.load(scale + channels, mask=known, other=0.0) / tl.sqrt(variance + EPSILON)
    moved = tl.load(shift + channels, mask=known, other=0.0)
    for start in range(0, ROWS, BLOCK_P):
        pixels = (start + tl.arange(0, BLOCK_P))[:, None]
        live = (pixels < ROWS) & known
        value = tl.load(x + pixels * X_PIXEL + channels, mask=live, other=0.0).to(tl.float32)
        value = (value - mean) * factor + moved
        if slope is not None:
            value = tl.where(value > 0, value, value * tl.load(slope + channels, mask=known, other=0.0))
        tl.store(y + pixels * Y_PIXEL + channels, value.to(y.dtype.element_ty), mask=live)


def launch_group_norm(c: Context) -> list[Launch]:
    """Build the launch of a group norm."""
    x, y, groups = c.view("x"), c.view("y"), c.integer("groups")
    across = power(x.c // groups, 16, VALUES)
    down = VALUES // across
    return [
        Launch(
            "group_norm.group_norm",
            {
                "x": c.buffer("x"),
                "scale": c.vector("scale"),
                "shift": c.vector("shift"),
                "slope": c.vector("prelu"),
                "y": c.buffer("y"),
            },
            ("y",),
            constants(
                rows=x.pixels, x_pixel=x.pixel, size=x.c // groups, y_pixel=y.pixel,
                epsilon=c.real("epsilon"), block_p=down, block_c=across,
            ),
            (groups, 1),
            y.n,
        )
    ]  # fmt: skip
