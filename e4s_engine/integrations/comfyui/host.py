"""Everything that is asked of ComfyUI itself: folders, progress, and whether the user has cancelled."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from e4s_engine.errors import WeightsError

DEMO = "bundled demo model"
FOLDER = "e4s"
_SUFFIXES = (".safetensors", ".pt")


def add_models_folder() -> None:
    """Tell ComfyUI of `models/e4s`; `extra_model_paths.yaml` may name further folders under `e4s`."""
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))


def weights() -> list[str]:
    """Return the names of the models that may be chosen: the bundled one, files, and folders of files."""
    names = {name for folder in _folders() if folder.is_dir() for name in _inside(folder)}
    return [DEMO, *sorted(names)]


def find_weights(name: str) -> Path | None:
    """Return the file or folder of a model, None for the bundled one. Raises WeightsError if it is gone."""
    if name == DEMO:
        return None
    for folder in _folders():
        if name in _inside(folder):
            return folder / name
    places = ", ".join(map(str, _folders()))
    raise WeightsError(f"weights: {name} is not in {places}; put it there, or choose another")


def fingerprint(name: str) -> str:
    """Return a text that changes when a model's files do."""
    path = find_weights(name)
    if path is None:
        return name
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    facts = ((file.name, file.stat()) for file in files)
    return " ".join(f"{file}:{status.st_size}:{status.st_mtime_ns}" for file, status in facts)


def report(finished: int, total: int) -> None:
    """Show progress on the node that runs. Raises ComfyUI's own exception if the user has cancelled."""
    from comfy.model_management import throw_exception_if_processing_interrupted
    from comfy.utils import ProgressBar

    throw_exception_if_processing_interrupted()
    ProgressBar(total).update_absolute(finished)


def _folders() -> list[Path]:
    return [Path(path) for path in folder_paths.get_folder_paths(FOLDER)]


def _inside(folder: Path) -> list[str]:
    """Return the names of models in a folder; none if there is no such folder."""
    if not folder.is_dir():
        return []
    return [path.name for path in folder.iterdir() if path.is_dir() or path.suffix in _SUFFIXES]
