"""Non-negative matrix factorisation of a feature map, by multiplicative updates (Lee and Seung, 2001).

The map of every sample, X [C,P] over P pixels, becomes a product of bases B [C,R] and coefficients K [P,R],
of a low rank R: what the pixels have in common stays, the rest goes (Geng et al., "Is attention better than
matrix decomposition?", 2021).
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from e4s_engine.plan import VECTOR, Vector

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Array, Arrays, Symbol

STEPS = 7
EPSILON = 1e-6


@functools.lru_cache(maxsize=8)
def start(channels: int, rank: int, seed: int) -> Array:
    """Return the bases [C,R] that the updates begin with, every column of length 1.

    They are what `torch.manual_seed(seed); torch.rand(1, C, R)` gives: 24 low bits of the Mersenne twister's
    outputs, in the order of the rows. seed: 0 to 2^32 - 1.
    """
    words = np.random.RandomState(seed).randint(0, 1 << 32, channels * rank, np.uint32)
    drawn = ((words & 0xFFFFFF).astype(np.float32) / np.float32(1 << 24)).reshape(channels, rank)
    bases = drawn / np.maximum(np.sqrt(np.square(drawn).sum(0, keepdims=True)), np.float32(1e-12))
    bases.flags.writeable = False
    return bases


def reference(x: Tensor, *, rank: int, seed: int) -> Tensor:  # [N,C,H,W] -> [N,C,H,W]
    """Return B K^T after seven updates of both and one more of K. x is not negative.

    K begins as the softmax of X^T B over the rank. Each update multiplies a factor by a quotient:
    K by X^T B / (K B^T B + 1e-6), B by X K / (B K^T K + 1e-6).
    """
    import torch

    flat = x.flatten(2).float()  # [N,C,P]
    first = torch.tensor(start(x.shape[1], rank, seed), device=x.device)
    bases = first.expand(len(x), -1, -1)
    shares = (flat.transpose(1, 2) @ bases).softmax(2)

    def updated(bases: Tensor, shares: Tensor) -> Tensor:
        total = shares @ (bases.transpose(1, 2) @ bases) + EPSILON
        return shares * (flat.transpose(1, 2) @ bases) / total

    for _ in range(STEPS):
        shares = updated(bases, shares)
        bases = bases * (flat @ shares) / (bases @ (shares.transpose(1, 2) @ shares) + EPSILON)
    return (bases @ updated(bases, shares).transpose(1, 2)).view(x.shape).to(x.dtype)


def record(x: Symbol, *, rank: int, seed: int) -> Symbol:
    """Append the factorisation as a step of its own, in fp32. Its start [C, R padded] is a weight."""
    n, channels, height, width = x.shape
    padded = -(-rank // VECTOR) * VECTOR

    def bases(_: Arrays) -> Array:
        laid_out = np.zeros((channels, padded), np.float32)
        laid_out[:, :rank] = start(channels, rank, seed)
        return laid_out

    key = ("nmf", str(channels), str(rank), str(seed))
    flop = 2.0 * n * height * width * channels * rank * (2 * STEPS + 3)
    weights = {"start": Vector(key, bases)}
    return x.plan.emit(
        "nmf", x.shape, {"x": x}, weights=weights, flop=flop, rank=rank, steps=STEPS, epsilon=EPSILON
    )
