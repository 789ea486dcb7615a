"""Photos and helpers of the tests of `e4s`; the fixtures `here`, `e4s` and `fails` are in conftest.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from e4s_engine.photo import images
from e4s_engine.testing.portraits import portrait

SIDE = 96
LABELS = portrait(0)[1]
FIVE = [[38, 40], [58, 40], [48, 52], [40, 62], [56, 62]]
SWAP = ["swap", "a.png", "b.png", "-o", "out.png"]


def write_photos() -> None:
    """Write photos into this folder: a.png to c.png, wide.png, bad.png; labels and landmarks."""
    for seed, name in enumerate("abc"):
        noise = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        images.write(noise, f"{name}.png")
    images.write(np.full((64, 96, 3), 90, np.uint8), "wide.png")
    Path("bad.png").write_bytes(Path("a.png").read_bytes()[:500])
    np.save("labels.npy", LABELS)
    images.write(LABELS, "labels.png")
    Path("five.json").write_text(json.dumps(FIVE))


def done(outcome):
    code, _, err = outcome
    assert (code, err) == (0, "")
