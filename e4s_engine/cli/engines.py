"""Engines and options of a swap, from the flags of a command."""

from __future__ import annotations

import dataclasses
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from e4s_engine.options import SwapOptions

if TYPE_CHECKING:
    from e4s_engine.engine import Engine


def engine(arguments: Namespace) -> Engine:
    """Create the engine that the flags ask for."""
    from e4s_engine.engine import Engine

    parser = {"auto": "auto", "none": None}.get(arguments.parser, arguments.parser)
    return Engine(
        arguments.weights,
        parser=parser,
        landmarks=None if arguments.landmarks == "none" else arguments.landmarks,
        device=arguments.device,
        precision=arguments.precision,
        backend=arguments.backend,
    )


def photo_engine(arguments: Namespace) -> Engine:
    """Create the engine for a user's own pictures; warn if its model knows rendered faces only."""
    from e4s_engine.pipeline.loading import BUNDLED

    created = engine(arguments)
    if created.weights == BUNDLED:
        print(
            "note: the bundled demo model was trained on rendered faces only; for photos of people give "
            "--weights (see the README)",
            file=sys.stderr,
        )
    return created


def options(arguments: Namespace) -> SwapOptions:
    """Return the options of a swap that the flags ask for."""
    names = [field.name for field in dataclasses.fields(SwapOptions) if field.name != "align"]
    return SwapOptions(**{name: getattr(arguments, name) for name in names}, align=align(arguments))


def align(arguments: Namespace) -> str | bool:
    """Return the option `align`."""
    how: dict[str, str | bool] = {"auto": "auto", "yes": True, "no": False}
    return how[arguments.align]
