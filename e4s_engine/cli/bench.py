"""`e4s bench`: the time of a swap by stage."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from e4s_engine.cli import flags

if TYPE_CHECKING:
    from e4s_engine.engine import Engine

HELP = "time a swap by stage"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument("--weights", metavar="FILE", help="default: random weights of the official size")
    command.add_argument("--repeat", type=flags.positive, default=5, metavar="N")
    command.add_argument("--json", action="store_true")
    flags.add_machine(command)


def run(arguments: Namespace) -> int:
    """Time swaps of two aligned pictures with their labels, and print the medians."""
    from e4s_engine import weights
    from e4s_engine.engine import Engine
    from e4s_engine.networks.rgi.config import ModelConfig

    model = arguments.weights
    if not model:
        print("no --weights: timing random weights of the official size", file=sys.stderr)
        model = weights.random_model(ModelConfig())
    choice = {name: getattr(arguments, name) for name in ("backend", "device", "precision")}
    with Engine(model, parser=None, landmarks=None, **choice) as engine:
        runs = _swaps(engine, arguments.repeat)
    medians = {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]}
    if arguments.json:
        print(json.dumps({f"{stage}_s": value for stage, value in medians.items()}))
        return 0
    print(f"{engine.backend} backend on {engine.device} in {engine.precision}, medians of {arguments.repeat}")
    for stage, value in medians.items():
        print(f"{stage:8}{value * 1000:10.1f} ms")
    return 0


def _swaps(engine: Engine, repeat: int) -> list[dict[str, float]]:
    """Return the seconds of every swap by stage; a first one, which warms caches, does not count."""
    from e4s_engine.pipeline import stages
    from e4s_engine.testing.portraits import portrait

    (source, source_labels), (target, target_labels) = portrait(0), portrait(1)
    runs = []
    for _ in range(1 + repeat):
        with stages.timed() as times:
            engine.swap(source, target, source_labels=source_labels, target_labels=target_labels)
        runs.append(times)
    return runs[1:]
