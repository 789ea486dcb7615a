"""Volumes, whose slices are neighbouring samples of a map, and samples of them (see csrc/ops/volumes.h)."""

from __future__ import annotations

from .language import jit, tl


@jit
def coordinate(cell, COUNT: tl.constexpr):
    """Return the coordinate of a cell: -1 for the first one of an axis, 1 for the last."""
    return cell.to(tl.float32) * (2.0 / (COUNT - 1) if COUNT > 1 else 0.0) - 1.0


@jit
def between(place, COUNT: tl.constexpr):
    """Return the cell before a place on an axis, and the fraction of the way to the next one."""
    at = ((place + 1.0) * COUNT - 1.0) / 2.0
    at = tl.minimum(tl.maximum(at, -2.0), COUNT + 1.0)  # far outside is as good as outside
    low = tl.floor(at)
    return low.to(tl.int32), at - low


@jit
def sampled(
    x, z, y, across, channels, live,
    DEPTH: tl.constexpr, H: tl.constexpr, W: tl.constexpr, X_PIXEL: tl.constexpr,
):  # fmt: skip
    """Sample a volume trilinearly at places [P] for channels [1,C], with zeros outside -> [P,C] in fp32."""
    slice_low, slice_part = between(z, DEPTH)
    row_low, row_part = between(y, H)
    column_low, column_part = between(across, W)
    total = (slice_part * 0.0)[:, None] + channels * 0.0
    for corner in tl.static_range(8):
        slices = slice_low + corner // 4
        rows = row_low + corner // 2 % 2
        columns = column_low + corner % 2
        share = slice_part if corner // 4 else 1.0 - slice_part
        share = share * (row_part if corner // 2 % 2 else 1.0 - row_part)
        share = share * (column_part if corner % 2 else 1.0 - column_part)
        inside = (slices >= 0) & (slices < DEPTH) & (rows >= 0) & (rows < H) & (columns >= 0) & (columns < W)
        places = ((slices * H + rows) * W + columns)[:, None] * X_PIXEL + channels
        value = tl.load(x + places, mask=inside[:, None] & live, other=0.0)
        total += value.to(tl.float32) * share[:, None]
    return total
