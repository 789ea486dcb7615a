"""What lies between the encodes and the decode of a whole-face swap: labels, holes and style vectors.

The same rules as e4s_engine/compose.py, one program per tile of pixels or per region, so that a swap is one
graph: pixels and labels of two faces in, 8-bit pixels out. Sets of regions are bit masks.
"""

from __future__ import annotations

from collections.abc import Iterable

from e4s_engine import compose, regions

from .language import jit, tl
from .launch import Launch, Operand, blocks, constants, power

BLOCK = 1024


@jit
def labels(
    source, target, composed, holes,
    PIXELS: tl.constexpr, UNDER: tl.constexpr, FACE: tl.constexpr, OVER: tl.constexpr, REGIONS: tl.constexpr,
    SKIN: tl.constexpr, BACKGROUND: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    live = pixels < PIXELS
    places = sample * PIXELS + pixels
    given = tl.load(source + places, mask=live, other=0).to(tl.int32)
    kept = tl.load(target + places, mask=live, other=0).to(tl.int32)
    given = tl.minimum(given, REGIONS - 1)  # whatever the caller's memory holds
    kept = tl.minimum(kept, REGIONS - 1)
    out = tl.full((BLOCK,), 255, tl.int32)  # nothing claims these yet
    out = tl.where((UNDER >> kept) & 1 == 1, kept, out)
    out = tl.where(((FACE >> given) & 1 == 1) & (kept != BACKGROUND), given, out)
    out = tl.where((OVER >> kept) & 1 == 1, kept, out)
    hole = out == 255
    tl.store(composed + places, tl.where(hole, SKIN, out).to(tl.uint8), mask=live)
    tl.store(holes + places, hole.to(tl.uint8), mask=live)


@jit
def styles(
    source, target, mixed,
    REGIONS: tl.constexpr, LENGTH: tl.constexpr, KEPT: tl.constexpr, FACE: tl.constexpr, EARS: tl.constexpr,
    MOUTH: tl.constexpr, EXTENT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    region = tl.program_id(0)
    channels = tl.arange(0, BLOCK)
    live = channels < LENGTH
    places = (sample * REGIONS + region) * LENGTH + channels
    given = tl.load(source + places, mask=live, other=0.0)
    kept = tl.load(target + places, mask=live, other=0.0)
    whole = tl.sum(given, axis=0)
    out = tl.where((KEPT >> region) & 1 == 1, kept, given)
    out = tl.where((region == EARS) & (whole == 0), (kept + given) / 2, out)
    out = tl.where((region == MOUTH) & (whole == 0), kept, out)
    out = (1 - EXTENT) * kept + EXTENT * out
    # A region that comes with the shape but that the target does not show takes the source's texture.
    shown = tl.max(tl.abs(kept), axis=0) > 0
    out = tl.where(((FACE >> region) & 1 == 1) & (shown == 0), given, out)
    tl.store(mixed + places, out, mask=live)


def mask(chosen: Iterable[int]) -> int:
    """A set of regions as bits."""
    return sum(1 << region for region in set(chosen))


def launch_labels(
    source: Operand, target: Operand, composed: Operand, holes: Operand, batch: int, hair_first: bool = True
) -> Launch:
    """Labels [N,512,512] of both faces -> the swap's labels, and its holes as 0 or 1."""
    under, over = compose.layers(hair_first)
    pixels = regions.LABEL_SIZE**2
    return Launch(
        "compose.labels",
        {"source": source, "target": target, "composed": composed, "holes": holes},
        ("composed", "holes"),
        constants(
            pixels=pixels, under=mask(under), face=mask(regions.FACE), over=mask(over),
            regions=regions.COUNT, skin=regions.SKIN, background=regions.BACKGROUND, block=BLOCK,
        ),
        (blocks(pixels, BLOCK), 1),
        batch,
    )  # fmt: skip


def launch_styles(
    source: Operand, target: Operand, mixed: Operand, batch: int, length: int, extent: float = 1.0
) -> Launch:
    """Style vectors [N,12,D] of both faces -> the swap's."""
    return Launch(
        "compose.styles",
        {"source": source, "target": target, "mixed": mixed},
        ("mixed",),
        constants(
            regions=regions.COUNT, length=length, kept=mask(compose.KEPT_TEXTURE), face=mask(regions.FACE),
            ears=regions.EARS, mouth=regions.MOUTH, extent=extent, block=power(length),
        ),
        (regions.COUNT, 1),
        batch,
    )  # fmt: skip
