"""`e4s ui`: a page in the browser to swap and paint on."""

from __future__ import annotations

import argparse
import webbrowser
from argparse import Namespace

from e4s_engine.cli import engines, flags, marking
from e4s_engine.cli.messages import say

HELP = "a page in the browser: swap, edit, and paint regions by hand"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    from e4s_engine.ui import running

    command.add_argument(
        "--host",
        default="127.0.0.1",
        help="address or name to listen on; default: this machine alone (0.0.0.0: all its addresses, for "
        "everybody who reaches them)",
    )
    command.add_argument(
        "--port",
        type=flags.natural,
        default=running.PORT,
        metavar="N",
        help=f"default: {running.PORT}; 0: any",
    )
    command.add_argument("--open", action="store_true", help="open the page in a browser")
    marking.add(command)
    marking.add_guard(command)
    flags.add_engine(command)


def run(arguments: Namespace) -> int:
    """Serve until interrupted."""
    from e4s_engine.ui import running

    running.check()
    marking.check(arguments, "download.png")
    with running.opened(arguments.host, arguments.port) as listening, engines.engine(arguments) as engine:
        notice = "" if marking.acknowledged() else marking.NOTICE
        server = running.server(engine, arguments.host, notice, marks=marking.how(arguments))
        url = running.address(listening, arguments.host)
        print(f"open {url}  (Ctrl-C ends it)", flush=True)
        if not running.is_local(listening):
            say("note: other machines can reach this page, unencrypted and without a password")
        if arguments.open:
            webbrowser.open(url)
        server.run(sockets=[listening])
    return 0
