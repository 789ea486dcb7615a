"""Small constants on a device, copied there once: each copy from the host makes the caller of a GPU wait."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


@functools.cache
def row(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return the values as a tensor [C]. It is shared: do not write to it."""
    import torch

    with torch.inference_mode(False):  # the first caller may be a preview, the next one training
        return torch.tensor(values, dtype=dtype, device=device)
