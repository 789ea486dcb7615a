"""Composition between the encodes and the decode of a swap: labels, holes, foreground and style vectors.

The rules are those of pipeline/compose.py, one program per tile of pixels or per region, so that a swap is
one graph: pixels and labels of the faces in, 8-bit pixels out. Sets of regions are bit masks. What a swap
asks for comes with its pictures: the swap flags, one byte per region and source (see `compose.request`
there), and five numbers (`SETTINGS` there).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from e4s_engine import regions
from e4s_engine.pipeline import compose

from .language import jit, tl
from .launch import Launch, Operand, blocks, constants, power

BLOCK = 1024
SETTINGS = len(compose.SETTINGS)


@jit
def has(bits, region):
    return (bits >> region) & 1 == 1


@jit
def swap_flags(chosen, source, TAKEN: tl.constexpr, WHOLE: tl.constexpr, REGIONS: tl.constexpr,
               POWER: tl.constexpr):  # fmt: skip
    """Return whether this is a swap of the whole face, and the regions that a source gives."""
    region = tl.arange(0, POWER)
    flags = tl.load(chosen + source * REGIONS + region, mask=region < REGIONS, other=0).to(tl.int32)
    selection = tl.sum(tl.where(flags & TAKEN != 0, 1 << region, 0), axis=0)
    return tl.max(flags & WHOLE, axis=0) != 0, selection


@jit
def all_flags(chosen, first, SOURCES: tl.constexpr, TAKEN: tl.constexpr, WHOLE: tl.constexpr,
              REGIONS: tl.constexpr, POWER: tl.constexpr):  # fmt: skip
    """Return whether this is a swap of the whole face, and the regions that any of its sources gives."""
    whole, total = swap_flags(chosen, first, TAKEN, WHOLE, REGIONS, POWER)
    for number in range(1, SOURCES):
        _, selection = swap_flags(chosen, first + number, TAKEN, WHOLE, REGIONS, POWER)
        total = total | selection
    return whole, total


@jit
def whole_face(source, target, under, over, FACE: tl.constexpr, BACKGROUND: tl.constexpr,
               BLOCK: tl.constexpr):  # fmt: skip
    out = tl.full((BLOCK,), 255, tl.int32)  # 255: not claimed yet
    out = tl.where(has(under, target), target, out)
    out = tl.where(has(FACE, source) & (target != BACKGROUND), source, out)
    out = tl.where(has(over, target), target, out)
    return out, out == 255


@jit
def rank_of(region, RANKS: tl.constexpr, MORE_RANKS: tl.constexpr):
    """Return a region's place in the painting order, from 1: four bits of one of two numbers."""
    low, high = RANKS >> (tl.minimum(region, 5) * 4), MORE_RANKS >> (tl.maximum(region - 6, 0) * 4)
    return (tl.where(region < 6, low, high) & 15) + 1


@jit
def labels(
    source, target, chosen, settings, composed, holes, foreground,
    SOURCES: tl.constexpr, PIXELS: tl.constexpr, UNDER: tl.constexpr, FACE: tl.constexpr, OVER: tl.constexpr,
    FIXED: tl.constexpr, RANKS: tl.constexpr, MORE_RANKS: tl.constexpr, NOT_PASTED: tl.constexpr,
    REGIONS: tl.constexpr, POWER: tl.constexpr, TAKEN: tl.constexpr, WHOLE: tl.constexpr, SKIN: tl.constexpr,
    HAIR: tl.constexpr, EARRINGS: tl.constexpr, BACKGROUND: tl.constexpr, SETTINGS: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    first = sample * SOURCES
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = pixels < PIXELS
    places = sample * PIXELS + pixels
    # The minimum, as the caller's memory may hold anything.
    source_label = tl.load(source + first * PIXELS + pixels, mask=live, other=0).to(tl.int32)
    source_label = tl.minimum(source_label, REGIONS - 1)
    target_label = tl.load(target + places, mask=live, other=0).to(tl.int32)
    target_label = tl.minimum(target_label, REGIONS - 1)
    shaped = tl.load(settings + sample * SETTINGS + 1).to(tl.int32) != 0
    hair_first = tl.load(settings + sample * SETTINGS + 3).to(tl.int32) != 0
    earrings_first = tl.load(settings + sample * SETTINGS + 4).to(tl.int32) != 0
    lower = tl.where(hair_first, 1 << HAIR, 0) | tl.where(earrings_first, 1 << EARRINGS, 0)
    under = UNDER | lower
    over = OVER | ((1 << HAIR | 1 << EARRINGS) & ~lower)
    face, face_hole = whole_face(source_label, target_label, under, over, FACE, BACKGROUND, BLOCK)
    whole, total = all_flags(chosen, first, SOURCES, TAKEN, WHOLE, REGIONS, POWER)
    fixed = FIXED & ~total | 1 << BACKGROUND
    free = ~has(fixed, target_label)
    reach = free | (target_label == BACKGROUND)
    best = tl.zeros((BLOCK,), tl.int32)
    part = target_label
    behind = target_label < 0
    for number in range(0, SOURCES):
        label = tl.load(source + (first + number) * PIXELS + pixels, mask=live, other=0).to(tl.int32)
        label = tl.minimum(label, REGIONS - 1)
        _, selection = swap_flags(chosen, first + number, TAKEN, WHOLE, REGIONS, POWER)
        claimed = has(selection, label) & tl.where(label == HAIR, reach, free)
        rank = tl.where(claimed, rank_of(label, RANKS, MORE_RANKS), 0)
        part = tl.where(rank > best, label, part)
        best = tl.maximum(best, rank)
        behind = behind | has(selection, HAIR) & (label == BACKGROUND)
    part_hole = has(total, target_label) & (target_label != BACKGROUND) & (best == 0)
    vacated = tl.where(behind & (target_label == HAIR), BACKGROUND, 255)
    part = tl.where(part_hole, vacated, part)
    hole = tl.where(whole, face_hole, part_hole) & shaped
    out = tl.where(whole, face, part)
    out = tl.where(out == 255, SKIN, out)
    out = tl.where(shaped, out, target_label)
    touched = has(total, out) | has(total, target_label)
    kept = (target_label == BACKGROUND) & (out == BACKGROUND) & ~has(total, BACKGROUND)
    pasted = tl.where(whole, ~has(NOT_PASTED, out) | hole, (touched | hole) & ~kept)
    tl.store(composed + places, out.to(tl.uint8), mask=live)
    tl.store(holes + places, hole.to(tl.uint8), mask=live)
    tl.store(foreground + places, pasted.to(tl.uint8), mask=live)


@jit
def bared(
    target, composed, chosen, near,
    SOURCES: tl.constexpr, SIDE: tl.constexpr, REACH: tl.constexpr, REGIONS: tl.constexpr,
    POWER: tl.constexpr, TAKEN: tl.constexpr, WHOLE: tl.constexpr, SKIN: tl.constexpr, HAIR: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    # Where hair leaves bare skin in the same row, at most REACH columns away.
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    column = pixels % SIDE
    places = sample * (SIDE * SIDE) + pixels
    _, total = all_flags(chosen, sample * SOURCES, SOURCES, TAKEN, WHOLE, REGIONS, POWER)
    live = pixels < SIDE * SIDE
    out = tl.zeros((BLOCK,), tl.int32)
    for shift in range(-REACH, REACH + 1):
        inside = live & has(total, HAIR) & (column + shift >= 0) & (column + shift < SIDE)
        before = tl.load(target + places + shift, mask=inside, other=0).to(tl.int32)
        after = tl.load(composed + places + shift, mask=inside, other=0).to(tl.int32)
        out = out | tl.where(inside & (before == HAIR) & (after == SKIN), 1, 0)
    tl.store(near + places, out.to(tl.uint8), mask=live)


@jit
def band(
    target, composed, near, foreground,
    SIDE: tl.constexpr, REACH: tl.constexpr, SKIN: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    # Add the skin beside bared skin to the foreground.
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    row = pixels // SIDE
    live = pixels < SIDE * SIDE
    places = sample * (SIDE * SIDE) + pixels
    before = tl.load(target + places, mask=live, other=0).to(tl.int32)
    after = tl.load(composed + places, mask=live, other=0).to(tl.int32)
    skin = live & (before == SKIN) & (after == SKIN)
    out = tl.load(foreground + places, mask=live, other=0).to(tl.int32)
    for shift in range(-REACH, REACH + 1):
        inside = skin & (row + shift >= 0) & (row + shift < SIDE)
        out = tl.maximum(out, tl.load(near + places + shift * SIDE, mask=inside, other=0).to(tl.int32))
    tl.store(foreground + places, out.to(tl.uint8), mask=live)


@jit
def styles(
    source, target, chosen, settings, mixed,
    SOURCES: tl.constexpr, REGIONS: tl.constexpr, POWER: tl.constexpr, TAKEN: tl.constexpr,
    WHOLE: tl.constexpr, LENGTH: tl.constexpr, KEPT: tl.constexpr, FACE: tl.constexpr, EARS: tl.constexpr,
    MOUTH: tl.constexpr, SETTINGS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    region = tl.program_id(0)
    channels = tl.arange(0, BLOCK)
    live = channels < LENGTH
    places = (sample * REGIONS + region) * LENGTH + channels
    first = sample * SOURCES
    extent = tl.load(settings + sample * SETTINGS)
    shaped = tl.load(settings + sample * SETTINGS + 1).to(tl.int32) != 0
    textured = tl.load(settings + sample * SETTINGS + 2).to(tl.int32) != 0
    target_style = tl.load(target + places, mask=live, other=0.0)
    source_style = tl.load(source + (first * REGIONS + region) * LENGTH + channels, mask=live, other=0.0)
    whole, total = swap_flags(chosen, first, TAKEN, WHOLE, REGIONS, POWER)
    for number in range(1, SOURCES):
        _, selection = swap_flags(chosen, first + number, TAKEN, WHOLE, REGIONS, POWER)
        place = ((first + number) * REGIONS + region) * LENGTH + channels
        gives = live & has(selection, region)
        source_style = tl.load(source + place, mask=gives, other=0.0) + tl.where(gives, 0.0, source_style)
        total = total | selection
    absent = tl.max(tl.abs(target_style), axis=0) == 0
    present = tl.max(tl.abs(source_style), axis=0) > 0
    sums = tl.sum(source_style, axis=0)
    face = tl.where(has(KEPT, region), target_style, source_style)
    face = tl.where((region == EARS) & (sums == 0), (target_style + source_style) / 2, face)
    face = tl.where((region == MOUTH) & (sums == 0), target_style, face)
    # A region that the source lacks has no style to use.
    part = tl.where(has(total, region) & present, source_style, target_style)
    out = tl.where(whole, face, part)
    between = (1 - extent) * target_style + extent * out
    out = tl.where(extent == 1, out, tl.where(extent == 0, target_style, between))
    out = tl.where(textured, out, target_style)
    # Use the source's style for regions the target lacks but the swap adds.
    added = tl.where(whole, has(FACE, region), has(total, region)) & absent & shaped
    tl.store(mixed + places, tl.where(added, source_style, out), mask=live)


def mask(chosen: Iterable[int]) -> int:
    """Return a set of regions as bits."""
    return sum(1 << region for region in set(chosen))


def ranks(chosen: Sequence[int]) -> int:
    """Return the places of some regions in the painting order, four bits each."""
    return sum(compose.ORDER.index(region) << 4 * i for i, region in enumerate(chosen))


def launch_labels(
    given: tuple[Operand, Operand, Operand, Operand],
    made: tuple[Operand, Operand, Operand],
    batch: int,
    sources: int = 1,
) -> Launch:
    """Build the launch from labels of all faces to the swap's label maps.

    given: operands of the sources' labels [N,P,512,512], the target's [N,512,512], swap flags [N,P,12] and
    settings [N,5]. made: operands of the composed labels, the holes and the foreground.
    """
    under, _ = compose.layers(hair_first=False, earrings_first=False)
    _, over = compose.layers(hair_first=True, earrings_first=True)
    pixels = regions.LABEL_SIZE**2
    return Launch(
        "compose.labels",
        {
            **dict(zip(("source", "target", "chosen", "settings"), given, strict=True)),
            "composed": made[0], "holes": made[1], "foreground": made[2],
        },
        ("composed", "holes", "foreground"),
        constants(
            sources=sources, pixels=pixels, under=mask(under), face=mask(regions.FACE), over=mask(over),
            fixed=mask(compose.KEPT_SHAPE), ranks=ranks(range(6)),
            more_ranks=ranks(range(6, regions.COUNT)), not_pasted=mask(compose.NOT_PASTED),
            regions=regions.COUNT, power=power(regions.COUNT), taken=compose.TAKEN, whole=compose.WHOLE,
            skin=regions.SKIN, hair=regions.HAIR, earrings=regions.EARRINGS, background=regions.BACKGROUND,
            settings=SETTINGS, block=BLOCK,
        ),
        (blocks(pixels, BLOCK), 1),
        batch,
    )  # fmt: skip


def band_launches(
    target: Operand,
    chosen: Operand,
    made: tuple[Operand, Operand],
    near: Operand,
    batch: int,
    sources: int = 1,
) -> list[Launch]:
    """Build the launches that widen the foreground of a swap of hair, after those of `launch_labels`.

    target: its labels [N,512,512]. chosen: swap flags [N,P,12]. made: operands of the composed labels and the
    foreground, which is changed in place. near: a temporary [N,512,512].
    """
    composed, foreground = made
    side, grid = regions.LABEL_SIZE, (blocks(regions.LABEL_SIZE**2, BLOCK), 1)
    sizes = {"side": side, "reach": compose.BAND, "skin": regions.SKIN, "block": BLOCK}
    across = Launch(
        "compose.bared",
        {"target": target, "composed": composed, "chosen": chosen, "near": near},
        ("near",),
        constants(
            sources=sources, regions=regions.COUNT, power=power(regions.COUNT), taken=compose.TAKEN,
            whole=compose.WHOLE, hair=regions.HAIR, **sizes,
        ),
        grid,
        batch,
    )  # fmt: skip
    down = Launch(
        "compose.band",
        {"target": target, "composed": composed, "near": near, "foreground": foreground},
        ("foreground",),
        constants(**sizes),
        grid,
        batch,
    )
    return [across, down]


def launch_styles(
    given: tuple[Operand, Operand, Operand, Operand],
    mixed: Operand,
    batch: int,
    length: int,
    sources: int = 1,
) -> Launch:
    """Build the launch from style vectors of all faces to mixed vectors [N,12,D].

    given: operands of the sources' vectors [N,P,12,D], the target's [N,12,D], swap flags [N,P,12] and
    settings [N,5].
    """
    return Launch(
        "compose.styles",
        {**dict(zip(("source", "target", "chosen", "settings"), given, strict=True)), "mixed": mixed},
        ("mixed",),
        constants(
            sources=sources, regions=regions.COUNT, power=power(regions.COUNT), taken=compose.TAKEN,
            whole=compose.WHOLE, length=length, kept=mask(compose.KEPT_TEXTURE), face=mask(regions.FACE),
            ears=regions.EARS, mouth=regions.MOUTH, settings=SETTINGS, block=power(length),
        ),
        (regions.COUNT, 1),
        batch,
    )  # fmt: skip
