"""Folders of weight files: each file recognised by its content, whatever its name."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path

from e4s_engine.errors import WeightsError
from e4s_engine.networks import registry
from e4s_engine.weights.files import SUFFIXES, kind_of_file

DEPTH = 4  # levels of folders that are looked through: the authors' tree has three
MOST_FILES = 200  # weight files that are looked at


@dataclasses.dataclass(frozen=True)
class Found:
    """A weight file in a folder.

    kind: kind of its network; None for a file that is none of the registry's. note: why it is not used, if
    it is not.
    """

    file: Path
    kind: str | None
    note: str = ""

    @property
    def converted(self) -> bool:
        """Whether it is a converted file, which needs no PyTorch."""
        return self.file.suffix == ".safetensors"


def is_folder(path: object) -> bool:
    """Return whether a path names a folder. Anything that is no path at all does not."""
    try:
        # An empty name would be the present folder.
        return (
            isinstance(path, (str, os.PathLike)) and os.fspath(path) not in ("", b"") and Path(path).is_dir()
        )
    except (OSError, ValueError):
        return False


def survey(folder: str | os.PathLike[str], argument: str = "weights") -> list[Found]:
    """Look at every weight file in a folder and the folders in it. Raises WeightsError for too many."""
    return [_look(file, argument) for file in _files(Path(folder), argument)]


def chosen(found: Iterable[Found], argument: str) -> dict[str, Path]:
    """Return one file per kind of network; of a converted file and its original, the converted one.

    Raises WeightsError where two files of a kind are equally good.
    """
    files: dict[str, list[Found]] = {}
    for one in found:
        if one.kind is not None:
            files.setdefault(one.kind, []).append(one)
    best = {kind: [one for one in some if one.converted] or some for kind, some in files.items()}
    for kind, some in best.items():
        if len(some) > 1:
            names = " and ".join(str(one.file) for one in some[:3])
            raise WeightsError(
                f"{argument}: {names} are both weights of kind {kind!r}; keep one of them in the folder, or "
                "name a file instead of the folder"
            )
    return {kind: some[0].file for kind, some in best.items()}


def named(folder: Path, name: str) -> Path | None:
    """Return a file of this name in a folder or the folders in it: its format tells nothing itself."""
    return next((Path(place, name) for place, _, names in _walk(folder) if name in names), None)


def _look(file: Path, argument: str) -> Found:
    try:
        return Found(file, kind_of_file(file, argument))
    except WeightsError as error:
        return Found(file, None, str(error).removeprefix(f"{argument}: ").removeprefix(f"{file} "))


def _files(folder: Path, argument: str) -> list[Path]:
    files: list[Path] = []
    for place, _, names in _walk(folder):
        files += [
            Path(place, name) for name in names if Path(name).suffix in SUFFIXES and not name.startswith(".")
        ]
        if len(files) > MOST_FILES:
            raise WeightsError(
                f"{argument}: {folder} holds more than {MOST_FILES} weight files; put those of this pipeline "
                "into a folder of their own"
            )
    return sorted(files)


def _walk(folder: Path) -> Iterable[tuple[str, list[str], list[str]]]:
    """Walk through a folder, a few levels deep. Folders that cannot be read count as empty."""
    for place, folders, names in os.walk(folder):
        if len(Path(place).relative_to(folder).parts) >= DEPTH:
            folders.clear()
        yield place, folders, names


def known() -> list[str]:
    """Return the kinds of networks that authors publish weights of, in the order of the registry."""
    return [kind for kind, network in registry.NETWORKS.items() if network.published is not None]
