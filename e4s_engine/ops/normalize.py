"""Fixed per-channel normalisation of an input picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.plan import Symbol


def reference(x: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Return (x - mean) / std, per channel of [N,C,H,W]."""
    from e4s_engine.ops._constants import row

    return (x - row(mean, x.dtype, x.device).view(1, -1, 1, 1)) / row(std, x.dtype, x.device).view(
        1, -1, 1, 1
    )


def record(x: Symbol, mean: tuple[float, ...], std: tuple[float, ...]) -> Symbol:
    """Append the normalisation; it is fused into the step that reads the pixels."""
    y = x.plan.emit("normalize", x.shape, {"x": x})
    for name, values in (("mean", mean), ("std", std)):
        x.plan.steps[-1].numbers |= {f"{name}{c}": value for c, value in enumerate(values)}
    return y
