"""Conversion of the generator's range to 8-bit pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.plan import Step, Symbol

if TYPE_CHECKING:
    from torch import Tensor


def reference(x: Tensor) -> Tensor:  # [N,3,H,W] in [-1,1] -> [N,H,W,3] uint8
    """Clamp (x + 1) / 2 to [0, 1], scale by 255 and truncate, as in the published code."""
    import torch

    return (((x.float() + 1) / 2).clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1)


def record(x: Symbol) -> Symbol:
    """Append a step that writes the caller's pixels."""
    n, channels, height, width = x.shape
    y = x.plan.external((n, height, width, channels), "u8")
    x.plan.append(Step("to_uint8", {"x": x.plan.use(x), "y": y}))
    return Symbol(x.plan, (n, height, width, channels), y)
