"""Engines and options of a swap, from the flags of a command."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from e4s_engine.cli import flags
from e4s_engine.options import SwapOptions

if TYPE_CHECKING:
    from e4s_engine.engine import Engine


def engine(arguments: Namespace) -> Engine:
    """Create the engine that the flags ask for."""
    from e4s_engine.engine import Engine

    guard = getattr(arguments, "guard", None)
    if ":" in arguments.landmarks or guard:
        # A model or a guard may lie beside the user: `python -m` looks there, an installed command does not.
        sys.path.insert(0, str(Path.cwd()))
    parser = {"auto": "auto", "none": None}.get(arguments.parser, arguments.parser)
    return Engine(
        arguments.weights,
        parser=parser,
        landmarks=None if arguments.landmarks == "none" else arguments.landmarks,
        device=arguments.device,
        precision=arguments.precision,
        backend=arguments.backend,
        guard=guard,
    )


def options(arguments: Namespace) -> SwapOptions:
    """Return the options of a swap that the flags ask for."""
    return SwapOptions(**flags.chosen(arguments))
