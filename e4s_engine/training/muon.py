"""Muon: momentum with orthogonalised steps (Jordan and others 2024).

The step of a weight matrix is the matrix nearest to its momentum among those whose singular values are all
one, so that directions with small gradients are learnt as fast as the rest. Convolutions count as matrices of
outputs x (inputs x taps). Adam updates the parameters that are not matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from e4s_engine.training import processor

LEAST = 16  # rows and columns; below, an orthogonal step gains little over Adam's
_MOMENTUM = 0.95
_ROUNDS = ((3.4445, -4.7750, 2.0315),) * 5  # the quintic's coefficients, tuned by the authors for five rounds


def matrix(tensor: Tensor) -> Tensor | None:
    """View a weight as a matrix of outputs x the rest; None if it is not one, or is too narrow."""
    if tensor.ndim == 5:  # the generator's: [1,O,I,k,k]
        tensor = tensor.squeeze(0)
    if tensor.ndim < 2:
        return None
    flat = tensor.flatten(1)
    return flat if min(flat.shape) >= LEAST else None


def orthogonal(matrices: Tensor) -> Tensor:  # [K,m,n] -> [K,m,n]
    """Approximate the nearest matrices with orthonormal rows or columns by Newton-Schulz rounds.

    Computes in bf16 where the device multiplies it: emulated by PyTorch, the rounds took a third of a step.
    """
    kind = torch.bfloat16 if processor.has_bf16(matrices.device.type) else torch.float32
    wide = matrices if matrices.shape[1] <= matrices.shape[2] else matrices.mT
    norm = wide.norm(dim=(1, 2), keepdim=True)
    x = (wide / (norm + 1e-12)).to(kind)
    for a, b, c in _ROUNDS:
        square = x @ x.mT
        rest = torch.baddbmm(square, square, square, beta=b, alpha=c)  # b square + c square^2, rounded once
        x = torch.baddbmm(x, rest, x, beta=a)
    return (x if wide is matrices else x.mT).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum. A group's lr is the root mean square of its weights' steps."""

    def __init__(self, groups: Iterable[dict[str, Any]]) -> None:
        """Create an optimiser of groups of parameters that `matrix` accepts, each group with its lr."""
        super().__init__(groups, {"lr": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step. Matrices of equal shape form one batch: regions have a dozen small ones of each."""
        parameters = [(p, group["lr"]) for group in self.param_groups for p in group["params"]]
        gradients = [p.grad for p, _ in parameters]
        momenta = [self._momentum(p) for p, _ in parameters]
        torch._foreach_lerp_(momenta, gradients, 1 - _MOMENTUM)
        directions = torch._foreach_lerp(gradients, momenta, _MOMENTUM)
        alike: dict[torch.Size, list[tuple[Tensor, Tensor, float | Tensor]]] = {}
        for (p, rate), direction in zip(parameters, directions, strict=True):
            flat = matrix(direction)
            assert flat is not None
            alike.setdefault(flat.shape, []).append((p, flat, rate))
        for shape, entries in alike.items():
            steps = orthogonal(torch.stack([flat for _, flat, _ in entries]))
            _descend(entries, steps, max(shape) ** 0.5)

    def _momentum(self, p: Tensor) -> Tensor:
        state: dict[str, Tensor] = self.state[p]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(p)
        return state["momentum"]


def _descend(entries: list[tuple[Tensor, Tensor, float | Tensor]], steps: Tensor, gain: float) -> None:
    """Apply the steps [K,m,n] to parameters of one shape. Rates stored on a device are not read back."""
    rates = [rate for _, _, rate in entries if isinstance(rate, Tensor)]
    if rates:
        scaled = steps * (torch.stack(rates) * gain).view(-1, 1, 1)
        moves = [step.view_as(p) for (p, _, _), step in zip(entries, scaled, strict=True)]
        torch._foreach_sub_([p for p, _, _ in entries], moves)
        return
    for (p, _, rate), step in zip(entries, steps, strict=True):
        p.sub_(step.view_as(p), alpha=float(rate) * gain)
