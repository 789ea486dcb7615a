"""Measured tiles on disk: those that the package includes for an architecture, and those of `tune.py`.

The latter are cached under the card's name and hold for one version of the kernels and of Triton.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import re
from pathlib import Path
from typing import Any

from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.kernels import language, tiles
from e4s_engine.kernels.launch import Tile
from e4s_engine.kernels.tiles import Block, Problem
from e4s_engine.photo.files import replacing

logger = logging.getLogger("e4s_engine")

FORMAT = 1
_KERNELS = ("conv2d", "regional_conv", "transposed", "patches", "winograd")


def file_of(card: str, folder: Path | None = None) -> Path:
    """Return the path of a card's tiles."""
    name = re.sub(r"[^a-z0-9]+", "-", card.lower()).strip("-")
    return (folder or compiling.cache_folder()) / f"tiles-{name}.json"


def shipped(arch: int) -> dict[Problem, Block | None]:
    """Return the tiles that the package includes for an architecture; empty if none were measured."""
    path = Path(__file__).with_name(f"tiles_sm{arch}.json")
    return _table(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def _table(content: Any) -> dict[Problem, Block | None]:
    return {_problem(entry["problem"]): _block(entry["block"]) for entry in content["tiles"]}


def load(card: str, folder: Path | None = None) -> dict[Problem, Block | None]:
    """Read the tiles measured on such a card; empty if there are none or another version measured them."""
    path = file_of(card, folder)
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["version"] != _version():
            logger.info("tiles: %s are of another version, taking the defaults", path)
            return {}
        return _table(content)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        logger.warning("tiles: %s cannot be read (%s), taking the defaults; tune again", path, error)
        return {}


def save(card: str, table: tiles.Table, folder: Path | None = None) -> None:
    """Write a card's tiles."""
    path = file_of(card, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    listed = [
        {"problem": dataclasses.asdict(p), "block": dataclasses.asdict(b) if b else None}
        for p, b in table.items()
    ]
    content = {"version": _version(), "card": card, "tiles": listed}
    with replacing(path, "kernel cache") as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _version() -> list[Any]:
    sources = "".join(compiling.source_hash(kernel) for kernel in _KERNELS)
    return [FORMAT, language.VERSION, hashlib.sha256(sources.encode()).hexdigest()[:16]]


def _problem(fields: dict[str, Any]) -> Problem:
    problem = Problem(**fields)
    numbers = (problem.rows, problem.columns, problem.depth, problem.batch)
    if not all(isinstance(n, int) and n > 0 for n in numbers):
        raise ValueError(f"impossible product {fields}")
    return problem


def _block(fields: dict[str, Any] | None) -> Block | None:
    if fields is None:
        return None
    block = Block(fields["m"], fields["n"], fields["k"], Tile(**fields["tile"]), fields["split"])
    sides = (block.m, block.n, block.k, block.tile.warps)
    whole = all(isinstance(side, int) and side > 0 and side & (side - 1) == 0 for side in sides)
    if not whole or max(sides) > 256 or min(sides[:3]) < 16 or block.tile.stages not in range(1, 9):
        raise ValueError(f"impossible tile {fields}")
    return block
