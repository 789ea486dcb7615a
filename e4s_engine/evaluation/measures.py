"""What is measured of one swap without any further network."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from e4s_engine.photo import match
from e4s_engine.photo.images import Pixels
from e4s_engine.regions import Labels, Mask

Vector = npt.NDArray[np.float64]

# What is measured of a pair, and whether more of it is better.
MEASURES = {
    "identity_source": True, "identity_target": False, "rank": False, "pose": False, "expression": False,
    "colour_source": False, "colour_target": False, "sharpness": True, "changed": False, "leak": False,
    "seconds": False,
}  # fmt: skip

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
_FEW = 16  # label pixels of a region below which its colour is not measured


def leak(target: Pixels, result: Pixels, changed: Mask) -> int:
    """Return the largest difference of any channel where nothing was pasted, 0 to 255; 0 is right."""
    outside = ~changed
    if not outside.any():
        return 0
    return int(np.abs(result[outside].astype(np.int16) - target[outside]).max())


def sharpness(target: Pixels, result: Pixels, changed: Mask) -> float | None:
    """Return the result's mean squared gradient of the luma over the target's, where the face was pasted.

    1 is as sharp as the target's own face. None where nothing was pasted or the target is flat.
    """
    energies = [_gradient(picture)[changed].mean() if changed.any() else 0 for picture in (result, target)]
    return float(energies[0] / energies[1]) if energies[1] > 0 else None


def colour(
    result: tuple[Pixels, Labels], other: tuple[Pixels, Labels], regions: Iterable[int]
) -> float | None:
    """Return how far regions' mean colours are apart in Oklab, times 100, mean over regions that both show.

    result, other: aligned crops uint8 [1024, 1024, 3] and their labels. 2 is just noticeable side by side.
    None if no region is shown by both.
    """
    differences = []
    for region in regions:
        means = [_mean(*side, region) for side in (result, other)]
        if means[0] is not None and means[1] is not None:
            differences.append(100 * float(np.linalg.norm(means[0] - means[1])))
    return float(np.mean(differences)) if differences else None


def cosine(a: Vector, b: Vector) -> float:
    """Return the cosine of the angle between two vectors; 0 if one of them is 0."""
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b / lengths) if lengths else 0.0


def _mean(crop: Pixels, labels: Labels, region: int) -> Vector | None:
    where = labels == region
    if where.sum() < _FEW:
        return None
    step = len(crop) // len(labels)
    return np.asarray(match.to_oklab(crop[::step, ::step][where]).mean(0), np.float64)


def _gradient(picture: Pixels) -> npt.NDArray[np.float32]:
    rows, columns = np.gradient(picture.astype(np.float32) @ _LUMA)
    return np.asarray(rows**2 + columns**2, np.float32)
