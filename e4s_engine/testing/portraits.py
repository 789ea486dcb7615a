"""Stand-ins for aligned photos, for timing and for tests that do not depend on their content."""

from __future__ import annotations

from typing import Any

import numpy as np

from e4s_engine import regions
from e4s_engine.photo.align import CROP


def portrait(seed: int) -> tuple[Any, Any]:
    """Draw a stand-in for an aligned photo and its labels: noise over concentric face-like regions."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (CROP, CROP, 3), dtype=np.uint8)
    rows, columns = np.indices((regions.LABEL_SIZE, regions.LABEL_SIZE)) / regions.LABEL_SIZE - 0.5
    labels = np.zeros(rows.shape, np.uint8)
    shift = 0.01 * seed
    ellipses = [
        (regions.HAIR, 0, 0, 0.45, 0.36), (regions.NECK, 0.42, 0, 0.2, 0.16),
        (regions.SKIN, 0.05, 0, 0.32, 0.25),
        (regions.EYEBROWS, -0.08, -0.1, 0.02, 0.07), (regions.EYEBROWS, -0.08, 0.1, 0.02, 0.07),
        (regions.EYES, -0.02, -0.1, 0.02, 0.05), (regions.EYES, -0.02, 0.1, 0.02, 0.05),
        (regions.NOSE, 0.08, 0, 0.09, 0.04), (regions.LIPS, 0.22, 0, 0.05, 0.1),
        (regions.MOUTH, 0.22, 0, 0.02, 0.07),
    ]  # fmt: skip
    for region, y, x, height, width in ellipses:
        inside = ((rows - y - shift) / height) ** 2 + ((columns - x + shift) / width) ** 2 < 1
        labels[inside] = region
    return image, labels
