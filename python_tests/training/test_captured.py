"""Capture of training steps as CUDA graphs: once each, replayed, measured anew where lists are short."""

from __future__ import annotations

import contextlib

import pytest
import torch

from e4s_engine.ops import _fixed
from e4s_engine.training import captured, tasks


class Paper:
    """Stand-in for a task that counts its runs and captures."""

    def __init__(self):
        self.seams, self.learnt, self.capturing, self.fails = _fixed.Seams("cpu"), 0, False, False

    def form(self, step):
        return tasks.Form(32, step >= 8, step >= 8 and step % 2 == 0, False)

    def aim(self, step):
        self.aimed = step

    def learn(self, batch, form):
        if self.capturing:
            assert not self.seams.measuring
            if self.fails:
                raise RuntimeError("operation not permitted when stream is capturing")
        else:
            self.learnt += 1
        return {"l2": batch["pictures"].sum()}


class Graphs:
    """Stand-in for `torch.cuda`."""

    def __init__(self, task):
        self.task, self.replays = task, 0

    def Stream(self, device):  # noqa: N802
        return self

    def current_stream(self, device):
        return self

    def wait_stream(self, other):
        return None

    def stream(self, stream):
        return contextlib.nullcontext()

    def CUDAGraph(self):  # noqa: N802
        return self

    def replay(self):
        self.replays += 1

    @contextlib.contextmanager
    def graph(self, graph, stream, capture_error_mode):
        self.task.capturing = True
        try:
            yield
        finally:
            self.task.capturing = False


@pytest.fixture
def paper(monkeypatch):
    task, said = Paper(), []
    graphs = Graphs(task)
    monkeypatch.setattr(captured.torch, "cuda", graphs)
    return task, graphs, captured.Captured(task, "cpu", said.append), said


def small(value, n=2):
    return {"pictures": torch.full((n, 3), value)}


def test_a_form_is_captured_once_and_replayed(paper):
    task, graphs, steps, said = paper
    for step in range(16):
        steps.step(small(step), step, None)
        assert task.aimed == step
    # Eight steps of one form, then four of each of two: the first two of each run uncaptured.
    assert (task.learnt, graphs.replays, said) == (6, 10, [])
    assert torch.equal(steps._inputs["pictures"], small(15)["pictures"])
    steps.step(small(0, 3), 16, None)
    assert task.learnt == 7  # another shape has no graph yet


def test_a_capture_that_fails_is_said_once(paper):
    task, graphs, steps, said = paper
    task.fails = True
    for step in range(16):
        steps.step(small(step), step, None)
    assert (task.learnt, graphs.replays, len(said)) == (16, 0, 1)
    assert "not permitted" in said[0] and "run as usual" in said[0]


def test_short_lists_are_measured_and_captured_anew(paper):
    task, graphs, steps, said = paper
    for step in range(4):
        steps.step(small(step), step, None)
        steps.check()
    assert (task.learnt, graphs.replays, said) == (2, 2, [])
    task.seams._fullness.fill_(1.25)
    steps.check()
    assert len(said) == 1 and "1.25" in said[0]
    for step in range(4, 8):
        steps.step(small(step), step, None)
    assert (task.learnt, graphs.replays) == (4, 4)
