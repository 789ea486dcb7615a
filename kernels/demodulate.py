"""Demodulation: scales per region and output channel, 1 / sqrt(sum of (weight * style)^2 + epsilon).

The modulation itself is a linear layer of the style codes: see conv2d.
"""

from __future__ import annotations

from .language import jit, tl
from .launch import Context, Launch, blocks, constants, padded, power

COLUMNS = 32  # output channels per program: the layers are small, and many programs hide their latency
DEPTH = 32


@jit
def demodulate(
    x, energy, y,
    REGIONS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, DEPTH: tl.constexpr,
    Y_PIXEL: tl.constexpr, OUTPUTS: tl.constexpr, PADDED: tl.constexpr, EPSILON: tl.constexpr,
    PRECISION: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    sample = tl.program_id(2).to(tl.int64)
    regions = tl.arange(0, BLOCK_M)[:, None]
    columns = (tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N))[None, :]
    x += sample * (REGIONS * X_PIXEL)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, DEPTH, BLOCK_K):
        channel = start + tl.arange(0, BLOCK_K)
        valid = (regions < REGIONS) & (channel < CHANNELS)[None, :]
        style = tl.load(x + regions * X_PIXEL + channel[None, :], mask=valid, other=0.0)
        weights = energy + channel[:, None] * PADDED + columns
        squares = tl.load(weights, mask=(channel < DEPTH)[:, None] & (columns < PADDED), other=0.0)
        total = tl.dot(style * style, squares, total, input_precision=PRECISION)
    live = (regions < REGIONS) & (columns < OUTPUTS)
    scale = 1.0 / tl.sqrt(total + EPSILON)
    tl.store(y + (sample * REGIONS + regions) * Y_PIXEL + columns, scale, mask=live)


def launch_demodulate(c: Context) -> list[Launch]:
    """Build the launch of one layer's scales."""
    x, y = c.view("x"), c.view("y")
    return [
        Launch(
            "demodulate.demodulate",
            {"x": c.buffer("x"), "energy": c.conv("energy", padded(x.c)), "y": c.buffer("y")},
            ("y",),
            constants(
                regions=x.w, x_pixel=x.pixel, channels=x.c, depth=padded(x.c), y_pixel=y.pixel, outputs=y.c,
                padded=padded(y.c), epsilon=c.real("epsilon"), precision=c.precision,
                block_m=power(x.w, 16), block_n=COLUMNS, block_k=DEPTH,
            ),
            (1, blocks(y.c, COLUMNS)),
            y.n,
        )
    ]  # fmt: skip
