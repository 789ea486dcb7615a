"""Lists of pairs to evaluate: CSV files, and the splits of FaceForensics++."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from e4s_engine.errors import ArgumentError
from e4s_engine.photo import opening
from e4s_engine.regions import region_ids

_COLUMNS = ("source", "target", "regions", "name")
FRAMES = 10  # of every video, as swaps of FaceForensics++ are compared in the literature


@dataclasses.dataclass(frozen=True)
class Pair:
    """A source, a target, and the regions to swap; None: the whole face. number: its place in the list."""

    number: int
    name: str
    source: Path
    target: Path
    regions: str | None = None


def read(
    path: Path, frames: Path | None = None, per_video: int = FRAMES, argument: str = "PAIRS"
) -> list[Pair]:
    """Read a list of pairs.

    path: a CSV file with a header and the columns source and target, which are paths from the file's folder,
        and perhaps regions (names with commas; none: the whole face) and name; or a split of
        FaceForensics++ (`train.json`, `val.json`, `test.json`).
    frames: folder with a folder of frames for every video of a split, `frames/012/*.png`.
    per_video: number of frames of a video that are swapped, evenly spaced.
    argument: the list's name in errors.

    Raises ArgumentError, which names the line; RegionError for unknown regions.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentError(f"{argument}: cannot read {path}: {error}") from error
    split = path.suffix.lower() == ".json"
    if split != (frames is not None):
        wanted = "needs --frames, the folder of its videos' frames" if split else "takes no --frames"
        raise ArgumentError(f"{argument}: {path} {wanted}")
    pairs = list(
        _of_split(path, text, frames, per_video, argument) if frames else _of_table(path, text, argument)
    )
    if not pairs:
        raise ArgumentError(f"{argument}: {path} lists no pairs")
    return pairs


def _of_table(path: Path, text: str, argument: str) -> Iterator[Pair]:
    table = csv.DictReader(text.splitlines())
    header = [name.strip() for name in table.fieldnames or ()]
    unknown = [name for name in header if name not in _COLUMNS]
    if unknown or not {"source", "target"} <= set(header) or len(set(header)) < len(header):
        raise ArgumentError(
            f"{argument}: {path}: expected a header with source and target, and perhaps regions and name, "
            f"got {','.join(header) or 'nothing'}"
        )
    table.fieldnames = header
    names: set[str] = set()
    for number, row in enumerate(table):
        line = f"{path}, line {table.line_num}"
        if None in row or None in row.values():
            raise ArgumentError(f"{argument}: {line}: expected {len(header)} values (quote lists of regions)")
        cells = {key: value.strip() for key, value in row.items()}
        if not cells["source"] or not cells["target"]:
            raise ArgumentError(f"{argument}: {line}: source and target must not be empty")
        regions = cells.get("regions") or None
        region_ids(regions or (), f"{argument}: {line}: regions")
        name = cells.get("name") or f"{number:05}"
        if name in names:
            raise ArgumentError(f"{argument}: {line}: the name {name!r} is taken by another pair")
        names.add(name)
        yield Pair(number, name, path.parent / cells["source"], path.parent / cells["target"], regions)


def _of_split(path: Path, text: str, frames: Path, per_video: int, argument: str) -> Iterator[Pair]:
    """Yield frame i of a video into frame i of another, both ways, as FaceForensics++ pairs them."""
    try:
        listed = [(str(first), str(second)) for first, second in json.loads(text)]
    except (ValueError, TypeError) as error:
        raise ArgumentError(
            f"{argument}: {path}: expected a JSON list of pairs of videos: {error}"
        ) from error
    number = 0
    for first, second in listed:
        for source, target in ((first, second), (second, first)):
            sides = [_spread(frames / video, per_video) for video in (source, target)]
            for index, (one, other) in enumerate(zip(*sides, strict=False)):
                yield Pair(number, f"{target}_{source}_{index}", one, other)
                number += 1


def _spread(folder: Path, count: int) -> list[Path]:
    """Return frames of a video, evenly spaced in the order of their names."""
    names = folder.iterdir() if folder.is_dir() else ()
    found = sorted(file for file in names if file.suffix.lower() in opening.SUFFIXES)
    if not found:
        raise ArgumentError(
            f"--frames: {folder} holds no pictures; expected a folder of frames for every video"
        )
    count = min(count, len(found))
    return [found[(2 * i + 1) * len(found) // (2 * count)] for i in range(count)]
