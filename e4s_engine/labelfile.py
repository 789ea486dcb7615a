"""Reading label maps and landmarks from files, for the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine import regions
from e4s_engine.align import check_landmarks
from e4s_engine.errors import AlignmentError, LabelsError

_MAX_SIDE = 8192


def read(path: str, convention: str = "regions", argument: str = "labels") -> regions.Labels:
    """A label map from a one-channel picture or `.npy`, as regions [h, w].

    convention: what the values mean, "regions", "celebamask_hq" or "bisenet". Raises LabelsError.
    """
    try:
        labels = _load_npy(path) if path.endswith(".npy") else _load_picture(path)
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise LabelsError(f"{argument}: {path} cannot be read as a label map ({error})") from error
    if labels.ndim != 2:
        raise LabelsError(
            f"{argument}: {path} has shape {list(labels.shape)}, expected one channel [h, w]; a coloured "
            "picture of labels does not do"
        )
    if convention == "regions":
        return regions.check_labels(labels, argument)
    return regions.check_labels(regions.from_19(labels, convention, argument), argument)


def _load_npy(path: str) -> npt.NDArray[Any]:
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    if max(mapped.shape, default=0) > _MAX_SIDE:
        raise ValueError(f"shape {list(mapped.shape)} is too large")
    return np.array(mapped)


def _load_picture(path: str) -> npt.NDArray[Any]:
    with Image.open(path) as picture:
        if max(picture.size) > _MAX_SIDE:
            raise ValueError(f"{picture.size} pixels is too large")
        return np.array(picture)


def read_landmarks(path: str, argument: str = "landmarks") -> npt.NDArray[np.float64]:
    """Landmarks [68, 2] or [5, 2] from `.json`, `.npy` or a text file of numbers. Raises AlignmentError."""
    try:
        if path.endswith(".npy"):
            points: Any = _load_npy(path)
        elif path.endswith(".json"):
            points = json.loads(Path(path).read_text(encoding="utf-8"))
        else:
            points = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise AlignmentError(f"{argument}: {path} cannot be read as landmarks ({error})") from error
    return check_landmarks(points, argument)
