"""`e4s weights`: what the weight files of a folder are, what they enable, and what is missing."""

from __future__ import annotations

import argparse
import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e4s_engine.errors import WeightsError
from e4s_engine.faces.hog import PREDICTOR

if TYPE_CHECKING:
    from e4s_engine.weights.folder import Found

HELP = "what the weight files of a folder are, and which of the published pipeline's are missing"
_PREDICTOR = {
    "kind": "landmarks",
    "file": PREDICTOR,
    "enables": "68 landmarks by dlib (also in e4s_engine[faces])",
    "from": "http://dlib.net/files",
    "licence": "trained on iBUG 300-W, whose licence excludes commercial use",
}


def add(command: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    command.add_argument("folder", metavar="FOLDER", help="weight files, official or converted; any names")
    command.add_argument("--json", action="store_true", help="print one object per file, there or missing")


def run(arguments: Namespace) -> int:
    """List the files, then what is missing."""
    from e4s_engine.weights import folder

    if not folder.is_folder(arguments.folder):
        raise WeightsError(f"FOLDER: {arguments.folder} is no folder")
    found = folder.survey(arguments.folder, "FOLDER")
    present = [_present(one) for one in found]
    predictor = folder.named(Path(arguments.folder), PREDICTOR)
    if predictor is not None:
        present.append({**_PREDICTOR, "file": str(predictor), "bytes": predictor.stat().st_size})
    absent = [_absent(kind) for kind in folder.known() if all(one.kind != kind for one in found)]
    if predictor is None:
        absent.append(dict(_PREDICTOR))
    if arguments.json:
        for facts in [*present, *({**facts, "missing": True} for facts in absent)]:
            print(json.dumps(facts))
        return 0
    _print(arguments.folder, present, absent)
    return 0


def _present(one: Found) -> dict[str, Any]:
    facts = {"kind": one.kind, "file": str(one.file), "bytes": one.file.stat().st_size}
    if one.kind is None:
        return {**facts, "unused": one.note}
    return {**facts, "converted": one.converted, **_about(one.kind)}


def _absent(kind: str) -> dict[str, Any]:
    from e4s_engine.networks import registry

    published = registry.get(kind).published
    assert published is not None
    return {"kind": kind, "file": published.file, **_about(kind), "from": published.source}


def _about(kind: str) -> dict[str, str]:
    from e4s_engine.networks import registry

    published = registry.get(kind).published
    return {} if published is None else {"enables": published.purpose, "licence": published.licence}


def _print(folder: str, present: list[dict[str, Any]], absent: list[dict[str, Any]]) -> None:
    print(f"{folder}: {len(present)} weight files")
    for facts in present:
        size = f"{facts['bytes'] / 1e6:.1f} MB"
        print(f"  {facts['file']} ({size})")
        if facts["kind"] is None:
            print(f"    not used: {facts['unused']}")
            continue
        form = {True: "converted", False: "official; `e4s convert` makes it readable without PyTorch"}
        note = f", {form[facts['converted']]}" if "converted" in facts else ""
        print(f"    {facts['kind']}{note}")
        print(f"    enables: {facts['enables']}")
        print(f"    licence: {facts['licence']}")
    if absent:
        print("missing of the published pipeline:")
    for facts in absent:
        print(f"  {facts['file']} ({facts['kind']})")
        print(f"    would enable: {facts['enables']}")
        print(f"    from: {facts['from']}")
        print(f"    licence: {facts['licence']}")
