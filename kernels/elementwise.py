"""Tiles and launches of kernels that read each value once or a few times."""

from __future__ import annotations

from .launch import Context, Launch, View, blocks, constants, power


def tile(channels: int) -> tuple[int, int]:
    """Return pixels and channels per program."""
    across = power(channels, 16, 128)
    return 4096 // across, across


def sizes(x: View, y: View) -> dict[str, int]:
    """Return the constants shared by the kernels from one feature map to another."""
    return constants(h=x.h, w=x.w, x_pixel=x.pixel, channels=x.c, height=y.h, width=y.w, y_pixel=y.pixel)


def map_launch(c: Context, kernel: str, **more: int) -> Launch:
    """Build a launch from one feature map to another: a program per block of pixels of y and of channels."""
    x, y = c.view("x"), c.view("y")
    down, across = tile(x.c)
    return Launch(
        kernel,
        {"x": c.buffer("x"), "y": c.buffer("y")},
        ("y",),
        sizes(x, y) | constants(**more, block_p=down, block_c=across),
        (blocks(y.pixels, down), blocks(x.c, across)),
        y.n,
    )
