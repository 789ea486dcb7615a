"""Command line: e4s swap, edit, encode, reconstruct, reenact, restore, faces, parse, verify, serve ...

A module per command: HELP says what it does, `add` adds its arguments, `run` returns its exit code. Exit
codes: 0 success, 1 something failed (one line on stderr says what), 2 wrong usage: an argument that no file,
photo or machine could put right. `e4s train` returns 1 for these as well; `verify` has more.
"""

from __future__ import annotations

import argparse
import codecs
import io
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

from e4s_engine import __version__
from e4s_engine.cli import (
    acknowledge,
    batch,
    bench,
    convert,
    demo,
    doctor,
    edit,
    encode,
    evaluate,
    faces,
    info,
    parse,
    reconstruct,
    reenact,
    restore,
    serve,
    swap,
    ui,
    verify,
    video,
    weights,
)
from e4s_engine.cli.commands import Command
from e4s_engine.cli.messages import Log, complain, say, warnings_shown
from e4s_engine.errors import ArgumentError, E4SError, RegionError
from e4s_engine.training import command as training

COMMANDS: dict[str, Any] = {
    "swap": swap,
    "batch": batch,
    "video": video,
    "edit": edit,
    "encode": encode,
    "reconstruct": reconstruct,
    "reenact": reenact,
    "restore": restore,
    "faces": faces,
    "parse": parse,
    "verify": verify,
    "acknowledge": acknowledge,
    "serve": serve,
    "weights": weights,
    "convert": convert,
    "doctor": doctor,
    "info": info,
    "evaluate": evaluate,
    "bench": bench,
    "demo": demo,
    "ui": ui,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    _escape_unknown_characters()
    arguments = arguments_parser().parse_args(argv)
    level = logging.INFO if arguments.verbose else logging.WARNING
    handler = logging.StreamHandler()
    handler.setFormatter(Log())
    logging.basicConfig(level=level, handlers=[handler])
    try:
        with warnings_shown():
            code: int = arguments.run(arguments)
            return code
    except (E4SError, OSError) as error:  # OSError: a folder that cannot be listed, a name that is too long
        complain(error)
        return arguments.misuse if type(error) in (ArgumentError, RegionError) else 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130


def _escape_unknown_characters() -> None:
    """Print characters that stdout's encoding lacks as escapes: names may hold any."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        codecs.register_error("e4s.escapes", _escaped)
        sys.stdout.reconfigure(errors="e4s.escapes")


def _escaped(error: UnicodeError) -> tuple[str | bytes, int]:
    """Pass bytes on that are no text, as names on Linux may hold them, and escape all else."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


def arguments_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands, of which the documentation makes its tables."""
    parser = argparse.ArgumentParser(prog="e4s", description="Fine-grained face swapping by region.")
    parser.add_argument("--version", action="version", version=f"e4s_engine {__version__}")
    group = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Command)
    for name, module in COMMANDS.items():
        module.add(_command(group, name, module.run, module.HELP))
    training.add(group, _command)  # a command with subcommands
    return parser


def _command(
    group: Any, name: str, run: Callable[[argparse.Namespace], int], help_text: str
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = group.add_parser(name, help=help_text, description=help_text)
    command.set_defaults(run=run, misuse=2)  # exit code of wrong arguments
    command.add_argument("-v", "--verbose", action="store_true", help="say what is chosen and loaded")
    return command
