"""Reduction to half the size with an antialiasing cubic filter: the published parser's resize to 512."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.plan import Vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol

_SIZE = 8  # support of the cubic at factor 2


def taps() -> list[float]:
    """Return the normalised weights of the eight taps: Keys' cubic, a = -0.5, stretched by two."""

    def cubic(x: float) -> float:
        a, x = -0.5, abs(x)
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0

    values = [cubic((i - _SIZE // 2 + 0.5) / 2) for i in range(_SIZE)]
    return [value / sum(values) for value in values]


def reference(x: Tensor) -> Tensor:  # [N,C,2H,2W] -> [N,C,H,W]
    """Halve both axes with mirrored borders, and clamp to [0, 1]."""
    import torch
    import torch.nn.functional as F

    channels = x.shape[1]
    kernel = torch.tensor(taps(), dtype=x.dtype, device=x.device)
    vertical = kernel.view(1, 1, _SIZE, 1).expand(channels, 1, _SIZE, 1)
    horizontal = kernel.view(1, 1, 1, _SIZE).expand(channels, 1, 1, _SIZE)
    x = F.conv2d(F.pad(x, (0, 0, 3, 3), "reflect"), vertical, stride=(2, 1), groups=channels)
    x = F.conv2d(F.pad(x, (3, 3, 0, 0), "reflect"), horizontal, stride=(1, 2), groups=channels)
    return x.clamp(0, 1)


def record(x: Symbol) -> Symbol:
    """Append the reduction; it is fused into the step that reads the pixels."""
    n, channels, height, width = x.shape
    weights = {"taps": Vector(("cubic_half",), lambda _: taps())}
    return x.plan.emit("cubic_half", (n, channels, height // 2, width // 2), {"x": x}, weights=weights)
