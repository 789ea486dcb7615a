"""8-bit pictures to the networks' input: bilinear resize or antialiased halving, range, normalisation."""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, blocks, constants

BLOCK = 256  # pixels per program


@jit
def from_uint8(
    x, taps, y,
    H: tl.constexpr, W: tl.constexpr, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, Y_PIXEL: tl.constexpr,
    SCALE0: tl.constexpr, SCALE1: tl.constexpr, SCALE2: tl.constexpr,
    SHIFT0: tl.constexpr, SHIFT1: tl.constexpr, SHIFT2: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = (pixels < HEIGHT * WIDTH)[:, None]
    channel = tl.arange(0, 4)[None, :]  # the fourth is zero: convolutions read it
    x += sample * (H * W * 3)
    row = (pixels // WIDTH)[:, None]
    column = (pixels % WIDTH)[:, None]
    valid = live & (channel < 3)
    value = tl.zeros((BLOCK, 4), tl.float32)
    if taps is not None:
        for i in range(8):
            from_row = 2 * row - 3 + i
            from_row = tl.where(from_row < 0, -from_row, from_row)
            from_row = tl.where(from_row >= H, 2 * H - 2 - from_row, from_row)
            line = tl.zeros((BLOCK, 4), tl.float32)
            for j in range(8):
                at = 2 * column - 3 + j
                at = tl.where(at < 0, -at, at)
                at = tl.where(at >= W, 2 * W - 2 - at, at)
                line += tl.load(taps + j) * tl.load(
                    x + (from_row * W + at) * 3 + channel, mask=valid, other=0
                ).to(tl.float32)
            value += tl.load(taps + i) * line
        value = tl.minimum(tl.maximum(value / 255.0, 0.0), 1.0)
    else:
        place_y = tl.maximum((row.to(tl.float32) + 0.5) * (H / HEIGHT) - 0.5, 0.0)
        place_x = tl.maximum((column.to(tl.float32) + 0.5) * (W / WIDTH) - 0.5, 0.0)
        top = tl.minimum(place_y.to(tl.int32), H - 1)
        left = tl.minimum(place_x.to(tl.int32), W - 1)
        down = place_y - top.to(tl.float32)
        across = place_x - left.to(tl.float32)
        bottom = tl.minimum(top + 1, H - 1)
        right = tl.minimum(left + 1, W - 1)
        a = tl.load(x + (top * W + left) * 3 + channel, mask=valid, other=0).to(tl.float32)
        b = tl.load(x + (top * W + right) * 3 + channel, mask=valid, other=0).to(tl.float32)
        c = tl.load(x + (bottom * W + left) * 3 + channel, mask=valid, other=0).to(tl.float32)
        d = tl.load(x + (bottom * W + right) * 3 + channel, mask=valid, other=0).to(tl.float32)
        above = (1 - across) * a + across * b
        below = (1 - across) * c + across * d
        value = ((1 - down) * above + down * below) / 255.0
    scale = tl.where(channel == 0, SCALE0, tl.where(channel == 1, SCALE1, SCALE2))
    shift = tl.where(channel == 0, SHIFT0, tl.where(channel == 1, SHIFT1, SHIFT2))
    value = tl.where(channel < 3, value * scale + shift, 0.0)
    target = y + (sample * (HEIGHT * WIDTH) + pixels[:, None]) * Y_PIXEL + channel
    tl.store(target, value.to(y.dtype.element_ty), mask=live)


def launch_from_uint8(c: Context) -> list[Launch]:
    """Build the launch that converts 8-bit pixels."""
    x, y = c.view("x"), c.view("y")
    numbers = {f"{name}{i}": c.real(f"{name}{i}") for name in ("scale", "shift") for i in range(3)}
    return [
        Launch(
            "from_uint8.from_uint8",
            {"x": c.buffer("x"), "taps": c.vector("taps"), "y": c.buffer("y")},
            ("y",),
            constants(h=x.h, w=x.w, height=y.h, width=y.w, y_pixel=y.pixel, block=BLOCK, **numbers),
            (blocks(y.pixels, BLOCK), 1),
            y.n,
        )
    ]
