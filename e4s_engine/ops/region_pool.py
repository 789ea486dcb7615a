"""Mean of the features over each region's pixels (paper, section 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor, labels: Tensor, regions: int) -> Tensor:  # [N,C,H,W], [N,H,W] -> [N,R,C]
    """Return the means per region; zeros for a region without pixels."""
    import torch

    # Not F.one_hot, which reads the largest label back to the host.
    one_hot = (labels.flatten(1).unsqueeze(2) == torch.arange(regions, device=x.device)).float()  # [N,HW,R]
    total = one_hot.transpose(1, 2) @ x.flatten(2).transpose(1, 2).float()
    return total / one_hot.sum(1).clamp(min=1).unsqueeze(2)


def record(x: Symbol, labels: Symbol, regions: int) -> Symbol:
    """Append a pooling step with labels."""
    shape = (x.shape[0], regions, x.shape[1])
    return x.plan.emit("region_pool", shape, {"x": x, "labels": labels}, type="f32")
