"""Layers that several networks have, written once: their functions over `ops`, and their tensors."""

from __future__ import annotations

from collections.abc import Iterator

from e4s_engine.networks.network import Entry
from e4s_engine.ops.ops import Ops, T, Weights

SPECTRAL = ("weight_orig", "weight_u", "weight_v")  # of a convolution with spectral normalisation
_LEAVES = ("weight", "bias", "running_mean", "running_var")


def batch_norm(ops: Ops[T], x: T, weights: Weights[T], prefix: str, relu: bool) -> T:
    """Run the batch norm whose tensors begin with a prefix, then ReLU if wanted."""
    return ops.batch_norm(x, *(weights[prefix + leaf] for leaf in _LEAVES), relu=relu)


def batch_norm_tensors(prefix: str, width: int) -> Iterator[Entry]:
    """Yield the tensors of a batch norm over `width` channels."""
    for leaf in _LEAVES:
        yield prefix + leaf, (width,)
