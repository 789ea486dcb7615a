"""`e4s bench`: the time of a swap by stage."""

from __future__ import annotations

import argparse
import json
import sys
from argparse import Namespace

from e4s_engine.cli import flags

HELP = "time a swap by stage"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument("--weights", metavar="FILE", help="default: random weights of the official size")
    command.add_argument("--repeat", type=flags.positive, default=5, metavar="N")
    command.add_argument("--json", action="store_true")
    flags.add_machine(command)


def run(arguments: Namespace) -> int:
    """Time swaps, and print the medians."""
    from e4s_engine import backends, weights
    from e4s_engine.cli import timing
    from e4s_engine.networks.rgi.config import ModelConfig

    if arguments.weights:
        model = weights.open_model(arguments.weights, "rgi")
    else:
        print("no --weights: timing random weights of the official size", file=sys.stderr)
        model = weights.random_model(ModelConfig())
    backend = backends.create([model], arguments.backend, arguments.device, arguments.precision)
    medians = timing.time_swap(backend, arguments.repeat)
    if arguments.json:
        print(json.dumps({f"{stage}_s": value for stage, value in medians.items()}))
        return 0
    print(f"{backend.name} backend on {backend.device} in {backend.precision}, medians of {arguments.repeat}")
    for stage, value in medians.items():
        print(f"{stage:8}{value * 1000:10.1f} ms")
    return 0
