"""Label maps at the size of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(labels: Tensor, height: int, width: int) -> Tensor:  # [N,h,w] -> [N,H,W]
    """Resize to the nearest label: the source index is floor(i * h / H)."""
    import torch

    rows = torch.arange(height, device=labels.device) * labels.shape[1] // height
    columns = torch.arange(width, device=labels.device) * labels.shape[2] // width
    return labels[:, rows[:, None], columns]


def record(labels: Symbol, height: int, width: int) -> Symbol:
    """Append the resize as a step of its own."""
    plan, batch = labels.plan, labels.shape[0]
    limit = plan.buffers[labels.buffer].limit
    y = plan.emit("resize_labels", (batch, 1, height, width), {"x": labels}, type="u8", limit=limit)
    y.shape = (batch, height, width)
    return y
