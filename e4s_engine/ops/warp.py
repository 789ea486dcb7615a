"""Features moved by a mixture of the key points' motions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.ops._volumes import moved, sampled, slices, volume

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor, logits: Tensor, source: Tensor, driving: Tensor, *, depth: int) -> Tensor:
    """Move features by the motions of `sparse_motion`, mixed at each cell by a softmax of logits.

    x [N*D,C,H,W], logits [N*D,K+1,H,W], points [N,K,3] in -1..1 -> [N*D,C,H,W].
    """
    shares = volume(logits, depth).float().softmax(1)
    places = moved(source, driving, depth, *x.shape[2:])
    mixed = (shares[..., None] * places).sum(1)
    return slices(sampled(volume(x, depth), mixed)).to(x.dtype)


def record(x: Symbol, logits: Symbol, source: Symbol, driving: Symbol, *, depth: int) -> Symbol:
    """Append the motion as a step of its own."""
    inputs = {"x": x, "logits": logits, "source": source, "driving": driving}
    return x.plan.emit("warp", x.shape, inputs, type=x.type)
