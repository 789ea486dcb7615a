"""Resizing of a model's 8-bit pictures to the crop's size, to the bit as Pillow does it.

Pillow's Lanczos filter goes along rows, then along columns, in integers: weights are multiples of 2**-22, and
each pass rounds to 8 bits. A weight's integer fits in the 24 bits that fp32 holds exactly.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

from .language import jit, tl
from .launch import Argument, Launch, Operand, Packed, blocks, constants

BLOCK = 1024
BITS = 22
_LOBES = 3


@jit
def enlarge(
    x, weights, starts, large,
    SIDE: tl.constexpr, FULL: tl.constexpr, AXIS: tl.constexpr, TAPS: tl.constexpr, BITS: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    # AXIS 1: [SIDE,SIDE,3] -> [SIDE,FULL,3]; AXIS 0: [SIDE,FULL,3] -> [FULL,FULL,3].
    sample = tl.program_id(2).to(tl.int64)
    height = SIDE if AXIS == 1 else FULL
    width = SIDE if AXIS == 1 else FULL  # of x
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = pixels < height * FULL
    row, column = pixels // FULL, pixels % FULL
    place = column if AXIS == 1 else row
    start = tl.load(starts + place, mask=live, other=0.0).to(tl.int32)
    x += sample * (SIDE * width * 3)
    red = tl.full((BLOCK,), 1 << (BITS - 1), tl.int32)
    green, blue = red, red
    for tap in range(0, TAPS):
        weight = tl.load(weights + place * TAPS + tap, mask=live, other=0.0).to(tl.int32)
        near = tl.minimum(start + tap, SIDE - 1)  # where the weight is 0
        pixel = x + ((row * width + near) if AXIS == 1 else (near * width + column)) * 3
        red += weight * tl.load(pixel, mask=live, other=0).to(tl.int32)
        green += weight * tl.load(pixel + 1, mask=live, other=0).to(tl.int32)
        blue += weight * tl.load(pixel + 2, mask=live, other=0).to(tl.int32)
    y = large + sample * (height * FULL * 3) + pixels * 3
    tl.store(y, tl.minimum(tl.maximum(red >> BITS, 0), 255).to(tl.uint8), mask=live)
    tl.store(y + 1, tl.minimum(tl.maximum(green >> BITS, 0), 255).to(tl.uint8), mask=live)
    tl.store(y + 2, tl.minimum(tl.maximum(blue >> BITS, 0), 255).to(tl.uint8), mask=live)


@functools.cache
def table(side: int, full: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return Pillow's integer weights [full, taps] and first pixel [full] of every output."""
    scale = side / full
    stretch = max(scale, 1.0)
    support = _LOBES * stretch
    taps = math.ceil(support) * 2 + 1
    weights, starts = np.zeros((full, taps), np.float32), np.zeros(full, np.float32)
    for i in range(full):
        centre = (i + 0.5) * scale
        first = max(int(centre - support + 0.5), 0)
        last = min(int(centre + support + 0.5), side)
        values = [_lanczos((x + first - centre + 0.5) / stretch) for x in range(last - first)]
        total = sum(values)
        weights[i, : last - first] = [int(math.copysign(0.5, v) + v / total * (1 << BITS)) for v in values]
        starts[i] = first
    return weights, starts


def _lanczos(x: float) -> float:
    return _sinc(x) * _sinc(x / _LOBES) if -_LOBES <= x < _LOBES else 0.0


def _sinc(x: float) -> float:
    return math.sin(x * math.pi) / (x * math.pi) if x else 1.0


def launches(
    picture: Operand, between: Operand, large: Operand, sizes: tuple[int, int], batch: int
) -> list[Launch]:
    """Build the two passes from pictures [N,S,S,3] to [N,F,F,3]. sizes: S and F."""
    side, full = sizes
    taps = table(side, full)[0].shape[1]
    weights = Packed(("enlarge", f"{side} {full}", "weights"), "f32", lambda _: table(side, full)[0])
    starts = Packed(("enlarge", f"{side} {full}", "starts"), "f32", lambda _: table(side, full)[1])

    def along(axis: int, x: Operand, y: Operand) -> Launch:
        values = constants(side=side, full=full, axis=axis, taps=taps, bits=BITS, block=BLOCK)
        pixels = (side if axis == 1 else full) * full
        pointers: dict[str, Argument] = {"x": x, "weights": weights, "starts": starts, "large": y}
        return Launch("enlarge.enlarge", pointers, ("large",), values, (blocks(pixels, BLOCK), 1), batch)

    return [along(1, picture, between), along(0, between, large)]


def temporaries(side: int, full: int) -> list[tuple[str, int]]:
    """Return type and elements per sample of the picture between the passes and of the large one."""
    return [("u8", side * full * 3), ("u8", full * full * 3)]
