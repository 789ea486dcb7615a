"""The epilogue of a regional convolution, in whichever kernel ends it."""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, constants


@jit
def either(a, b):
    return a | b


@jit
def finished(
    total, demodulation, noise, bias, sample, pixels, region, columns, live, inside,
    OUTPUTS: tl.constexpr, REGIONS: tl.constexpr, SCALE_PIXEL: tl.constexpr, SLOPE: tl.constexpr,
    GAIN: tl.constexpr,
):  # fmt: skip
    """Apply demodulation, noise, bias and leaky ReLU with its gain."""
    if demodulation is not None:
        places = sample * (REGIONS * SCALE_PIXEL) + region[:, None] * SCALE_PIXEL + columns[None, :]
        total *= tl.load(demodulation + places, mask=live, other=0.0)
    return activated(total, noise, bias, pixels, columns, inside, OUTPUTS, SLOPE, GAIN)


@jit
def demodulated(
    total, demodulation, sample, region, columns, inside,
    OUTPUTS: tl.constexpr, REGIONS: tl.constexpr, SCALE_PIXEL: tl.constexpr,
):  # fmt: skip
    """Apply demodulation region by region: a tile of all scales would not fit into registers."""
    present = tl.reduce(tl.where(inside, 1 << region, 0), 0, either)
    demodulation += sample * (REGIONS * SCALE_PIXEL)
    known = columns < OUTPUTS
    for r in range(REGIONS):
        if (present >> r) & 1 != 0:
            scale = tl.load(demodulation + r * SCALE_PIXEL + columns, mask=known, other=0.0)
            total = tl.where((region == r)[:, None], total * scale[None, :], total)
    return total


@jit
def activated(
    total, noise, bias, pixels, columns, inside, OUTPUTS: tl.constexpr, SLOPE: tl.constexpr,
    GAIN: tl.constexpr,
):  # fmt: skip
    """Apply noise, bias and leaky ReLU with its gain."""
    if noise is not None:
        total += tl.load(noise + pixels, mask=inside, other=0.0)[:, None]
    if bias is not None:
        total += tl.load(bias + columns, mask=columns < OUTPUTS, other=0.0)[None, :]
        total = tl.where(total > 0, total, total * SLOPE) * GAIN
    return total


@jit
def written(
    total, demodulation, noise, bias, y, sample, pixels, region, channels, inside,
    AREA: tl.constexpr, OUTPUTS: tl.constexpr, REGIONS: tl.constexpr, SCALE_PIXEL: tl.constexpr,
    Y_PIXEL: tl.constexpr, SLOPE: tl.constexpr, GAIN: tl.constexpr,
):  # fmt: skip
    """Apply the epilogue to some outputs and write them."""
    live = inside[:, None] & (channels < OUTPUTS)[None, :]
    total = finished(
        total, demodulation, noise, bias, sample, pixels, region, channels, live, inside, OUTPUTS, REGIONS,
        SCALE_PIXEL, SLOPE, GAIN,
    )  # fmt: skip
    target = y + (sample * AREA + pixels[:, None]) * Y_PIXEL + channels[None, :]
    tl.store(target, total.to(y.dtype.element_ty), mask=live)


def activation(c: Context) -> dict[str, float]:
    """Return the constants of the activation."""
    return constants(slope=c.real("slope"), gain=c.real("gain"))
