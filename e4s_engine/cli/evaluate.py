"""`e4s evaluate`: swaps a list of pairs and reports what can be measured."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

from e4s_engine.cli import engines, flags, marking, progress
from e4s_engine.cli.messages import say

HELP = "swap a list of pairs and measure identity, colours, sharpness, untouched pixels and more"
_JUDGE = "MODULE:NAME of a callable: aligned crop uint8 [1024, 1024, 3] -> vector; "
_NOT_HERE = ("faces", "full_face")  # the largest face of every photo is meant


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    from e4s_engine.evaluation.measures import MEASURES

    command.add_argument(
        "pairs",
        metavar="PAIRS",
        help="CSV with the columns source and target, and perhaps regions and name; or a split of "
        "FaceForensics++ (.json)",
    )
    command.add_argument(
        "-o",
        "--output",
        required=True,
        metavar="FOLDER",
        help="for the swaps, tables and the sheet of the worst",
    )
    command.add_argument(
        "--overwrite",
        action="store_true",
        help="replace another evaluation in the folder; default: go on with it",
    )
    command.add_argument(
        "--frames", metavar="FOLDER", help="folders of frames of a split's videos: FOLDER/012/*"
    )
    command.add_argument("--identity", metavar="JUDGE", help=f"{_JUDGE}e.g. an ArcFace network")
    command.add_argument(
        "--expression", metavar="JUDGE", help=f"{_JUDGE}default: face-vid2vid's, if it is there"
    )
    command.add_argument(
        "--features",
        metavar="JUDGE",
        help=f"{_JUDGE}or a TorchScript file such as inception-2015-12-05.pt: FID, KID",
    )
    command.add_argument(
        "--worst", type=flags.natural, default=8, metavar="N", help="number of pairs on worst.png; default: 8"
    )
    command.add_argument(
        "--worst-by", choices=tuple(MEASURES), help="default: identity_source, else colour_source"
    )
    flags.add_options(command, without=_NOT_HERE)
    marking.add_guard(command)
    flags.add_engine(command)


def run(arguments: Namespace) -> int:
    """Evaluate and print the summary."""
    from e4s_engine.evaluation import pairs
    from e4s_engine.evaluation.evaluate import evaluate

    frames = None if arguments.frames is None else Path(arguments.frames)
    listed = pairs.read(Path(arguments.pairs), frames)
    options = engines.options(arguments)
    marking.notice()
    sys.path.insert(0, str(Path.cwd()))  # judges may lie beside the user
    with engines.engine(arguments) as engine, progress.bar(total=len(listed), unit="pair") as bar:
        summary = evaluate(
            engine,
            listed,
            Path(arguments.output),
            options=options,
            identity=arguments.identity,
            expression=arguments.expression,
            features=arguments.features,
            worst=arguments.worst,
            worst_by=arguments.worst_by,
            overwrite=arguments.overwrite,
            progress=lambda finished, _: bar.update(finished - bar.n),
        )
    for name, error in summary["errors"].items():
        say(f"error: {name}: {error}")
    _print(summary, arguments.output)
    return 1 if summary["failed"] else 0


def _print(summary: dict[str, Any], output: str) -> None:
    print(f"{summary['pairs'] - summary['failed']} of {summary['pairs']} pairs swapped and measured")
    for name, mean in summary["mean"].items():
        print(f"{name:16}{mean:10.4f}   median {summary['median'][name]:.4f}")
    for name in ("retrieval_top1", "retrieval_top5", "fid", "kid"):
        if summary[name] is not None:
            print(f"{name:16}{summary[name]:10.4f}")
    print(f"{output}: pairs.csv, summary.json, worst.png, swaps/")
