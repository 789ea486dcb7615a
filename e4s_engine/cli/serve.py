"""`e4s serve`: the engine's calls over HTTP."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import logging
from argparse import Namespace

from e4s_engine.cli import engines, flags, marking
from e4s_engine.errors import ArgumentError

HELP = "a service over HTTP: swap, edit, reconstruct, parse, faces, encode, verify (docs/service.md)"
_NEEDS = {"fastapi": "fastapi", "uvicorn": "uvicorn", "python_multipart": "python-multipart"}
_INSTALL = "pip install e4s_engine[serve]"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    from e4s_engine.serve.limits import Limits

    command.add_argument(
        "--host", default="127.0.0.1", help="address; default: this machine alone reaches it"
    )
    command.add_argument("--port", type=flags.natural, default=8000, help="0 takes any free one")
    command.add_argument("--keys", metavar="FILE", help="API keys, one a line, of which requests need one")
    command.add_argument(
        "--without-keys", action="store_true", help="serve others without keys: something else checks them"
    )
    for field in dataclasses.fields(Limits):
        command.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(field.default),
            metavar="N",
            default=field.default,
            help=f"{field.metadata['meaning']}; default: {field.default:g}",
        )
    marking.add_guard(command)
    flags.add_engine(command)


def run(arguments: Namespace) -> int:
    """Serve until a signal ends it."""
    missing = [package for module, package in _NEEDS.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ArgumentError(f"serve: needs {', '.join(missing)}, which are not installed; `{_INSTALL}`")
    from e4s_engine.serve import logs, server
    from e4s_engine.serve.keys import Keys
    from e4s_engine.serve.limits import Limits

    keys = Keys([]) if arguments.keys is None else Keys.read(arguments.keys)
    server.check_host(arguments.host, keys, arguments.without_keys)
    limits = Limits(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(Limits)})
    with server.listen(arguments.host, arguments.port) as listening:  # before the slow loading
        engine = engines.engine(arguments, max_batch=limits.workers)
        logs.begin(logging.INFO if arguments.verbose else logging.WARNING)
        server.run(engine, limits, keys, listening)
    return 0
