"""Readers of label map and landmark files, for the command line."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine import regions
from e4s_engine.errors import AlignmentError, LabelsError
from e4s_engine.photo import images
from e4s_engine.photo.align import check_landmarks
from e4s_engine.photo.files import impostor, read_bounded, replacing
from e4s_engine.photo.opening import MAX_FILE_BYTES, open_picture

_MAX_SIDE = 8192
_MOST_LANDMARK_BYTES = 1 << 20
_FORMATS = ("PNG", "TIFF", "BMP", "GIF")  # lossless: lossy formats would invent labels


def read(path: str, convention: str = "regions", argument: str = "labels") -> regions.Labels:
    """Read a label map from a one-channel picture or `.npy`, as regions [h, w].

    convention: meaning of the values, "regions", "celebamask_hq" or "bisenet". Raises LabelsError.
    """
    try:
        labels = _load_npy(path) if path.endswith(".npy") else _load_picture(path)
    except Exception as error:  # NumPy and Pillow raise many kinds on damaged or hostile files
        raise LabelsError(
            f"{argument}: {path} cannot be read as a label map ({error}); expected a one-channel png or a npy"
        ) from error
    if labels.ndim != 2:
        raise LabelsError(
            f"{argument}: {path} has shape {list(labels.shape)}, expected one channel [h, w]; a coloured "
            "picture of labels does not do"
        )
    if convention == "regions":
        return regions.check_labels(labels, argument)
    return regions.check_labels(regions.from_19(labels, convention, argument), argument)


def write(labels: regions.Labels, path: str, argument: str = "labels") -> None:
    """Write a label map as `.npy` or as a picture; an existing file is never damaged. Raises OutputError."""
    if not path.endswith(".npy"):
        images.write(labels, path, argument)
        return
    with replacing(path, argument) as temporary:
        np.save(temporary, labels)


def _load_npy(path: str, most: int = 16 * _MAX_SIDE**2) -> npt.NDArray[Any]:
    if not Path(path).is_file():  # a pipe would block
        raise ValueError("not a regular file")
    with Path(path).open("rb") as opened:
        start = opened.read(1024)
    if not start.startswith(
        (b"\x93NUMPY", b"PK")
    ):  # np.load would take it for a pickle, and advise to run it
        raise ValueError(impostor(start) or "no file of np.save")
    with np.errstate(all="raise"):  # for a shape that overflows
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        array.close()
        raise ValueError("an archive of arrays, not an array")
    if max(array.shape, default=0) > _MAX_SIDE:
        raise ValueError(f"shape {list(array.shape)} is too large")
    if array.dtype.itemsize > 16 or array.nbytes > most:
        raise ValueError(f"{array.nbytes} bytes of {array.dtype} are too much")
    return np.array(array)


def _load_picture(path: str) -> npt.NDArray[Any]:
    data = read_bounded(path, MAX_FILE_BYTES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about large pictures: _MAX_SIDE is stricter
        picture = open_picture(data, "labels", path)
    with picture:
        if picture.format not in _FORMATS:
            raise ValueError(f"{picture.format} is not one of {', '.join(_FORMATS)}")
        if max(picture.size) > _MAX_SIDE:
            raise ValueError(f"{picture.size} pixels is too large")
        return np.array(picture)


def read_landmarks(path: str, argument: str = "landmarks") -> npt.NDArray[np.float64]:
    """Read landmarks [68, 2] or [5, 2]: `.json`, `.npy` or numbers as text. Raises AlignmentError.

    A line of `e4s faces --json`, which describes a face, is read as well.
    """
    try:
        if path.endswith(".npy"):
            points: Any = _load_npy(path, _MOST_LANDMARK_BYTES)
        elif path.endswith(".json"):
            points = _points(json.loads(read_bounded(path, _MOST_LANDMARK_BYTES)))
        else:
            text = read_bounded(path, _MOST_LANDMARK_BYTES).decode()
            lines = text.replace(",", " ").splitlines()
            points = [[float(word) for word in line.split()] for line in lines if line.strip()]
    except Exception as error:  # as above
        raise AlignmentError(
            f"{argument}: {path} cannot be read as landmarks ({error}); expected 68 or 5 lines of x y"
        ) from error
    return check_landmarks(points, argument)


def _points(value: Any) -> Any:
    return value["points"] if isinstance(value, dict) and "points" in value else value
