"""Files of detectors: in a folder of the caller's, or inside an installed package, which is not imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def inside(package: str, *parts: str) -> Path | None:
    """Return a file inside an installed top-level package; None if it is not there."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        file = Path(folder, *parts)
        if file.is_file():
            return file
    return None


def beside(folder: Path | None, name: str) -> Path | None:
    """Return a file of this name in a folder; None if there is none."""
    file = folder / name if folder else None
    return file if file is not None and file.is_file() else None
