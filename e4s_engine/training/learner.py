"""One network being trained: its parameters, their optimisers, the rate's schedule, mixed precision."""

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
    """Autocast, and for fp16 the scaling of the loss that keeps small gradients from vanishing."""

    def __init__(self, device: str, precision: str) -> None:
        """precision: "auto" (bf16 on GPUs, else fp32), "fp32", "bf16" or "fp16" (GPUs only)."""
        kind = device.partition(":")[0]
        if precision == "auto":
            precision = "bf16" if kind == "cuda" else "fp32"
        if precision not in ("fp32", *DTYPES):
            raise ArgumentError(f"precision: expected auto, fp32, bf16 or fp16, got {precision!r}")
        if precision == "fp16" and kind != "cuda":
            raise ArgumentError("precision: fp16 needs a GPU; on the CPU use 'fp32' or 'bf16'")
        if precision == "bf16" and not processor.has_bf16(kind):
            warnings.warn(
                "precision: this processor has no bf16 products (AVX512_BF16), PyTorch emulates them many "
                "times as slowly; 'fp32' is faster here",
                stacklevel=2,
            )
        self.name, self._kind = precision, kind
        self.scaler = torch.amp.GradScaler(kind, enabled=precision == "fp16")

    def context(self) -> torch.autocast:
        """Forward passes run in here."""
        dtype = DTYPES.get(self.name, torch.bfloat16)
        return torch.autocast(self._kind, dtype, enabled=self.name != "fp32")


class Learner:
    """Parameters that descend a loss. `tensors` holds all of a network's, those that do not learn too."""

    def __init__(
        self,
        tensors: dict[str, Tensor],
        trained: Iterable[str],
        schedule: Schedule,
        precision: Precision,
        rate_of: Callable[[str], float],
        fixed: bool = False,
    ) -> None:
        """rate_of: a parameter's rate under Adam, at the schedule's height; matrices go by its `muon`.

        fixed: rates lie on the device, so that a CUDA graph of `descend` reads the current ones.
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
        """Set the rates to the schedule's at a step."""
        height = factor(self.schedule, step)
        if self._full is not None:
            torch.mul(self._full, height, out=self._rates)
            return
        for group in self._groups():
            group["lr"] = group["full"] * height

    def descend(self, loss: Tensor) -> None:
        """Take an optimiser step down the loss, averaged over all processes, at the rates last set."""
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
        """List the optimisers' parameter groups; loading a checkpoint makes new ones."""
        return [group for optimiser in self._optimisers for group in optimiser.param_groups]

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {
            "tensors": {name: tensor.detach() for name, tensor in self.tensors.items()},
            "optimisers": [optimiser.state_dict() for optimiser in self._optimisers],
            "scaler": self._precision.scaler.state_dict(),
        }

    @torch.no_grad()
    def restore(self, state: dict[str, Any]) -> None:
        """Back to a checkpoint."""
        for name, tensor in self.tensors.items():
            tensor.copy_(state["tensors"][name])
        for optimiser, kept in zip(self._optimisers, state["optimisers"], strict=True):
            # How an optimiser runs is this device's, not that of the run that wrote the checkpoint.
            here = [
                {name: group[name] for name in _OF_DEVICE if name in group}
                for group in optimiser.param_groups
            ]
            groups = [old | own for old, own in zip(kept["param_groups"], here, strict=True)]
            optimiser.load_state_dict({**kept, "param_groups": groups})
            for group, own in zip(optimiser.param_groups, here, strict=True):
                group["lr"] = own["lr"]  # the tensor itself, of which loading has made a copy
        if state["scaler"]:
            self._precision.scaler.load_state_dict(state["scaler"])


def _groups(parameters: dict[float, list[Tensor]]) -> list[dict[str, Any]]:
    """Parameter groups by rate; "full" is what the schedule's height multiplies."""
    return [{"params": group, "lr": rate, "full": rate} for rate, group in parameters.items()]


def factor(schedule: Schedule, step: int) -> float:
    """The rate's height at a step: up over the warm-up, down by the schedule."""
    up = min(1.0, (step + 1) / schedule.warmup) if schedule.warmup else 1.0
    if step < schedule.decay_from:
        return up
    if schedule.decay == "step":
        return up * 0.1
    past = (step - schedule.decay_from) / max(schedule.steps - schedule.decay_from, 1)
    return up * (0.02 + 0.98 * (1 + math.cos(math.pi * min(past, 1.0))) / 2)


@torch.no_grad()
def follow(averaged: dict[str, Tensor], tensors: dict[str, Tensor], decay: float, step: int) -> None:
    """The averaged copy a step nearer to the tensors; faster at first, when they are far from anything."""
    weight = 1 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(averaged.values()), [tensors[name] for name in averaged], weight)
