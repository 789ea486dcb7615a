"""Fixed per-channel normalisation of an input picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from e4s_engine.plan import unfoldable

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(x - mean) / std, per channel of [N,C,H,W]."""
    from e4s_engine.ops._constants import row

    return (x - row(mean, x.dtype, x.device).view(1, -1, 1, 1)) / row(std, x.dtype, x.device).view(
        1, -1, 1, 1
    )


def record(x: Symbol, mean: tuple[float, ...], std: tuple[float, ...]) -> Symbol:
    """Folded into the reading of the pixels."""
    if not x.fresh("picture") or x.step is None:
        raise unfoldable("a normalisation of anything but pixels")
    numbers = x.step.numbers
    for c in range(3):
        numbers[f"scale{c}"] /= std[c]
        numbers[f"shift{c}"] = (numbers[f"shift{c}"] - mean[c]) / std[c]
    return x.plan.fold(x)
