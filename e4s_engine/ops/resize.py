"""Resizing of feature maps and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.errors import ArgumentError

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol

MODES = ("bilinear", "bilinear_corners", "nearest")


def reference(x: Tensor, height: int, width: int, mode: str) -> Tensor:  # [N,C,h,w] -> [N,C,H,W]
    """Resize without antialiasing. bilinear: half-pixel centres; bilinear_corners: aligned corners."""
    import torch.nn.functional as F

    if mode not in MODES:
        raise ArgumentError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}")
    if mode == "nearest":
        return F.interpolate(x, (height, width), mode="nearest")
    return F.interpolate(x, (height, width), mode="bilinear", align_corners=mode == "bilinear_corners")


def record(x: Symbol, height: int, width: int, mode: str) -> Symbol:
    """Append a resize; directly after pixels it is fused into the step that reads them."""
    if mode not in MODES:
        raise ArgumentError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}")
    return x.plan.emit("resize", (*x.shape[:2], height, width), {"x": x}, mode=MODES.index(mode))
