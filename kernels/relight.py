"""Relighting between the encodes and the composition, by the formulas of networks/rgi/relight.py."""

from __future__ import annotations

from collections.abc import Mapping

from e4s_engine import regions

from .language import jit, tl
from .launch import Argument, Launch, Operand, Packed, blocks, constants, power

BLOCK_H = 16  # features of the light per program
BLOCK_D = 64  # channels of a style vector per step


@jit
def leaky(x, SLOPE: tl.constexpr):
    return (1 + SLOPE) / 2 * x + (1 - SLOPE) / 2 * tl.abs(x)


@jit
def light(
    styles, weight, bias, found,
    REGIONS: tl.constexpr, LENGTH: tl.constexpr, HIDDEN: tl.constexpr, SLOPE: tl.constexpr,
    BLOCK_H: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Estimate the light of a face from the style vectors of all its regions."""
    sample = tl.program_id(2).to(tl.int64)
    features = tl.program_id(0) * BLOCK_H + tl.arange(0, BLOCK_H)
    some = features < HIDDEN
    total = tl.load(bias + features, mask=some, other=0.0)
    for region in range(0, REGIONS):
        for start in range(0, LENGTH, BLOCK_D):
            channels = start + tl.arange(0, BLOCK_D)
            live = channels < LENGTH
            style = tl.load(styles + (sample * REGIONS + region) * LENGTH + channels, mask=live, other=0.0)
            places = (region * HIDDEN + features[:, None]) * LENGTH + channels[None, :]
            matrix = tl.load(weight + places, mask=some[:, None] & live[None, :], other=0.0)
            total += tl.sum(matrix * style[None, :], axis=1)
    tl.store(found + sample * HIDDEN + features, leaky(total, SLOPE), mask=some)


@jit
def lit(matrices, lights, region, face, HIDDEN: tl.constexpr, POWER: tl.constexpr):
    """Multiply a region's square matrix with a light."""
    rows, columns = tl.arange(0, POWER)[:, None], tl.arange(0, POWER)[None, :]
    live = (rows < HIDDEN) & (columns < HIDDEN)
    matrix = tl.load(matrices + (region * HIDDEN + rows) * HIDDEN + columns, mask=live, other=0.0)
    vector = tl.load(lights + face * HIDDEN + columns, mask=columns < HIDDEN, other=0.0)
    return tl.sum(matrix * vector, axis=1)


@jit
def move(
    styles, here, there, inner, inner_bias, shift, outer, moved,
    SOURCES: tl.constexpr, REGIONS: tl.constexpr, LENGTH: tl.constexpr, HIDDEN: tl.constexpr,
    SLOPE: tl.constexpr, POWER: tl.constexpr, BLOCK_D: tl.constexpr,
):  # fmt: skip
    """Move a region's style vector from its own light (`here`) to the target's (`there`)."""
    face = tl.program_id(2).to(tl.int64)
    region = tl.program_id(0)
    features = tl.arange(0, POWER)
    some = features < HIDDEN
    place = (face * REGIONS + region) * LENGTH
    base = tl.load(inner_bias + region * HIDDEN + features, mask=some, other=0.0)
    present = tl.zeros((BLOCK_D,), tl.float32)
    for start in range(0, LENGTH, BLOCK_D):
        channels = start + tl.arange(0, BLOCK_D)
        live = channels < LENGTH
        style = tl.load(styles + place + channels, mask=live, other=0.0)
        present = tl.maximum(present, tl.abs(style))
        places = (region * HIDDEN + features[:, None]) * LENGTH + channels[None, :]
        matrix = tl.load(inner + places, mask=some[:, None] & live[None, :], other=0.0)
        base += tl.sum(matrix * style[None, :], axis=1)
    target = lit(shift, there, region, face // SOURCES, HIDDEN, POWER)
    own = lit(shift, here, region, face, HIDDEN, POWER)
    change = leaky(base + target, SLOPE) - leaky(base + own, SLOPE)
    change = tl.where(tl.max(present, axis=0) > 0, change, 0.0)
    for start in range(0, LENGTH, BLOCK_D):
        channels = start + tl.arange(0, BLOCK_D)
        live = channels < LENGTH
        places = (region * LENGTH + channels[:, None]) * HIDDEN + features[None, :]
        matrix = tl.load(outer + places, mask=live[:, None] & some[None, :], other=0.0)
        style = tl.load(styles + place + channels, mask=live, other=0.0)
        out = style + tl.sum(matrix * change[None, :], axis=1)
        tl.store(moved + place + channels, out, mask=live)


def launches(
    source: Operand,
    target: Operand,
    lights: tuple[Operand, Operand],
    moved: Operand,
    layers: Mapping[str, Packed],
    slope: float,
    sizes: tuple[int, int],
    batch: int,
    sources: int,
) -> list[Launch]:
    """Build the launches that relight sources [N,P,12,D] for their targets [N,12,D].

    lights: memory for the lights of sources and targets (`temporaries`). layers: by their names in the
    network's `Layers`. slope: of their leaky ReLU. sizes: lengths of a vector and of a light.
    """
    length, hidden = sizes
    own, others = lights
    common = constants(regions=regions.COUNT, length=length, hidden=hidden, slope=slope)

    def estimate(styles: Operand, found: Operand, count: int) -> Launch:
        weight, bias = layers["light"], layers["light_bias"]
        pointers: dict[str, Argument] = {"styles": styles, "weight": weight, "bias": bias, "found": found}
        values = common | constants(block_h=BLOCK_H, block_d=BLOCK_D)
        return Launch("relight.light", pointers, ("found",), values, (blocks(hidden, BLOCK_H), 1), count)

    return [
        estimate(source, own, batch * sources),
        estimate(target, others, batch),
        Launch(
            "relight.move",
            {
                "styles": source, "here": own, "there": others, "inner": layers["inner"],
                "inner_bias": layers["inner_bias"], "shift": layers["shift"], "outer": layers["outer"],
                "moved": moved,
            },
            ("moved",),
            common | constants(sources=sources, power=power(hidden), block_d=BLOCK_D),
            (regions.COUNT, 1),
            batch * sources,
        ),
    ]  # fmt: skip


def temporaries(hidden: int, sources: int) -> list[tuple[str, int]]:
    """Return type and elements per swap of the memory for the lights."""
    return [("f32", sources * hidden), ("f32", hidden)]
