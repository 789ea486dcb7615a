"""Sharpness of a face's regions, to choose between photos of one person."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from e4s_engine import regions
from e4s_engine.photo import images
from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Labels

_DARK = 16.0  # grey levels added to a region's mean, so that dark ones are not all noise


def of_regions(crop: Pixels, labels: Labels) -> npt.NDArray[np.float32]:
    """Return how sharp each region of an aligned crop is, float32 [12]; 0 for regions that it does not show.

    The measure is the mean absolute Laplacian of the grey crop at 512 pixels, relative to the region's mean
    grey, so that exposure counts little. It compares one region between photos, not regions with each other.

    crop: uint8 [1024, 1024, 3]. labels: uint8 [512, 512].
    """
    small = images.resize(crop, regions.LABEL_SIZE, regions.LABEL_SIZE, Image.Resampling.BOX)
    grey = small.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    padded = np.pad(grey, 1, mode="edge")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    count = np.bincount(labels.ravel(), minlength=regions.COUNT)
    change = np.bincount(labels.ravel(), np.abs(4 * grey - around).ravel(), regions.COUNT)
    light = np.bincount(labels.ravel(), grey.ravel(), regions.COUNT)
    return (change / np.maximum(light + _DARK * count, 1)).astype(np.float32)
