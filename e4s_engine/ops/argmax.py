"""The index of the best class per pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.plan import Step, Symbol

if TYPE_CHECKING:
    from torch import Tensor


def reference(logits: Tensor) -> Tensor:  # [N,C,H,W] -> [N,H,W] uint8
    """Argmax over channels; the first wins a tie."""
    import torch

    return logits.argmax(1).to(torch.uint8)


def record(logits: Symbol) -> Symbol:
    """With the resize before it, where there is one: the logits at full size are never stored."""
    plan = logits.plan
    n, _, height, width = logits.shape
    mode = 2.0
    if logits.fresh("resize"):
        step = plan.drop(logits)
        source, mode = step.buffers["x"], step.numbers["mode"]
    else:
        source = plan.use(logits)
    made = plan.steps[-1]
    if made.kind == "conv" and made.buffers["y"] == source:
        plan.buffers[source].type = "f32"  # rounded logits would tie
    y = plan.external((n, height, width, 1), "u8")
    step = plan.append(Step("argmax", {"x": source, "y": y}, numbers={"mode": mode}))
    return Symbol(plan, (n, height, width), y, step)
