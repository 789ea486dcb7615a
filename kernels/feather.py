"""Feathered paste of a generated face over its crop, both at twice the labels' side.

The steps are those of photo/blend.py: the foreground is dilated at the labels' size, then eroded and blurred
at the crop's; the result is the face's opacity, which the last pass stores beside the paste. Windows are
separable, one pass per axis: memory bandwidth is the limit, not arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from e4s_engine.photo import blend

from .language import jit, tl
from .launch import Launch, Operand, blocks, constants

BLOCK = 1024
_SPREAD = -1 / (2 * blend.SIGMA**2)
_TAPS = [math.exp(d**2 * _SPREAD) for d in range(-blend.RADIUS, blend.RADIUS + 1)]


@jit
def widen(x, wide, SIDE: tl.constexpr, AXIS: tl.constexpr, RADIUS: tl.constexpr, BLOCK: tl.constexpr):
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    position = pixels % SIDE if AXIS == 1 else pixels // SIDE
    step = 1 if AXIS == 1 else SIDE
    live = pixels < SIDE * SIDE
    places = sample * (SIDE * SIDE) + pixels
    out = tl.zeros((BLOCK,), tl.int32)
    for shift in range(-RADIUS, RADIUS + 1):
        inside = live & (position + shift >= 0) & (position + shift < SIDE)
        out = tl.maximum(out, tl.load(x + places + shift * step, mask=inside, other=0).to(tl.int32))
    tl.store(wide + places, out.to(tl.uint8), mask=live)


@jit
def shrink(
    x, small,
    SIDE: tl.constexpr, WIDTH: tl.constexpr, AXIS: tl.constexpr, RADIUS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    # Erode while doubling: a bilinearly doubled pixel is 1 only where both its neighbours are, so the minimum
    # of a window of doubled pixels is the minimum of all their sources. AXIS 1 doubles columns, AXIS 0 rows.
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = pixels // WIDTH
    column = pixels % WIDTH
    position = column if AXIS == 1 else row
    height = SIDE if AXIS == 1 else 2 * SIDE
    live = pixels < height * WIDTH
    first = tl.maximum((tl.maximum(position - RADIUS, 0) - 1) >> 1, 0)
    last = tl.minimum(((tl.minimum(position + RADIUS, 2 * SIDE - 1) - 1) >> 1) + 1, SIDE - 1)
    out = tl.full((BLOCK,), 1, tl.int32)
    for step in range(0, RADIUS + 2):
        near = tl.minimum(first + step, last)
        place = row * SIDE + near if AXIS == 1 else near * WIDTH + column
        here = tl.load(x + sample * (SIDE * (SIDE if AXIS == 1 else WIDTH)) + place, mask=live, other=1)
        out = tl.minimum(out, here.to(tl.int32))
    tl.store(small + sample * (height * WIDTH) + pixels, out.to(tl.uint8), mask=live)


@jit
def mirrored(position, SIDE: tl.constexpr):
    position = tl.abs(position)
    return tl.where(position < SIDE, position, 2 * (SIDE - 1) - position)


@jit
def blurred_along(x, pixels, live, SIDE: tl.constexpr, AXIS: tl.constexpr, RADIUS: tl.constexpr,
                  SCALE: tl.constexpr, SPREAD: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    row, column = pixels // SIDE, pixels % SIDE
    out = tl.zeros((BLOCK,), tl.float32)
    for shift in range(-RADIUS, RADIUS + 1):
        distance = (pixels * 0 + shift).to(tl.float32)
        weight = tl.exp(distance * distance * SPREAD) * SCALE
        if AXIS == 0:
            near = mirrored(row + shift, SIDE) * SIDE + column
        else:
            near = row * SIDE + mirrored(column + shift, SIDE)
        out += weight * tl.load(x + near, mask=live, other=0).to(tl.float32)
    return out


@jit
def blur(x, blurred, SIDE: tl.constexpr, RADIUS: tl.constexpr, SCALE: tl.constexpr, SPREAD: tl.constexpr,
         BLOCK: tl.constexpr):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64) * (SIDE * SIDE)
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = pixels < SIDE * SIDE
    out = blurred_along(x + sample, pixels, live, SIDE, 0, RADIUS, SCALE, SPREAD, BLOCK)
    tl.store(blurred + sample + pixels, out * 255, mask=live)


@jit
def paste(
    x, face, photo, pasted, opacity,
    SIDE: tl.constexpr, RADIUS: tl.constexpr, SCALE: tl.constexpr, SPREAD: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64) * (SIDE * SIDE)
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = pixels < SIDE * SIDE
    blurred = blurred_along(x + sample, pixels, live, SIDE, 1, RADIUS, SCALE, SPREAD, BLOCK)
    alpha = (blurred + 0.5).to(tl.int32)
    tl.store(opacity + sample + pixels, alpha.to(tl.uint8), mask=live)
    for channel in range(0, 3):
        places = (sample + pixels) * 3 + channel
        over = tl.load(face + places, mask=live, other=0).to(tl.int32)
        under = tl.load(photo + places, mask=live, other=0).to(tl.int32)
        mixed = (over * alpha + under * (255 - alpha) + 127) // 255
        tl.store(pasted + places, mixed.to(tl.uint8), mask=live)


def launches(slots: dict[str, Operand], between: Sequence[Operand], batch: int, side: int) -> list[Launch]:
    """Build the launches of the whole paste.

    slots: operands of the foreground at `side`, and of face, photo, pasted and opacity at twice that.
    between: blocks for `temporaries`.
    """
    rows, wide, narrow, small, soft = between
    window = constants(radius=blend.RADIUS, block=BLOCK)
    full = 2 * side
    curve = constants(scale=1 / sum(_TAPS), spread=_SPREAD)

    def launch(name: str, pixels: int, writes: str, values: dict[str, float], **pointers: Operand) -> Launch:
        grid = (blocks(pixels, BLOCK), 1)
        written = tuple(writes.split())
        return Launch(f"feather.{name}", dict(pointers), written, values | window, grid, batch)

    return [
        launch("widen", side * side, "wide", constants(side=side, axis=1), x=slots["foreground"], wide=rows),
        launch("widen", side * side, "wide", constants(side=side, axis=0), x=rows, wide=wide),
        launch("shrink", side * full, "small", constants(side=side, width=full, axis=1),
               x=wide, small=narrow),
        launch("shrink", full * full, "small", constants(side=side, width=full, axis=0),
               x=narrow, small=small),
        launch("blur", full * full, "blurred", constants(side=full) | curve, x=small, blurred=soft),
        launch("paste", full * full, "pasted opacity", constants(side=full) | curve,
               x=soft, **{name: slots[name] for name in ("face", "photo", "pasted", "opacity")}),
    ]  # fmt: skip


def temporaries(side: int) -> list[tuple[str, int]]:
    """Return type and elements per sample of each buffer between the passes."""
    area = side * side
    return [("u8", area), ("u8", area), ("u8", 2 * area), ("u8", 4 * area), ("f32", 4 * area)]
