"""Attention: channels (BiSeNet) or pixels (an occlusion map) times a sigmoid."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor, logits: Tensor, *, residual: bool = False) -> Tensor:
    """Return x * sigmoid(logits), plus x if residual. x [N,C,H,W], logits [N,C,1,1] or [N,1,H,W]."""
    y = x * logits.sigmoid()
    return y + x if residual else y


def record(x: Symbol, logits: Symbol, *, residual: bool = False) -> Symbol:
    """Append the gate as a step of its own."""
    return x.plan.emit("gate", x.shape, {"x": x, "gate": logits}, residual=residual, relu=0)
