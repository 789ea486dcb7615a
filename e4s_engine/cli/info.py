"""`e4s info`: facts about this machine and an engine's choices."""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from e4s_engine import __version__, backends
from e4s_engine.cli import engines, flags
from e4s_engine.errors import ArgumentError

if TYPE_CHECKING:
    from e4s_engine.engine import Engine

SWAPS = ("eyes", "lips", "nose", "face", "hair")
LABELS = 256  # side of the rendered face's labels

HELP = "what this machine offers and what a weight file holds"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument("--json", action="store_true")
    command.add_argument("--plan", action="store_true", help="print the recorded plans of the native backend")
    flags.add_regions(command, False, "with --plan: the swap whose share of the generator's work is told")
    flags.add_engine(command)


def run(arguments: Namespace) -> int:
    """Print the facts, or the plans."""
    engine = engines.engine(arguments)
    if arguments.plan:
        print(engine.plan())
        print(_shares(engine, arguments.regions))
        return 0
    if arguments.regions:
        raise ArgumentError("--regions: tells what of a plan is computed; pass --plan as well")
    facts = report(engine)
    if arguments.json:
        print(json.dumps(facts))
    else:
        for name, value in facts.items():
            print(f"{name + ':':18}{value}")
    return 0


def _shares(engine: Engine, chosen: tuple[str, ...] | None) -> str:
    """Return what swaps of some regions, or of those chosen, take of the decoder: on a rendered face."""
    from e4s_engine import synth

    labels = synth.render(synth.person(0), synth.scene(0), LABELS, 1).labels
    swaps = (
        {", ".join(chosen): chosen} if chosen else {name: (name,) for name in SWAPS} | {"whole face": None}
    )
    told = ", ".join(f"{name} {engine.share(labels, swap):.1%}" for name, swap in swaps.items())
    return f"\nshare of the decode that a swap computes, on a rendered face: {told}"


def report(engine: Engine) -> dict[str, Any]:
    """Collect the facts, name -> value, in the order to print."""
    config = engine.config
    return {
        "e4s_engine": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpu features": _cpu_features(),
        "torch": _torch(),
        "weights": str(engine.weights),
        "model": f"RGI at {config.size}, styles [12, {config.style_dim}], K = {config.injected}"
        + (", relights" if config.relight else ""),
        "parser": engine.parser,
        "faces": engine.landmarks,
        "backend": engine.backend,
        "device": engine.device,
        "precision": engine.precision,
    }


def _cpu_features() -> str:
    backends.check_extension()
    from e4s_engine import _native

    return ", ".join(name for name, present in _native.cpu_features().items() if present) or "none known"


def _torch() -> str:
    if importlib.util.find_spec("torch") is None:
        return "not installed"
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return f"{torch.__version__} ({', '.join(gpus) or 'no CUDA GPU'})"
