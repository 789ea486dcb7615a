"""The folder of an evaluation: what is done already, so that one that was cut off goes on."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from e4s_engine.errors import OutputError
from e4s_engine.evaluation.measures import Vector
from e4s_engine.photo.files import replacing

Row = dict[str, Any]

_FACTS, _ROWS = "evaluation.json", "pairs.jsonl"


class Journal:
    """Rows of finished pairs, their vectors and pictures, in a folder."""

    def __init__(self, folder: Path, facts: Mapping[str, Any], overwrite: bool = False) -> None:
        """Open a folder, or make it. Failed pairs of an earlier run are forgotten, to be tried again.

        facts: all that decides the results; a folder with other facts is another evaluation's.
        overwrite: whether such a folder may be begun anew.

        Raises OutputError for another evaluation's folder, or one that cannot be written.
        """
        self.folder = folder
        wanted = json.loads(json.dumps(facts))
        try:
            for inner in ("swaps", "vectors"):
                (folder / inner).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"--output: cannot make the folder {folder}: {error.strerror}") from error
        known = _json(folder / _FACTS)
        if known is not None and known != wanted and not overwrite:
            other = next(key for key in {**wanted, **known} if wanted.get(key) != known.get(key))
            raise OutputError(
                f"--output: {folder} holds another evaluation ({other} differs); choose another folder, or "
                "pass --overwrite to begin anew"
            )
        self.rows = {} if overwrite or known is None else _good_rows(folder / _ROWS)
        self._write(_FACTS, json.dumps(wanted, indent=1))
        self._write(_ROWS, "".join(json.dumps(row) + "\n" for row in self.rows.values()))

    def picture(self, number: int) -> Path:
        """Return the file of a pair's swap."""
        return self.folder / "swaps" / f"{number:05}.png"

    def add(self, row: Row, vectors: Mapping[str, Vector]) -> None:
        """Remember a pair; from here on it is done."""
        if vectors:
            with replacing(self._vectors(row["number"])) as temporary:
                arrays: dict[str, Any] = {name: vector.astype(np.float32) for name, vector in vectors.items()}
                np.savez(temporary, **arrays)
        with (self.folder / _ROWS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self.rows[row["number"]] = row

    def vectors(self, number: int) -> dict[str, Vector]:
        """Return a pair's vectors by name; none if no judge gave any."""
        file = self._vectors(number)
        if not file.is_file():
            return {}
        with np.load(file) as stored:
            return {name: stored[name].astype(np.float64) for name in stored.files}

    def finish(self, columns: Sequence[str], summary: Mapping[str, Any]) -> None:
        """Write the rows as `pairs.csv` and the summary as `summary.json`."""
        self._write("summary.json", json.dumps(summary, indent=1) + "\n")
        with (
            replacing(self.folder / "pairs.csv") as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            table = csv.DictWriter(file, columns, restval="")
            table.writeheader()
            table.writerows(self.rows[number] for number in sorted(self.rows))

    def _vectors(self, number: int) -> Path:
        return self.folder / "vectors" / f"{number:05}.npz"

    def _write(self, name: str, text: str) -> None:
        with replacing(self.folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _good_rows(path: Path) -> dict[int, Row]:
    """Return finished rows by number; a last line that was cut off, and failed pairs, are left out."""
    rows: dict[int, Row] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if not row["error"]:
            rows[row["number"]] = row
    return rows
