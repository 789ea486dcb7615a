"""A training step as one CUDA graph: one launch replaces 41,000, and the GPU no longer waits for Python.

A graph repeats the same launches on the same memory. Batches are therefore copied into fixed buffers, rates
are stored on the device, and shapes do not depend on the batch (`ops._fixed`). Steps of one form
(`tasks.Form`) share a graph: the first few run eagerly, the next one is captured, and all later ones are
replays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from e4s_engine.training.batches import Batch
from e4s_engine.training.tasks import Figures, Form, Rgi, Task

_WARM = 2  # eager steps of a form before its capture: they create optimiser state and measure the seams


class Eager:
    """Eager steps: Python issues every launch."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def step(self, batch: Batch, step: int, rng: np.random.Generator) -> Figures:
        """Take a training step on a batch."""
        return self._task.step(batch, step, rng)

    def check(self) -> None:
        """Do nothing: eager steps have no fixed lists that could overflow."""


class Captured:
    """Steps replayed as graphs. If a capture fails, `say` gets a message, and all later steps run eagerly."""

    def __init__(self, task: Rgi, device: str, say: Callable[[str], None]) -> None:
        assert task.seams is not None, "only tasks of fixed shapes can be captured"
        self._task, self._seams, self._say = task, task.seams, say
        self._device, self._stream = torch.device(device), torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._inputs: Batch = {}
        self._seen: dict[Form, int] = {}
        self._graphs: dict[Form, tuple[torch.cuda.CUDAGraph, list[str], Tensor]] = {}
        self._failed = False

    def step(self, batch: Batch, step: int, rng: np.random.Generator) -> Figures:
        """Take a training step on a batch."""
        form = self._task.form(step)
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            self._task.aim(step)
            self._place(batch)
            if form not in self._graphs and not self._failed and self._seen.get(form, 0) >= _WARM:
                self._capture(form)
            if form in self._graphs:
                graph, names, values = self._graphs[form]
                graph.replay()
                figures = dict(zip(names, values.clone().unbind(), strict=True))
            else:
                self._seams.measuring = True
                figures = self._task.learn(self._inputs, form)
                self._seen[form] = self._seen.get(form, 0) + 1
        current.wait_stream(self._stream)
        return figures

    def check(self) -> None:
        """Drop all graphs if a seam overflowed its list, to measure and capture again. Waits for the GPU."""
        share = self._seams.fullness()
        if share > 1 and self._graphs:
            self._graphs.clear()
            self._seen.clear()
            self._say(
                f"training: a seam took {share:.2f} times its list's capacity: measuring and capturing anew"
            )

    def _place(self, batch: Batch) -> None:
        """Copy a batch into the graphs' input buffers; another batch shape needs new buffers and graphs."""
        shapes = {name: tensor.shape for name, tensor in batch.items()}
        if shapes != {name: tensor.shape for name, tensor in self._inputs.items()}:
            self._inputs = {name: torch.empty_like(t, device=self._device) for name, t in batch.items()}
            self._graphs.clear()
            self._seen.clear()
        for name, tensor in batch.items():
            self._inputs[name].copy_(tensor, non_blocking=True)

    def _capture(self, form: Form) -> None:
        self._graphs = {other: graph for other, graph in self._graphs.items() if other.side == form.side}
        self._seams.measuring = False
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads use the GPU meanwhile, to read and parse pictures.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                figures = self._task.learn(self._inputs, form)
                values = torch.stack([value.float() for value in figures.values()])
        except RuntimeError as error:
            self._failed = True
            self._say(f"training: CUDA graph capture failed, steps run as usual ({error})")
            return
        self._graphs[form] = graph, list(figures), values


def steps(task: Task, device: str, world: int, say: Callable[[str], None]) -> Eager | Captured:
    """Return a task's step runner: CUDA graphs where possible, else eager; `say` reports which."""
    reason = _obstacle(task, device, world)
    if reason is None:
        assert isinstance(task, Rgi)
        say("training: steps run as CUDA graphs")
        return Captured(task, device, say)
    if device.startswith("cuda"):
        say(f"training: steps do not run as CUDA graphs: {reason}")
    return Eager(task)


def _obstacle(task: Any, device: str, world: int) -> str | None:
    if not device.startswith("cuda"):
        return "there is no GPU"
    if not isinstance(task, Rgi) or task.seams is None:
        return "only the training of RGI models has steps of fixed shapes"
    if world > 1:
        return "several processes average gradients in between"
    if task.scaled:
        return "fp16 scales its losses by what it reads back; bf16 does not"
    return None
