"""Composition between the encodes and the decode of a swap: labels, holes, foreground and style vectors.

The rules are those of pipeline/compose.py, one program per tile of pixels or per region, so that a swap is
one graph: pixels and labels of two faces in, 8-bit pixels out. Sets of regions are bit masks. The swap flags,
one byte per region, come with the pictures: see `compose.request` there.
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
def swap_flags(chosen, sample, TAKEN: tl.constexpr, WHOLE: tl.constexpr, REGIONS: tl.constexpr,
               POWER: tl.constexpr):  # fmt: skip
    """Return whether this is a swap of the whole face, and the bit mask of the regions to swap."""
    region = tl.arange(0, POWER)
    flags = tl.load(chosen + sample * REGIONS + region, mask=region < REGIONS, other=0).to(tl.int32)
    selection = tl.sum(tl.where(flags & TAKEN != 0, 1 << region, 0), axis=0)
    return tl.max(flags & WHOLE, axis=0) != 0, selection


@jit
def whole_face(source, target, UNDER: tl.constexpr, FACE: tl.constexpr, OVER: tl.constexpr,
               BACKGROUND: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    out = tl.full((BLOCK,), 255, tl.int32)  # 255: not claimed yet
    out = tl.where(has(UNDER, target), target, out)
    out = tl.where(has(FACE, source) & (target != BACKGROUND), source, out)
    out = tl.where(has(OVER, target), target, out)
    return out, out == 255


@jit
def some_regions(source, target, selection, FIXED: tl.constexpr, HAIR: tl.constexpr,
                 BACKGROUND: tl.constexpr):  # fmt: skip
    fixed = FIXED & ~selection | 1 << BACKGROUND
    free = ~has(fixed, target)
    reach = tl.where(source == HAIR, free | (target == BACKGROUND), free)
    claimed = has(selection, source) & reach
    hole = has(selection, target) & (target != BACKGROUND) & ~claimed
    behind = has(selection, HAIR) & (target == HAIR) & (source == BACKGROUND)
    out = tl.where(claimed, source, tl.where(hole, tl.where(behind, BACKGROUND, 255), target))
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
    source_label = tl.load(source + places, mask=live, other=0).to(tl.int32)
    target_label = tl.load(target + places, mask=live, other=0).to(tl.int32)
    source_label = tl.minimum(source_label, REGIONS - 1)  # whatever the caller's memory holds
    target_label = tl.minimum(target_label, REGIONS - 1)
    whole, selection = swap_flags(chosen, sample, TAKEN, WHOLE, REGIONS, POWER)
    face, face_hole = whole_face(source_label, target_label, UNDER, FACE, OVER, BACKGROUND, BLOCK)
    part, part_hole = some_regions(source_label, target_label, selection, FIXED, HAIR, BACKGROUND)
    hole = tl.where(whole, face_hole, part_hole)
    out = tl.where(whole, face, part)
    out = tl.where(out == 255, SKIN, out)
    touched = has(selection, out) | has(selection, target_label)
    behind = (target_label == BACKGROUND) & (out == BACKGROUND) & ~has(selection, BACKGROUND)
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
    source_style = tl.load(source + places, mask=live, other=0.0)
    target_style = tl.load(target + places, mask=live, other=0.0)
    whole, selection = swap_flags(chosen, sample, TAKEN, WHOLE, REGIONS, POWER)
    # Use the source's style for regions the target lacks but the swap adds; a region that the source lacks
    # has no style to use.
    absent = tl.max(tl.abs(target_style), axis=0) == 0
    present = tl.max(tl.abs(source_style), axis=0) > 0
    sums = tl.sum(source_style, axis=0)
    face = tl.where(has(KEPT, region), target_style, source_style)
    face = tl.where((region == EARS) & (sums == 0), (target_style + source_style) / 2, face)
    face = tl.where((region == MOUTH) & (sums == 0), target_style, face)
    face = tl.where(has(FACE, region) & absent, source_style, face)
    part = tl.where(has(selection, region) & (present | absent), source_style, target_style)
    tl.store(mixed + places, tl.where(whole, face, part), mask=live)


def mask(chosen: Iterable[int]) -> int:
    """Return a set of regions as bits."""
    return sum(1 << region for region in set(chosen))


def launch_labels(
    source: Operand, target: Operand, chosen: Operand, made: tuple[Operand, Operand, Operand], batch: int
) -> Launch:
    """Build the launch from labels [N,512,512] of both faces and swap flags [N,12] to the swap's label maps.

    made: operands of the composed labels, the holes and the foreground.
    """
    under, over = compose.layers(hair_first=True, earrings_first=False)
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
    """Build the launch from style vectors [N,12,D] of both faces and swap flags [N,12] to mixed vectors."""
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
