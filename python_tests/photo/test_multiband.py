"""Multi-band blends: the default leaves no halo, the published number of levels keeps its name."""

from __future__ import annotations

import numpy as np

from e4s_engine.photo import blend
from e4s_engine.photo.align import CROP, Crop
from e4s_engine.pipeline.compose import Composed
from e4s_engine.pipeline.generate import Generated
from e4s_engine.pipeline.paste import paste


def test_no_halo_round_a_pale_face_before_a_dark_background() -> None:
    """A face of 220 before a background of 30: what lies 8 label pixels outside stays within 8 of 255."""
    rows, columns = np.indices((512, 512))
    foreground = np.hypot(rows - 256, columns - 256) < 140
    far = np.repeat(np.repeat(np.hypot(rows - 256, columns - 256) > 148, 2, 0), 2, 1)
    face, photo = (np.full((CROP, CROP, 3), value, np.uint8) for value in (220, 30))
    composed = Composed(foreground.astype(np.uint8), ~foreground, foreground, np.zeros((12, 4), np.float32))

    crop = Crop(photo, photo, None)

    def change(mode: str) -> int:
        image = paste(crop, Generated(face, face), composed, blend.alpha(foreground, mode), mode).image
        return int(np.abs(image.astype(int) - photo)[far].max())

    assert change("multiband") <= 8
    assert change("multiband10") > 16
    ten = blend.multiband(face, photo, foreground)
    np.testing.assert_array_equal(ten, blend.multiband(face, photo, foreground, 10))
    assert "multiband10" in blend.MODES
