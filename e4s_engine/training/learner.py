"""Training of one network: its parameters, optimisers, learning rate schedule and mixed precision."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from e4s_engine.errors import ArgumentError
from e4s_engine.training import muon, networks, processor, spread
from e4s_engine.training.recipe import Schedule

_OF_DEVICE = ("lr", "fused", "foreach", "capturable")
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Precision:
    """Autocast, and for fp16 the loss scaling that keeps small gradients from vanishing."""

    def __init__(self, device: str, precision: str) -> None:
        """precision: data type: "auto" (bf16 on GPUs, else fp32), "fp32", "bf16" or "fp16" (GPUs only)."""
        kind = device.partition(":")[0]
        if precision == "auto":
            precision = "bf16" if kind == "cuda" else "fp32"
        if precision not in ("fp32", *DTYPES):
            raise ArgumentError(f"precision: expected auto, fp32, bf16 or fp16, got {precision!r}")
        if precision == "fp16" and kind != "cuda":
            raise ArgumentError("precision: fp16 needs a GPU; on the CPU use 'fp32' or 'bf16'")
        if precision == "bf16" and not processor.has_bf16(kind):
            warnings.warn(
                "precision: this processor has no bf16 products (AVX512_BF16), and PyTorch emulates them "
                "many times slower; 'fp32' is faster here",
                stacklevel=2,
            )
        self.name, self._kind = precision, kind
        self.scaler = torch.amp.GradScaler(kind, enabled=precision == "fp16")

    def context(self) -> torch.autocast:
        """Return the context manager in which forward passes run."""
        dtype = DTYPES.get(self.name, torch.bfloat16)
        return torch.autocast(self._kind, dtype, enabled=self.name != "fp32")


class Learner:
    """A network's parameters with their optimisers. `tensors` also holds those that are not trained."""

    def __init__(
        self,
        tensors: dict[str, Tensor],
        trained: Iterable[str],
        schedule: Schedule,
        precision: Precision,
        rate_of: Callable[[str], float],
        fixed: bool = False,
    ) -> None:
        """rate_of: function from a parameter's name to its peak rate under Adam; Muon uses `schedule.muon`.

        fixed: whether rates are stored on the device, so that a CUDA graph of `descend` reads current ones.
        """
        self.tensors, self.schedule, self._precision = tensors, schedule, precision
        self.trained = sorted(trained)
        adams: dict[float, list[Tensor]] = {}
        muons: dict[float, list[Tensor]] = {}
        for name in self.trained:
            p = tensors[name].requires_grad_()
            if schedule.muon and muon.matrix(p) is not None:
                muons.setdefault(schedule.muon * networks.scale(name, p.shape), []).append(p)
            else:
                adams.setdefault(rate_of(name), []).append(p)
        self._parameters = [tensors[name] for name in self.trained]
        self._optimisers: list[torch.optim.Optimizer] = []
        if adams:
            on_gpu = self._parameters[0].is_cuda
            self._optimisers.append(
                torch.optim.Adam(
                    _groups(adams),
                    betas=schedule.betas,
                    eps=1e-8,
                    fused=on_gpu or fixed,
                    capturable=on_gpu and fixed,
                )
            )
        if muons:
            self._optimisers.append(muon.Muon(_groups(muons)))
        self._full: Tensor | None = None
        if fixed:
            device = self._parameters[0].device
            self._full = torch.tensor([group["full"] for group in self._groups()], device=device)
            self._rates = torch.zeros_like(self._full)
            for group, rate in zip(self._groups(), self._rates, strict=True):
                group["lr"] = rate

    def aim(self, step: int) -> None:
        """Set the rates for a step by the schedule."""
        height = factor(self.schedule, step)
        if self._full is not None:
            torch.mul(self._full, height, out=self._rates)
            return
        for group in self._groups():
            group["lr"] = group["full"] * height

    def descend(self, loss: Tensor) -> None:
        """Take an optimiser step on the loss at the current rates, gradients averaged over all processes."""
        scaler = self._precision.scaler
        for p in self._parameters:
            p.grad = None
        torch.autograd.backward(scaler.scale(loss))
        gradients = []
        for p in self._parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
            gradients.append(p.grad)
        spread.average(gradients)
        for optimiser in self._optimisers:
            scaler.unscale_(optimiser)
        if self.schedule.clip:
            torch.nn.utils.clip_grad_norm_(self._parameters, self.schedule.clip)
        for optimiser in self._optimisers:
            scaler.step(optimiser)
        scaler.update()

    def _groups(self) -> list[dict[str, Any]]:
        """List the optimisers' parameter groups; loading a checkpoint replaces them."""
        return [group for optimiser in self._optimisers for group in optimiser.param_groups]

    def state(self) -> dict[str, Any]:
        """Return the state to store in a checkpoint."""
        return {
            "tensors": {name: tensor.detach() for name, tensor in self.tensors.items()},
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "scaler": self._precision.scaler.state_dict(),
        }

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Restore the state of a checkpoint."""
        for name, tensor in self.tensors.items():
            tensor.copy_(state["tensors"][name])
        for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
            # These options depend on the device of this run, not of the run that wrote the checkpoint.
            here = [
                {name: group[name] for name in _OF_DEVICE if name in group}
                for group in optimiser.param_groups
            ]
            groups = [old | own for old, own in zip(saved["param_groups"], here, strict=True)]
            optimiser.load_state_dict({**saved, "param_groups": groups})
            for group, own in zip(optimiser.param_groups, here, strict=True):
                group["lr"] = own["lr"]  # the tensor itself, which loading has replaced by a copy
        if state["scaler"]:
            self._precision.scaler.load_state_dict(state["scaler"])


def _groups(parameters: dict[float, list[Tensor]]) -> list[dict[str, Any]]:
    """List parameter groups by rate; "full" is the rate that the schedule's factor multiplies."""
    return [{"params": group, "lr": rate, "full": rate} for rate, group in parameters.items()]


def factor(schedule: Schedule, step: int) -> float:
    """Return the schedule's factor on the rates at a step: a linear warm-up, then the decay."""
    up = min(1.0, (step + 1) / schedule.warmup) if schedule.warmup else 1.0
    if step < schedule.decay_from:
        return up
    if schedule.decay == "step":
        return up * 0.1
    past = (step - schedule.decay_from) / max(schedule.steps - schedule.decay_from, 1)
    return up * (0.02 + 0.98 * (1 + math.cos(math.pi * min(past, 1.0))) / 2)


@torch.no_grad()
def follow(averaged: dict[str, Tensor], tensors: dict[str, Tensor], decay: float, step: int) -> None:
    """Update the EMA by the tensors; the decay is smaller at first, so that initial values vanish quickly."""
    weight = 1 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(averaged.values()), [tensors[name] for name in averaged], weight)
