"""Swaps into photos as people have them: the saved file differs where a face was pasted, nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from faces_tools import needs_dlib, needs_yunet

from e4s_engine import Engine, Face
from e4s_engine.photo import images

pytestmark = [needs_dlib, needs_yunet]

# A group, a face cut by the edge, alpha, a mirrored EXIF orientation, 16 bits of grey, tilted, upside down.
PHOTOS = {
    "b07_beach_family.jpg": 4, "a06_cut_by_edge.jpg": 1, "i02_scratched.png": 2, "z02_exif7_mirrored.jpg": 1,
    "z04_grey16.png": 1, "z06_rotated_35.jpg": 1, "z07_upside_down.webp": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def demo() -> Engine:
    return Engine()


@pytest.fixture(scope="module")
def person(demo: Engine, photos: Path) -> Face:
    """Return the person of the photo `source.jpg`."""
    return demo.encode(photos / "source.jpg")


@pytest.mark.parametrize("name", PHOTOS)
def test_all_that_is_not_pasted_stays(
    demo: Engine, person: Face, photos: Path, tmp_path: Path, name: str
) -> None:
    photo = photos / "wild" / name
    result = demo.swap(person, photo, faces="all")
    assert len(result.faces) == PHOTOS[name]
    result.save(tmp_path / "out.png")
    before, after = images.read(photo), images.read(tmp_path / "out.png")
    changed = (before != after).any(axis=2)
    assert 0.01 < np.mean(changed) < 0.6
    assert not (changed & ~result.changed).any()
