"""What lies between the encodes and the decode of a swap: labels, holes, foreground and style vectors.

The same rules as pipeline/compose.py, one program per tile of pixels or per region, so that a swap is one
graph: pixels and labels of two faces in, 8-bit pixels out. Sets of regions are bit masks. What a swap takes
is given with its pictures, a byte for every region: see `compose.request` there.
"""

from __future__ import annotations

from collections.abc import Iterable

from e4s_engine import regions
from e4s_engine.pipeline import compose

from .language import jit, tl
from .launch import Launch, Operand, blocks, constants, power

BLOCK = 1024


@jit
def has(bits, region):
    return (bits >> region) & 1 == 1


@jit
def said(chosen, sample, TAKEN: tl.constexpr, WHOLE: tl.constexpr, REGIONS: tl.constexpr,
         POWER: tl.constexpr):  # fmt: skip
    region = tl.arange(0, POWER)
    flags = tl.load(chosen + sample * REGIONS + region, mask=region < REGIONS, other=0).to(tl.int32)
    taken = tl.sum(tl.where(flags & TAKEN != 0, 1 << region, 0), axis=0)
    return tl.max(flags & WHOLE, axis=0) != 0, taken


@jit
def whole_face(given, kept, UNDER: tl.constexpr, FACE: tl.constexpr, OVER: tl.constexpr,
               BACKGROUND: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    out = tl.full((BLOCK,), 255, tl.int32)  # nothing claims these yet
    out = tl.where(has(UNDER, kept), kept, out)
    out = tl.where(has(FACE, given) & (kept != BACKGROUND), given, out)
    out = tl.where(has(OVER, kept), kept, out)
    return out, out == 255


@jit
def some_regions(given, kept, taken, FIXED: tl.constexpr, HAIR: tl.constexpr, BACKGROUND: tl.constexpr):
    fixed = FIXED & ~taken | 1 << BACKGROUND
    free = ~has(fixed, kept)
    reach = tl.where(given == HAIR, free | (kept == BACKGROUND), free)
    claimed = has(taken, given) & reach
    hole = has(taken, kept) & (kept != BACKGROUND) & ~claimed
    behind = has(taken, HAIR) & (kept == HAIR) & (given == BACKGROUND)
    out = tl.where(claimed, given, tl.where(hole, tl.where(behind, BACKGROUND, 255), kept))
    return out, hole


@jit
def labels(
    source, target, chosen, composed, holes, foreground,
    PIXELS: tl.constexpr, UNDER: tl.constexpr, FACE: tl.constexpr, OVER: tl.constexpr, FIXED: tl.constexpr,
    NOT_PASTED: tl.constexpr, REGIONS: tl.constexpr, POWER: tl.constexpr, TAKEN: tl.constexpr,
    WHOLE: tl.constexpr, SKIN: tl.constexpr, HAIR: tl.constexpr, BACKGROUND: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = pixels < PIXELS
    places = sample * PIXELS + pixels
    given = tl.load(source + places, mask=live, other=0).to(tl.int32)
    kept = tl.load(target + places, mask=live, other=0).to(tl.int32)
    given = tl.minimum(given, REGIONS - 1)  # whatever the caller's memory holds
    kept = tl.minimum(kept, REGIONS - 1)
    whole, taken = said(chosen, sample, TAKEN, WHOLE, REGIONS, POWER)
    face, face_hole = whole_face(given, kept, UNDER, FACE, OVER, BACKGROUND, BLOCK)
    part, part_hole = some_regions(given, kept, taken, FIXED, HAIR, BACKGROUND)
    hole = tl.where(whole, face_hole, part_hole)
    out = tl.where(whole, face, part)
    out = tl.where(out == 255, SKIN, out)
    touched = has(taken, out) | has(taken, kept)
    behind = (kept == BACKGROUND) & (out == BACKGROUND) & ~has(taken, BACKGROUND)
    pasted = tl.where(whole, ~has(NOT_PASTED, out) | hole, (touched | hole) & ~behind)
    tl.store(composed + places, out.to(tl.uint8), mask=live)
    tl.store(holes + places, hole.to(tl.uint8), mask=live)
    tl.store(foreground + places, pasted.to(tl.uint8), mask=live)


@jit
def styles(
    source, target, chosen, mixed,
    REGIONS: tl.constexpr, POWER: tl.constexpr, TAKEN: tl.constexpr, WHOLE: tl.constexpr,
    LENGTH: tl.constexpr, KEPT: tl.constexpr, FACE: tl.constexpr, EARS: tl.constexpr, MOUTH: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    region = tl.program_id(0)
    channels = tl.arange(0, BLOCK)
    live = channels < LENGTH
    places = (sample * REGIONS + region) * LENGTH + channels
    given = tl.load(source + places, mask=live, other=0.0)
    kept = tl.load(target + places, mask=live, other=0.0)
    whole, taken = said(chosen, sample, TAKEN, WHOLE, REGIONS, POWER)
    # A region that comes with the shape but that the target does not show takes the source's texture; one
    # that the source does not show has none to give.
    absent = tl.max(tl.abs(kept), axis=0) == 0
    gives = tl.max(tl.abs(given), axis=0) > 0
    sums = tl.sum(given, axis=0)
    face = tl.where(has(KEPT, region), kept, given)
    face = tl.where((region == EARS) & (sums == 0), (kept + given) / 2, face)
    face = tl.where((region == MOUTH) & (sums == 0), kept, face)
    face = tl.where(has(FACE, region) & absent, given, face)
    part = tl.where(has(taken, region) & (gives | absent), given, kept)
    tl.store(mixed + places, tl.where(whole, face, part), mask=live)


def mask(chosen: Iterable[int]) -> int:
    """A set of regions as bits."""
    return sum(1 << region for region in set(chosen))


def launch_labels(
    source: Operand, target: Operand, chosen: Operand, made: tuple[Operand, Operand, Operand], batch: int
) -> Launch:
    """Labels [N,512,512] of both faces, what is taken [N,12] -> labels, holes and foreground."""
    under, over = compose.layers(hair_first=True)
    pixels = regions.LABEL_SIZE**2
    return Launch(
        "compose.labels",
        {
            "source": source, "target": target, "chosen": chosen,
            "composed": made[0], "holes": made[1], "foreground": made[2],
        },
        ("composed", "holes", "foreground"),
        constants(
            pixels=pixels, under=mask(under), face=mask(regions.FACE), over=mask(over),
            fixed=mask(compose.KEPT_SHAPE), not_pasted=mask(compose.NOT_PASTED), regions=regions.COUNT,
            power=power(regions.COUNT), taken=compose.TAKEN, whole=compose.WHOLE, skin=regions.SKIN,
            hair=regions.HAIR, background=regions.BACKGROUND, block=BLOCK,
        ),
        (blocks(pixels, BLOCK), 1),
        batch,
    )  # fmt: skip


def launch_styles(
    source: Operand, target: Operand, chosen: Operand, mixed: Operand, batch: int, length: int
) -> Launch:
    """Style vectors [N,12,D] of both faces, what is taken [N,12] -> the swap's vectors."""
    return Launch(
        "compose.styles",
        {"source": source, "target": target, "chosen": chosen, "mixed": mixed},
        ("mixed",),
        constants(
            regions=regions.COUNT, power=power(regions.COUNT), taken=compose.TAKEN, whole=compose.WHOLE,
            length=length, kept=mask(compose.KEPT_TEXTURE), face=mask(regions.FACE),
            ears=regions.EARS, mouth=regions.MOUTH, block=power(length),
        ),
        (regions.COUNT, 1),
        batch,
    )  # fmt: skip
