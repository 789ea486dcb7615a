"""Index of the best class per pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.plan import Step, Symbol

if TYPE_CHECKING:
    from torch import Tensor


def reference(logits: Tensor) -> Tensor:  # [N,C,H,W] -> [N,H,W] uint8
    """Return the argmax over channels; the first wins a tie."""
    import torch

    return logits.argmax(1).to(torch.uint8)


def record(logits: Symbol) -> Symbol:
    """Append a step that writes the caller's classes; a resize before it is fused into it."""
    plan = logits.plan
    n, _, height, width = logits.shape
    y = plan.external((n, height, width, 1), "u8")
    plan.append(Step("argmax", {"x": plan.use(logits), "y": y}, numbers={"mode": 2}))
    return Symbol(plan, (n, height, width), y)
