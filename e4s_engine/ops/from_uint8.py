"""8-bit pictures to the networks' range."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(image: Tensor, low: float, high: float) -> Tensor:  # [N,H,W,3] uint8 -> [N,3,H,W]
    """0..255 -> low..high."""
    x = image.permute(0, 3, 1, 2).float() / 255
    return x if (low, high) == (0, 1) else x * (high - low) + low


def record(image: Symbol, low: float, high: float) -> Symbol:
    """A step that reads pixels; what resizes or normalises them next is folded into it."""
    n, height, width, channels = image.shape
    y = image.plan.emit("picture", (n, channels, height, width), {"x": image})
    assert y.step is not None
    y.step.numbers.update(picture(low, high))
    return y


def picture(low: float, high: float) -> dict[str, float]:
    """The step's numbers: scale and shift of the value in 0..1, per channel."""
    return {f"{name}{c}": value for name, value in (("scale", high - low), ("shift", low)) for c in range(3)}
