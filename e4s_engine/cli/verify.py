"""`e4s verify`: what the marks of files say."""

from __future__ import annotations

import argparse
import dataclasses
import json
from argparse import Namespace
from typing import TYPE_CHECKING

from e4s_engine.cli.messages import complain
from e4s_engine.errors import ArgumentError, E4SError

if TYPE_CHECKING:
    from e4s_engine.marks.verify import Verdict

HELP = "what the marks of files say: made or changed by a model, by which tool, and whether that is certain"
EPILOG = (
    "exit code: 0 every file says that a model made or changed it, and no mark is broken; 3 some file has no "
    "such mark, which proves nothing; 4 a mark is broken or forged; 1 a file cannot be read, is no picture "
    "or clip, or has no signed statement to check --original by; 2 wrong usage. For several files: the first "
    "of 1, 4 and 3 that applies to any"
)
UNMARKED, BROKEN = 3, 4


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.epilog = EPILOG
    command.add_argument("files", metavar="FILE", nargs="+", help="pictures and videos")
    command.add_argument(
        "--original",
        metavar="PHOTO",
        help="check a signed statement about untouched pixels against this photo",
    )
    command.add_argument("--trust", metavar="PEM", help="certificates whose signatures are trusted")
    command.add_argument(
        "--pixels",
        choices=("no", "quick", "thorough"),
        default="no",
        help="search the picture itself for a mark: seconds, or minutes for any size",
    )
    command.add_argument("--json", action="store_true", help="print one object per file")


def run(arguments: Namespace) -> int:
    """Print the verdicts; return the worst exit code."""
    from e4s_engine.marks import certificates
    from e4s_engine.marks.verify import verify

    if arguments.original and len(arguments.files) > 1:
        raise ArgumentError("--original: belongs to one file; give one FILE")
    if arguments.trust:
        certificates.anchors(arguments.trust)
    codes = set()
    for name in arguments.files:
        try:
            verdict = verify(
                name, original=arguments.original, trust=arguments.trust, pixels=arguments.pixels
            )
        except E4SError as error:
            complain(error)
            codes.add(1)
            continue
        if arguments.json:
            print(json.dumps({"file": name} | dataclasses.asdict(verdict)))
        else:
            print("\n".join(_lines(name, verdict)))
        codes.add(BROKEN if verdict.problems else 0 if verdict.marked else UNMARKED)
    return next((code for code in (1, BROKEN, UNMARKED) if code in codes), 0)


def _lines(name: str, verdict: Verdict) -> list[str]:
    head = "made or changed by a model" if verdict.marked else "no mark of a model, which proves nothing"
    head += ", by e4s_engine" if verdict.ours else ""
    lines = [f"{name}: {head}"]
    kinds = (("certain", verdict.certain), ("claimed", verdict.claimed), ("PROBLEM", verdict.problems))
    return lines + [f"  {kind}: {text}" for kind, texts in kinds for text in texts]
