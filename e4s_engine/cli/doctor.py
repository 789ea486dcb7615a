"""`e4s doctor`: what is installed, what is missing, what would be faster, and which device and why."""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
from argparse import Namespace

from e4s_engine import __version__
from e4s_engine.cli import findings
from e4s_engine.cli.findings import Finding

HELP = "what is installed, what is missing, what would be faster, which device is taken and why"


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument("--json", action="store_true", help="print one object")
    command.add_argument("--weights", metavar="FILE", help="weights to look at; default: $E4S_WEIGHTS")


def run(arguments: Namespace) -> int:
    """Print the findings. The exit code is 0 whatever they are: nothing here failed."""
    found = [finding for look in findings.LOOKS for finding in look(arguments.weights)]
    system = f"{platform.system()} {platform.machine()}"
    if arguments.json:
        about = {"e4s_engine": __version__, "python": platform.python_version(), "system": system}
        print(json.dumps(about | {"findings": [dataclasses.asdict(finding) for finding in found]}))
        return 0
    print(f"e4s_engine {__version__}, Python {platform.python_version()}, {system}")
    for finding in found:
        print(_line(finding))
    wanting = sum(finding.state != findings.OK for finding in found)
    print(f"{wanting} of {len(found)} could be better" if wanting else "nothing is wanting")
    return 0


def _line(finding: Finding) -> str:
    line = f"  {finding.state:8} {finding.subject + ':':22} {finding.fact}"
    return f"{line}\n{'':34}-> {finding.remedy}" if finding.remedy else line
