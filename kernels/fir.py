"""The FIR of upsampling: taps [1, 3, 3, 1] / 4 per axis, as in e4s_engine/ops/_fir.py."""

from __future__ import annotations

import numpy as np

from .language import jit, tl

# MIX[phase][d][k]: weight of tap k on input d - 1 for output rows (or columns) of that parity, as in
# e4s_engine.ops._fir.phase_kernels.
MIX = np.array(
    [
        [[0, 0.25, 0.75], [0.75, 0.75, 0.25], [0.25, 0, 0]],
        [[0, 0, 0.25], [0.25, 0.75, 0.75], [0.75, 0.25, 0]],
    ],
    np.float32,
)


def phase_kernels(kernel: np.ndarray) -> list[np.ndarray]:
    """Return four kernels from [O,I,3,3], by the parity of the output's row and column."""
    return [
        np.einsum("yk,xl,oikl->oiyx", MIX[a], MIX[b], kernel, optimize=True) for a in (0, 1) for b in (0, 1)
    ]


@jit
def across(x, row, column, channels, known, HEIGHT: tl.constexpr, WIDTH: tl.constexpr, PADDED: tl.constexpr):
    """Apply the FIR along a row of the transposed convolution's result, whose places lie by quads."""
    total = tl.zeros((column.shape[0], channels.shape[0]), tl.float32)
    line = x + (row // 2 * (2 * WIDTH) + row % 2 * 2) * PADDED + channels[None, :]
    live = (known & (row >= 0) & (row < HEIGHT))[:, None] & (channels < PADDED)[None, :]
    for tap in tl.static_range(4):
        place = column - 1 + tap
        source = line + (place // 2 * 4 + place % 2)[:, None] * PADDED
        inside = live & ((place >= 0) & (place < WIDTH))[:, None]
        value = tl.load(source, mask=inside, other=0.0).to(tl.float32)
        total += value * (0.75 if (tap == 1 or tap == 2) else 0.25)  # noqa: PLR1714
    return total


@jit
def add_skip(colour, skip, sample, pixels, channel, live, H: tl.constexpr, W: tl.constexpr):
    """Add the smaller picture through the FIR: 3/4 of the nearer, 1/4 of the farther row; columns alike."""
    row = (pixels // W)[:, None]
    column = (pixels % W)[:, None]
    near_row = row // 2
    far_row = near_row + row % 2 * 2 - 1
    near_column = column // 2
    far_column = near_column + column % 2 * 2 - 1
    skip += sample * (H // 2 * (W // 2) * 4)
    high = live & (far_row >= 0) & (far_row < H // 2)
    wide = (far_column >= 0) & (far_column < W // 2)
    near = (near_row * (W // 2) + near_column) * 4 + channel
    far = (far_row * (W // 2) + near_column) * 4 + channel
    aside = (far_column - near_column) * 4
    colour += 0.5625 * tl.load(skip + near, mask=live, other=0.0)
    colour += 0.1875 * tl.load(skip + near + aside, mask=live & wide, other=0.0)
    colour += 0.1875 * tl.load(skip + far, mask=high, other=0.0)
    colour += 0.0625 * tl.load(skip + far + aside, mask=high & wide, other=0.0)
    return colour
