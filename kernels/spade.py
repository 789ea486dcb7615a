"""Instance norm scaled and shifted by maps, then leaky ReLU."""

from __future__ import annotations

from .instance_norm import CHANNELS, block_of, mean_and_factor, sums_of
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
    sample = tl.program_id(2).to(tl.int64)
    pixels = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    channels = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    known = channels < CHANNELS
    mean, factor = mean_and_factor(
        sums, sample, channels, known, ROWS, SUMS, PARTS, LENGTH, PARTS_POWER, EPSILON
    )
    live = (pixels < ROWS)[:, None] & known[None, :]
    places = sample * ROWS + pixels[:, None]
    value = tl.load(x + places * X_PIXEL + channels[None, :], mask=live, other=0.0).to(tl.float32)
    source = maps + places * MAP_PIXEL + channels[None, :]
    scale = tl.load(source, mask=live, other=0.0).to(tl.float32)
    shift = tl.load(source + SUMS, mask=live, other=0.0).to(tl.float32)
    value = (value - mean[None, :]) * factor[None, :] * scale + shift
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
