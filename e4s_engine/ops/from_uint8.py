"""8-bit pictures to the networks' range."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def reference(image: Tensor, low: float, high: float) -> Tensor:  # [N,H,W,3] uint8 -> [N,3,H,W]
    """0..255 -> low..high."""
    x = image.permute(0, 3, 1, 2).float() / 255
    return x if (low, high) == (0, 1) else x * (high - low) + low
