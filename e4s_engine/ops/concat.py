"""Concatenation over channels (or over the last axis of style vectors)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def reference(tensors: Sequence[Tensor], axis: int = 1) -> Tensor:
    """The tensors one after the other along `axis`."""
    import torch

    return torch.cat(list(tensors), axis)
