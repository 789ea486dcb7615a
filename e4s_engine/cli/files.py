"""Label and landmark files that commands read, and checks before any work."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from e4s_engine.cli.targets import Target
from e4s_engine.errors import ArgumentError
from e4s_engine.weights import facefile

if TYPE_CHECKING:
    from e4s_engine.engine import Engine
    from e4s_engine.pipeline.located import Portrait
    from e4s_engine.result import Face

_LABELS = (".png", ".npy", ".tif", ".tiff", ".bmp", ".gif")
_LANDMARKS = (".json", ".npy", ".txt")


def check_regions(regions: Sequence[str] | None) -> None:
    """Raise RegionError for a name that is no region."""
    from e4s_engine.regions import region_ids

    region_ids(regions or (), "--regions")


def target_labels(arguments: Namespace, targets: Sequence[Target]) -> Iterator[Any] | None:
    """Return the label maps of the targets, which are read one by one; all are checked before."""
    paths = _per_target(arguments.target_labels, targets, "--target-labels", _LABELS)
    for path in paths:
        read_labels(path, arguments, "--target-labels")
    return (read_labels(path, arguments, "--target-labels") for path in paths) if paths else None


def target_landmarks(arguments: Namespace, targets: Sequence[Target]) -> list[Any] | None:
    """Return the landmarks of the targets."""
    paths = _per_target(arguments.target_landmarks, targets, "--target-landmarks", _LANDMARKS)
    return [read_landmarks(path, "--target-landmarks") for path in paths] or None


def _per_target(
    path: str | None, targets: Sequence[Target], argument: str, suffixes: Sequence[str]
) -> list[str]:
    """Return a file for every target, from a folder in which files are named after photos; [] for no folder.

    For sub/b.jpg it is sub/b.jpg.json or sub/b.json, say. A single target may have the file itself.
    """
    if path is None:
        return []
    folder = Path(path)
    if not folder.is_dir():
        if len(targets) > 1:
            raise ArgumentError(
                f"{argument}: {path} is one file for {len(targets)} targets; give a folder with a file for "
                "every photo, named after it"
            )
        return [path] * len(targets)
    found: list[str] = []
    for target in targets:
        names = [target.place.name + suffix for suffix in suffixes]
        names += [target.place.stem + suffix for suffix in suffixes]
        files = (folder / target.place.parent / name for name in names)
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            wanted = ", ".join(target.place.stem + suffix for suffix in suffixes[:3])
            raise ArgumentError(f"{argument}: {folder} holds no file for {target.photo}; expected {wanted}")
        found.append(str(file))
    return found


def person(
    engine: Engine, path: str, argument: str, labels: Any = None, landmarks: Any = None, **how: Any
) -> Portrait | Face:
    """Read a source: a photo, as `Engine.portrait` does, or a saved face, which needs nothing beside it."""
    if not facefile.is_saved(path):
        return engine.portrait(path, labels, landmarks=landmarks, argument=argument, **how)
    if labels is not None or landmarks is not None or how.get("face", "largest") != "largest":
        raise ArgumentError(
            f"{argument}: {path} is a saved face, one person with labels of its own; leave out the flags for "
            "its labels, its landmarks and its faces"
        )
    from e4s_engine.result import Face

    return Face.load(path, argument)


def read_labels(path: str | None, arguments: Namespace, argument: str) -> Any:
    """Read a label file in the convention that the flags say; None stays None."""
    from e4s_engine.photo import labelfile

    return None if path is None else labelfile.read(path, arguments.label_format, argument)


def read_landmarks(path: str | None, argument: str) -> Any:
    """Read a landmark file; None stays None."""
    from e4s_engine.photo import labelfile

    return None if path is None else labelfile.read_landmarks(path, argument)
