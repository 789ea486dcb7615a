"""Heat maps of key points, and volumes moved by each: a program takes a block of cells and one motion."""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, blocks, constants, power
from .volumes import coordinate, sampled

PIXELS = 128


@jit
def heat(point, z, y, x, VARIANCE: tl.constexpr):
    """Return a Gaussian around a point."""
    right = x - tl.load(point)
    down = y - tl.load(point + 1)
    deep = z - tl.load(point + 2)
    return tl.exp((right * right + down * down + deep * deep) * (-0.5 / VARIANCE))


@jit
def sparse_motion(
    x, source, driving, y,
    DEPTH: tl.constexpr, H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr,
    POINTS: tl.constexpr, SOURCE_PIXEL: tl.constexpr, DRIVING_PIXEL: tl.constexpr, Y_PIXEL: tl.constexpr,
    VARIANCE: tl.constexpr, BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    motion = tl.program_id(1)
    volume = sample // DEPTH
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = tl.arange(0, BLOCK_C)[None, :]
    inside = pixels < H * W
    number = volume * POINTS + tl.maximum(motion - 1, 0)  # no motion reads a point and drops it
    here = source + number * SOURCE_PIXEL
    there = driving + number * DRIVING_PIXEL
    moves = (motion > 0).to(tl.float32)
    z = coordinate(pixels * 0 + sample % DEPTH, DEPTH)
    down = coordinate(pixels // W, H)
    right = coordinate(pixels % W, W)
    warmth = heat(there, z, down, right, VARIANCE) - heat(here, z, down, right, VARIANCE)
    value = sampled(
        x + volume * (DEPTH * H * W * X_PIXEL), z + moves * (tl.load(here + 2) - tl.load(there + 2)),
        down + moves * (tl.load(here + 1) - tl.load(there + 1)),
        right + moves * (tl.load(here) - tl.load(there)), channels, channels < CHANNELS, DEPTH, H, W,
        X_PIXEL,
    )  # fmt: skip
    target = y + (sample * (H * W) + pixels) * Y_PIXEL + motion * (1 + CHANNELS)
    tl.store(target, (warmth * moves).to(y.dtype.element_ty), mask=inside)
    places = target[:, None] + 1 + channels
    tl.store(places, value.to(y.dtype.element_ty), mask=inside[:, None] & (channels < CHANNELS))


def launch_sparse_motion(c: Context) -> list[Launch]:
    """Build the launch that writes heat maps and moved features."""
    x, y, source = c.view("x"), c.view("y"), c.view("source")
    pointers = {name: c.buffer(name) for name in ("x", "source", "driving", "y")}
    return [
        Launch(
            "sparse_motion.sparse_motion",
            {**pointers},
            ("y",),
            constants(
                depth=x.n // source.n, h=x.h, w=x.w, x_pixel=x.pixel, channels=x.c, points=source.w,
                source_pixel=source.pixel, driving_pixel=c.view("driving").pixel, y_pixel=y.pixel,
                variance=c.real("variance"), block_p=PIXELS, block_c=power(x.c),
            ),
            (blocks(y.pixels, PIXELS), source.w + 1),
            y.n,
        )
    ]  # fmt: skip
