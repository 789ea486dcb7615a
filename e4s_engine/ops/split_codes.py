"""Style codes of a decoder's layers, one after the other in a vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.plan import Codes

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor, layers: int) -> Tensor:  # [N,R,L*D] -> [N,R,L,D]
    """Return vectors as a style code per layer."""
    return x.view(*x.shape[:2], layers, -1)


def record(x: Symbol, layers: int) -> Codes:
    """Return the same buffer as style codes."""
    n, count, length = x.shape
    shape = (n, count, layers, length // layers)
    return Codes(x.plan, shape, x.buffer, injected=layers, latent_avg=None)
