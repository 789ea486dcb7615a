"""Style codes -> the modulation of one layer: an equalised linear map (StyleGAN2, section 2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def reference(
    codes: Tensor, layer: int, weight: Tensor, bias: Tensor, *, regional: bool = True
) -> Tensor:  # [N,R,L,D], [I,D], [I] -> [N,R|1,I]
    """Scales of the input channels, per region; of region 0 alone where the layer is not regional."""
    import torch.nn.functional as F

    chosen = codes[:, :, layer] if regional else codes[:, :1, layer]
    return F.linear(chosen, weight * weight.shape[1] ** -0.5, bias)
