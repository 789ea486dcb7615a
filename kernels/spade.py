"""Instance norm scaled and shifted by maps, then leaky ReLU."""

from __future__ import annotations

from .instance_norm import CHANNELS, block_of, normalised, sums_of
from .language import jit, tl
from .launch import Context, Launch, blocks, constants, padded, power


@jit
def spade(
    x, sums, maps, y,
    ROWS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, SUMS: tl.constexpr,
    PARTS: tl.constexpr, LENGTH: tl.constexpr, PARTS_POWER: tl.constexpr, MAP_PIXEL: tl.constexpr,
    Y_PIXEL: tl.constexpr, EPSILON: tl.constexpr, SLOPE: tl.constexpr, BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
):  # fmt: skip
    value, places, channels, live = normalised(
        x, sums, ROWS, X_PIXEL, CHANNELS, SUMS, PARTS, LENGTH, PARTS_POWER, EPSILON, BLOCK_P, BLOCK_C
    )
    source = maps + places * MAP_PIXEL + channels[None, :]
    scale = tl.load(source, mask=live, other=0.0).to(tl.float32)
    shift = tl.load(source + SUMS, mask=live, other=0.0).to(tl.float32)
    value = value * scale + shift
    value = tl.where(value > 0, value, value * SLOPE)
    tl.store(y + places * Y_PIXEL + channels[None, :], value.to(y.dtype.element_ty), mask=live)


def launch_spade(c: Context) -> list[Launch]:
    """Build the launch of the sums, if no earlier one has them, then that of the modulated norm."""
    x, y = c.view("x"), c.view("y")
    first, sums = sums_of(c, "x")
    down, tile = block_of(x)
    second = Launch(
        "spade.spade",
        {"x": c.buffer("x"), "sums": sums.operand, "maps": c.buffer("maps"), "y": c.buffer("y")},
        ("y",),
        constants(
            rows=x.pixels, x_pixel=x.pixel, channels=x.c, sums=padded(x.c), parts=sums.parts,
            length=sums.length, parts_power=power(sums.parts), map_pixel=c.view("maps").pixel,
            y_pixel=y.pixel, epsilon=c.real("epsilon"), slope=c.real("slope"), block_p=down,
            block_c=CHANNELS,
        ),
        (blocks(y.pixels, down), blocks(x.c, CHANNELS)),
        y.n,
        tile=tile,
    )  # fmt: skip
    return [*first, second]
