"""The per-region MLPs as one grouped GEMM: a program computes one region, some columns, up to 16 samples.

The time goes into reading 48 million weights; samples share a tile, so a batch reads them once.
"""

from __future__ import annotations

import numpy as np

from e4s_engine.plan import Arrays, Conv

from .language import jit, tl
from .launch import Context, Launch, Packed, blocks, constants, padded, taps

SAMPLES = 16
COLUMNS = 64
DEPTH = 32


@jit
def region_linear(
    x, kernels, biases, slope, y, count,
    REGIONS: tl.constexpr, X_PIXEL: tl.constexpr, CHANNELS: tl.constexpr, DEPTH: tl.constexpr,
    Y_PIXEL: tl.constexpr, OUTPUTS: tl.constexpr, PADDED: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    region = tl.program_id(1)
    samples = (tl.program_id(2) * BLOCK_M + tl.arange(0, BLOCK_M))[:, None]
    columns = (tl.program_id(0) * BLOCK_N + tl.arange(0, BLOCK_N))[None, :]
    places = samples * REGIONS + region
    kernels += region.to(tl.int64) * (DEPTH * PADDED)
    total = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, DEPTH, BLOCK_K):
        channel = start + tl.arange(0, BLOCK_K)
        valid = (samples < count) & (channel < CHANNELS)[None, :]
        a = tl.load(x + places * X_PIXEL + channel[None, :], mask=valid, other=0.0)
        weights = kernels + channel[:, None] * PADDED + columns
        b = tl.load(weights, mask=(channel < DEPTH)[:, None] & (columns < PADDED), other=0.0)
        total = tl.dot(a, b, total, input_precision=PRECISION)
    total += tl.load(biases + region * OUTPUTS + columns, mask=columns < OUTPUTS, other=0.0)
    if slope is not None:
        total = tl.where(
            total > 0, total, total * tl.load(slope + columns, mask=columns < OUTPUTS, other=0.0)
        )
    live = (samples < count) & (columns < OUTPUTS)
    tl.store(y + places * Y_PIXEL + columns, total, mask=live)


def launch_region_linear(c: Context) -> list[Launch]:
    """Build the launch of one layer of all regions' MLPs."""
    x, y = c.view("x"), c.view("y")
    convs = [conv for conv in c.step.weights["kernels"] if isinstance(conv, Conv)]
    depth = padded(x.c)

    def stacked(arrays: Arrays) -> np.ndarray:
        return np.concatenate([taps(conv, arrays, depth) for conv in convs])

    key = tuple(part for conv in convs for part in conv.key)
    return [
        Launch(
            "region_linear.region_linear",
            {
                "x": c.buffer("x"),
                "kernels": Packed((*key, f"stacked{depth}"), convs[0].type, stacked),
                "biases": c.vectors("biases"),
                "slope": c.vector("prelu"),
                "y": c.buffer("y"),
            },
            ("y",),
            constants(
                regions=x.w, x_pixel=x.pixel, channels=x.c, depth=depth, y_pixel=y.pixel, outputs=y.c,
                padded=padded(y.c), precision=c.precision, block_m=SAMPLES, block_n=COLUMNS, block_k=DEPTH,
            ),
            (blocks(y.c, COLUMNS), x.w),
            y.n,
            samples=SAMPLES,
            count=True,
        )
    ]  # fmt: skip
