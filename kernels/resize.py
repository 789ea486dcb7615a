"""Resizing of feature maps: bilinear with half-pixel centres or aligned corners, or nearest."""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, View, blocks, constants, power


@jit
def place(index, FROM: tl.constexpr, TO: tl.constexpr, MODE: tl.constexpr):
    """Locate an output index: return the input index before it, the one after, and the fraction between."""
    if MODE == 2:
        near = index * FROM // TO
        at = near.to(tl.float32)
    elif MODE == 1:
        at = index.to(tl.float32) * ((FROM - 1) / (TO - 1) if TO > 1 else 0.0)
        near = tl.minimum(at.to(tl.int32), FROM - 1)
    else:
        at = tl.maximum((index.to(tl.float32) + 0.5) * (FROM / TO) - 0.5, 0.0)
        near = tl.minimum(at.to(tl.int32), FROM - 1)
    return near, tl.minimum(near + 1, FROM - 1), at - near.to(tl.float32)


@jit
def between(
    x, pixels, channels, live,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
    MODE: tl.constexpr,
):  # fmt: skip
    """Interpolate the values at output pixels. pixels [P], channels [1,C] -> [P,C] in fp32."""
    top, bottom, down = place(pixels // WIDTH, H, HEIGHT, MODE)
    left, right, across = place(pixels % WIDTH, W, WIDTH, MODE)
    source = x + channels
    a = tl.load(source + (top * W + left)[:, None] * X_PIXEL, mask=live, other=0.0).to(tl.float32)
    if MODE == 2:
        value = a
    else:
        b = tl.load(source + (top * W + right)[:, None] * X_PIXEL, mask=live, other=0.0).to(tl.float32)
        c = tl.load(source + (bottom * W + left)[:, None] * X_PIXEL, mask=live, other=0.0).to(tl.float32)
        d = tl.load(source + (bottom * W + right)[:, None] * X_PIXEL, mask=live, other=0.0).to(tl.float32)
        above = a + (b - a) * across[:, None]
        below = c + (d - c) * across[:, None]
        value = above + (below - above) * down[:, None]
    return value


@jit
def resize(
    x, y,
    H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr, Y_PIXEL: tl.constexpr, MODE: tl.constexpr, BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = (tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C))[None, :]
    live = (pixels < HEIGHT * WIDTH)[:, None] & (channels < CHANNELS)
    x += sample * (H * W * X_PIXEL)
    value = between(x, pixels, channels, live, H, W, X_PIXEL, HEIGHT, WIDTH, MODE)
    target = y + (sample * (HEIGHT * WIDTH) + pixels[:, None]) * Y_PIXEL + channels
    tl.store(target, value.to(y.dtype.element_ty), mask=live)


def elementwise(channels: int) -> tuple[int, int]:
    """Return pixels and channels per program of kernels that read each value once or a few times."""
    across = power(channels, 16, 128)
    return 4096 // across, across


def sizes(x: View, y: View) -> dict[str, int]:
    """Return the constants shared by the kernels from one feature map to another."""
    return constants(h=x.h, w=x.w, x_pixel=x.pixel, channels=x.c, height=y.h, width=y.w, y_pixel=y.pixel)


def map_launch(c: Context, kernel: str, **more: int) -> Launch:
    """Build a launch from one feature map to another: a program per block of pixels of y and of channels."""
    x, y = c.view("x"), c.view("y")
    down, across = elementwise(x.c)
    return Launch(
        kernel,
        {"x": c.buffer("x"), "y": c.buffer("y")},
        ("y",),
        sizes(x, y) | constants(**more, block_p=down, block_c=across),
        (blocks(y.pixels, down), blocks(x.c, across)),
        y.n,
    )


def launch_resize(c: Context) -> list[Launch]:
    """Build the launch that resizes a feature map."""
    return [map_launch(c, "resize.resize", mode=c.integer("mode"))]
