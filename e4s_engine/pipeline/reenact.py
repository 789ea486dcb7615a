"""Reenactment of aligned crops: a face takes the pose and expression of another (face-vid2vid at 256)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig
from e4s_engine.networks.facevid2vid.pose import Poses, read_poses
from e4s_engine.photo import warp
from e4s_engine.photo.align import CROP
from e4s_engine.photo.images import Pixels

Run = Callable[..., npt.NDArray[Any]]  # (network, function, arrays...) -> result, of a backend
Floats = npt.NDArray[np.float32]

_SIGMA, _TAPS = 1.5, 13  # of the Gaussian before a picture is shrunk to a quarter, as scikit-image has it


def poses(crop: Pixels, run: Run, config: FaceVid2VidConfig) -> Poses:
    """Estimate pose and expression of a crop's face. crop: uint8 [1024, 1024, 3]."""
    return read_poses(run("facevid2vid", "head_pose", _picture(crop)), config)


def reenact(crop: Pixels, own: Poses, wanted: Poses, run: Run) -> Pixels:
    """Return the face of a crop in a pose and with an expression of another's.

    crop: uint8 [1024, 1024, 3]. own, wanted: its pose and expression, and those to take. Returns uint8
    [256, 256, 3].
    """
    picture = _picture(crop)
    neutral = run("facevid2vid", "key_points", picture)
    moved = run("facevid2vid", "reenact", picture, own.place(neutral), wanted.place(neutral))[0]
    return (moved.clip(0, 1) * np.float32(255)).astype(np.uint8)  # cut off, as published


def _picture(crop: Pixels) -> Pixels:
    return to_uint8(shrunk(crop))[None]


def to_uint8(picture: Floats) -> Pixels:
    """Return a picture in 0..1 as 8 bits, rounded."""
    return np.rint(picture.clip(0, 1) * np.float32(255)).astype(np.uint8)


def shrunk(crop: Pixels) -> Floats:
    """Return a crop at a quarter of its size in 0..1, float32 [256, 256, 3], as scikit-image resizes."""
    assert crop.shape[0] == CROP
    offsets = np.arange(_TAPS) - _TAPS // 2
    taps = np.exp(-(offsets**2) / (2 * _SIGMA**2))
    picture = crop / 255
    for axis in (0, 1):
        picture = warp.separable(picture, taps / taps.sum(), axis)
        # Linear interpolation half-way between two pixels.
        picture = (picture.take(range(1, CROP, 4), axis) + picture.take(range(2, CROP, 4), axis)) / 2
    return np.asarray(picture, np.float32)
