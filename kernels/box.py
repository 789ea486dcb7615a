"""Boxes: the part of a picture that its caller reads. Tiles of the generator's layers outside it do nothing.

A layer's pixels depend on a few pixels around them, so a box of the picture, halved with the maps and a
little wider, is all that the layers have to compute. What lies outside keeps whatever its memory holds, and
nothing inside reads it: the pixels inside are those of the whole picture, bit for bit.

`bounds` finds the box of a swap on the card, from the labels' foreground, so that one graph does all swaps.
"""

from __future__ import annotations

from e4s_engine.photo import blend
from e4s_engine.photo.align import CROP
from e4s_engine.regions import LABEL_SIZE

from .language import jit, tl
from .launch import Context, Launch, Operand, constants

# Pixels of any map around the scaled box. A layer reads one pixel around its own, two where rows are patches
# (patches.py), and an upsampling layer half of that of a smaller map and one more; resizing of small pictures
# to the crop's size reads four. With six no pixel of the box sees what was not computed.
MARGIN = 6
LEAST = 64  # side of the smallest maps that are computed in part
BLOCK = 4096
_GROWN = 2 * blend.RADIUS  # of the crop: how far the feathered opacity reaches beyond the foreground


@jit
def outside(box, sample, top, left, bottom, right, SCALE: tl.constexpr, MARGIN: tl.constexpr):
    """Return whether pixels of a map lie outside what the box needs. SCALE: pixels of the crop for one."""
    first_row = tl.load(box + sample * 4) // SCALE - MARGIN
    first_column = tl.load(box + sample * 4 + 1) // SCALE - MARGIN
    last_row = (tl.load(box + sample * 4 + 2) + SCALE - 1) // SCALE + MARGIN
    last_column = (tl.load(box + sample * 4 + 3) + SCALE - 1) // SCALE + MARGIN
    rows = (bottom <= first_row) | (top >= last_row)
    return rows | (right <= first_column) | (left >= last_column)


@jit
def run_outside(box, sample, first, COUNT: tl.constexpr, WIDTH: tl.constexpr, SCALE: tl.constexpr,
                MARGIN: tl.constexpr):  # fmt: skip
    """Return whether COUNT pixels of a map in a row, from `first` on, lie outside."""
    top = first // WIDTH
    bottom = (first + COUNT - 1) // WIDTH + 1
    one = bottom - top == 1
    left = tl.where(one, first % WIDTH, 0)
    right = tl.where(one, first % WIDTH + COUNT, WIDTH)
    return outside(box, sample, top, left, bottom, right, SCALE, MARGIN)


@jit
def tile_outside(box, sample, tile, TALL: tl.constexpr, WIDE: tl.constexpr, WIDTH: tl.constexpr,
                 TILE_W: tl.constexpr, COUNT: tl.constexpr, SCALE: tl.constexpr,
                 MARGIN: tl.constexpr):  # fmt: skip
    """Return whether the outputs of a tile of `conv2d.rows_of` lie outside.

    TALL, WIDE: outputs for each of its COUNT places, of which a row has WIDTH.
    """
    if TILE_W == 0:
        top = tile * COUNT // WIDTH
        bottom = (tile * COUNT + COUNT - 1) // WIDTH + 1
        left = 0
        right = WIDTH
    else:
        top = tile // (WIDTH // TILE_W) * (COUNT // TILE_W)
        bottom = top + COUNT // TILE_W
        left = tile % (WIDTH // TILE_W) * TILE_W
        right = left + TILE_W
    return outside(box, sample, top * TALL, left * WIDE, bottom * TALL, right * WIDE, SCALE, MARGIN)


@jit
def bounds(
    foreground, reach, box,
    SIDE: tl.constexpr, FULL: tl.constexpr, GROWN: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write top, left, bottom and right of what a paste reads, in pixels of the crop; zeros for nothing."""
    sample = tl.program_id(2).to(tl.int64)
    top = tl.full((BLOCK,), SIDE, tl.int32)
    left = tl.full((BLOCK,), SIDE, tl.int32)
    bottom = tl.zeros((BLOCK,), tl.int32)
    right = tl.zeros((BLOCK,), tl.int32)
    for start in range(0, SIDE * SIDE, BLOCK):
        pixels = start + tl.arange(0, BLOCK)
        inside = pixels < SIDE * SIDE
        shown = tl.load(foreground + sample * (SIDE * SIDE) + pixels, mask=inside, other=0) != 0
        row = pixels // SIDE
        column = pixels % SIDE
        top = tl.where(shown, tl.minimum(top, row), top)
        left = tl.where(shown, tl.minimum(left, column), left)
        bottom = tl.where(shown, tl.maximum(bottom, row + 1), bottom)
        right = tl.where(shown, tl.maximum(right, column + 1), right)
    SCALE: tl.constexpr = FULL // SIDE
    last = tl.max(bottom, axis=0)
    further = tl.load(reach + sample)
    grown = GROWN + further
    whole = further >= FULL
    first_row = tl.maximum(tl.min(top, axis=0) * SCALE - grown, 0)
    first_column = tl.maximum(tl.min(left, axis=0) * SCALE - grown, 0)
    last_row = tl.minimum(last * SCALE + grown, FULL)
    last_column = tl.minimum(tl.max(right, axis=0) * SCALE + grown, FULL)
    nothing = (last == 0) | whole
    place = box + sample * 4
    tl.store(place, tl.where(nothing, 0, first_row))
    tl.store(place + 1, tl.where(nothing, 0, first_column))
    tl.store(place + 2, tl.where(whole, FULL, tl.where(nothing, 0, last_row)))
    tl.store(place + 3, tl.where(whole, FULL, tl.where(nothing, 0, last_column)))


def launch_bounds(foreground: Operand, reach: Operand, box: Operand, batch: int) -> Launch:
    """Build the launch from foregrounds [N,512,512] to boxes int32 [N,4].

    reach: int32 [N], pixels of the crop that the paste reads beyond the face's opacity; of its whole side or
    more: the whole picture.
    """
    return Launch(
        "box.bounds",
        {"foreground": foreground, "reach": reach, "box": box},
        ("box",),
        constants(side=LABEL_SIZE, full=CROP, grown=_GROWN, block=BLOCK),
        (1, 1),
        batch,
    )


def operand(c: Context, name: str) -> Operand | None:
    """Return the box as an argument of a kernel that writes a buffer; None if it writes the whole buffer."""
    y = c.view(name)
    return c.box if y.h == y.w and y.h >= LEAST and CROP % y.h == 0 else None


def sizes(c: Context, name: str) -> dict[str, int]:
    """Return the constants of a kernel that takes `operand`."""
    return constants(box_scale=CROP // c.view(name).h if operand(c, name) else 0, margin=MARGIN)
