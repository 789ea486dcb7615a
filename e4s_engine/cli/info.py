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

if TYPE_CHECKING:
    from e4s_engine.engine import Engine

HELP = "what this machine offers and what a weight file holds"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument("--json", action="store_true")
    command.add_argument("--plan", action="store_true", help="print the recorded plans of the native backend")
    flags.add_engine(command)


def run(arguments: Namespace) -> int:
    """Print the facts, or the plans."""
    engine = engines.engine(arguments)
    if arguments.plan:
        print(engine.plan())
        return 0
    facts = report(engine)
    if arguments.json:
        print(json.dumps(facts))
    else:
        for name, value in facts.items():
            print(f"{name + ':':18}{value}")
    return 0


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
