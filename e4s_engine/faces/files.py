"""Files of detectors: in a folder of the caller's, or inside an installed package, which is not imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from e4s_engine.errors import ArgumentError, BackendError
from e4s_engine.photo.files import impostor

INSTALL = "pip install e4s_engine[faces]"


def installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def model(file: Path | None, argument: str, name: str, package: str, title: str) -> Path:
    """Return a detector's model file, if it and the package that runs it are there.

    file: path of the model, None if it was not found. argument: what callers call it. name: its usual name.
    package, title: the package that runs it, and its name for people. Raises BackendError, ArgumentError.
    """
    if file is None or not installed(package):
        missing = f"{title} is not installed" if file else f"{name} is missing"
        raise BackendError(f"landmarks: {missing}; `{INSTALL}` brings both")
    if not file.is_file():
        raise ArgumentError(f"{argument}: {file} does not exist; expected {name}")
    with file.open("rb") as opened:
        wrong = impostor(opened.read(1024))
    if wrong:
        raise ArgumentError(f"{argument}: {file} is {wrong}")
    return file


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
