"""The ledger of an unfinished file: what is being made of what, and which parts of it are done.

It lies in a folder beside the file, with the parts. Every step is on the disk before the next one counts on
it, so that a run may end at any moment.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e4s_engine.errors import OutputError, VideoError
from e4s_engine.marks.statement import ChangedFace, today
from e4s_engine.photo.files import check_writable, rename
from e4s_engine.video.joining import Piece

UNFINISHED = ".unfinished"  # ending of the folder
_FILE = "ledger.json"
_NEW = ".e4s-new"  # ending of a ledger that is being written
_VERSION = 1

Job = Mapping[str, Any]  # what the finished file depends on, as JSON


def folder_of(output: Path) -> Path:
    """Return the folder of the parts of an unfinished file."""
    return output.with_name(f"{output.name}{UNFINISHED}")


class Ledger:
    """Parts of one unfinished file. day: on which it was begun, as marks say it, however long it takes."""

    def __init__(self, output: Path, job: Job, resume: bool) -> None:
        """Begin a file, or go on with one. resume: whether to go on, if there is an unfinished one.

        Raises VideoError if one is there and `resume` is not set, or if it is being made of something else.
        """
        self.folder, self._job = folder_of(output), dict(job)
        self.pieces: list[Piece] = []
        self._hashes: list[str] = []
        self.day = today()
        held = self._read()
        if held is None:
            self._begin(check_writable(output, "output").parent)
        elif not resume:
            raise VideoError(
                f"output: {self.folder} holds an unfinished run; resume=True goes on with it, or "
                "delete the folder"
            )
        else:
            self._compare(held["job"])
            self.day = held["day"]
            self._take(held["parts"])

    @property
    def faces(self) -> Path:
        """File of the analysis."""
        return self.folder / "faces.npz"

    @property
    def frames(self) -> int:
        """Number of finished frames."""
        return sum(len(piece.times) for piece in self.pieces)

    def next_part(self) -> Path:
        """Return the path of the part to write."""
        return self.folder / f"{len(self.pieces):06d}.mp4"

    def add(self, piece: Piece) -> None:
        """Note a finished part."""
        self.pieces.append(piece)
        self._hashes.append(_hash(piece.path))
        self._write()

    def remove(self) -> None:
        """Delete the folder: the file is finished."""
        _sync_folder(self.folder.parent)  # the file's name first
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self, parent: Path) -> None:
        foreign = self.folder.exists() and (
            not self.folder.is_dir() or any(path.suffix != _NEW for path in self.folder.iterdir())
        )
        if foreign:
            raise VideoError(
                f"output: {self.folder} is in the way, and no ledger is in it; move or delete it"
            )
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"output: cannot write in {parent}: {error.strerror}") from error
        self._write()

    def _read(self) -> dict[str, Any] | None:
        try:
            held = json.loads((self.folder / _FILE).read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return held if isinstance(held, dict) and held.get("version") == _VERSION else None

    def _compare(self, job: Job) -> None:
        mine = json.loads(json.dumps(self._job))
        different = sorted(key for key in {*mine, *job} if mine.get(key) != job.get(key))
        if different:
            was = "; ".join(f"{key} {_short(job.get(key))}, now {_short(mine.get(key))}" for key in different)
            raise VideoError(
                f"resume: the unfinished run was of something else ({was}); give what it was, or delete "
                f"{self.folder}"
            )

    def _take(self, parts: list[dict[str, Any]]) -> None:
        """Take the parts that are whole; those after a damaged one are made again."""
        for number, part in enumerate(parts):
            path = self.folder / f"{number:06d}.mp4"
            if not path.is_file() or _hash(path) != part["sha256"]:
                break
            changed = {face["track"]: _face(face) for face in part.get("changed", ())}
            self.pieces.append(Piece(path, part["times"], changed))
            self._hashes.append(part["sha256"])

    def _write(self) -> None:
        parts = [
            {
                "times": list(piece.times),
                "sha256": sha,
                "changed": [{"track": i} | dataclasses.asdict(face) for i, face in piece.changed.items()],
            }
            for piece, sha in zip(self.pieces, self._hashes, strict=True)
        ]
        text = json.dumps({"version": _VERSION, "day": self.day, "job": self._job, "parts": parts})
        path, new = self.folder / _FILE, self.folder / f"{_FILE}{_NEW}"
        try:
            with new.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            rename(new, path)
            _sync_folder(self.folder)
        except OSError as error:
            raise OutputError(f"output: cannot write {path}: {error.strerror}") from error


def _face(held: dict[str, Any]) -> ChangedFace:
    box, regions = tuple(held["box"]), tuple(held["regions"])
    return ChangedFace(regions, box, held["reenacted"], held["restored"])


def content(path: Path) -> str:
    """Return what tells a clip from a changed one: a file's content, or a folder's names, sizes and times."""
    if path.is_file():
        return _hash(path)
    files = sorted((path if path.is_dir() else path.parent).iterdir())
    listed = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:36]}..."


def _sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
