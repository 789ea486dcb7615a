"""A training step: its seconds, and the kernels that they go to, by name.

    python -m benchmarks.gpu_training                           # of `demo` at 256, as a CUDA graph
    python -m benchmarks.gpu_training --device cpu --items 2    # PyTorch's operations in place of kernels

The batch is portraits and their swaps, whose borders make lists of ordinary length (`ops/_fixed.py`).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks import machine
from e4s_engine.photo import images
from e4s_engine.regions import resize_nearest
from e4s_engine.testing.portraits import portrait
from e4s_engine.training import batches, captured, networks, recipe, tasks

SHOWN = 40  # kernels in the report
_WARM = 4  # steps before the first that is timed: two eager ones, the capture, a replay


def batch_of(items: int, side: int) -> batches.Batch:
    """Return a batch of swaps between two portraits in turn; their targets stand for the exact answers."""
    people = []
    for image, labels in (portrait(0), portrait(1)):
        small = images.resize(image, side, side, Image.Resampling.LANCZOS)
        people.append(np.concatenate([small, resize_nearest(labels, side)[..., None]], -1))
    pairs = [(people[i % 2], people[1 - i % 2]) for i in range(items)]
    pictures = np.stack([np.stack([source, target, target]) for source, target in pairs])
    chosen: list[tuple[int, ...] | None] = [None if i % 2 else (6,) for i in range(items)]
    composed = batches.composition(pictures[:, 0, ..., 3], pictures[:, 1, ..., 3], chosen)
    turns = np.arange(items) % 2 == 0
    return batches.tensors_of(pictures=pictures, flips=turns, own=turns, **composed)


def measured(chosen: recipe.RgiRecipe, device: str, items: int, runs: int) -> dict[str, Any]:
    """Time steps of a recipe at its full size, and list the kernels of one."""
    said: list[str] = []
    tensors, parser = networks.initial(chosen.model, 0), networks.initial(recipe.PARSER_DEMO.model, 1)
    task = tasks.new(chosen, tensors, parser, device, "auto", fixed=True)
    runner = captured.steps(task, device, 1, said.append)
    batch, rng = batch_of(items, chosen.model.size), np.random.default_rng(0)
    on_gpu = device.startswith("cuda")

    def step() -> None:
        runner.step(batch, 0, rng)
        if on_gpu:
            torch.cuda.synchronize()

    for _ in range(_WARM):
        step()
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    report: dict[str, Any] = {"said": said, "items": items, "seconds": float(np.median(seconds))}
    if on_gpu:
        report["gib"] = torch.cuda.max_memory_allocated() / 2**30
    return report | _kernels(step, on_gpu)


def _kernels(step: Any, on_gpu: bool) -> dict[str, Any]:
    activity = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[activity.CUDA if on_gpu else activity.CPU]) as profile:
        step()
    listed = [
        {
            "name": event.key,
            "calls": event.count,
            "ms": (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1000,
        }
        for event in profile.key_averages()
    ]
    listed.sort(key=lambda one: -one["ms"])
    total, calls = sum(one["ms"] for one in listed), sum(one["calls"] for one in listed)
    return {"kernels_ms": total, "launches": calls, "kernels": listed[:SHOWN]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--items", type=int, default=recipe.DEMO.schedule.batch)
    parser.add_argument("--runs", type=int, default=10)
    options = parser.parse_args(arguments)
    report = measured(recipe.DEMO, options.device, options.items, options.runs)
    print(json.dumps({"machine": machine.describe(), **report}, indent=1))


if __name__ == "__main__":
    main()
