"""Conversion of 8-bit pictures to the networks' range."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(image: Tensor, low: float, high: float) -> Tensor:  # [N,H,W,3] uint8 -> [N,3,H,W]
    """Scale 0..255 to low..high."""
    x = image.permute(0, 3, 1, 2).float() / 255
    return x if (low, high) == (0, 1) else x * (high - low) + low


def record(image: Symbol, low: float, high: float) -> Symbol:
    """Append a step that reads pixels, with scale and shift of values in 0..1 per channel."""
    n, height, width, channels = image.shape
    y = image.plan.emit("from_uint8", (n, channels, height, width), {"x": image})
    for name, value in (("scale", high - low), ("shift", low)):
        image.plan.steps[-1].numbers |= {f"{name}{c}": value for c in range(3)}
    return y
