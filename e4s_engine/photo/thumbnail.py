"""Thumbnails: a small picture of an aligned crop, for people to tell saved Faces apart."""

from __future__ import annotations

import io

from PIL import Image

from e4s_engine.photo import images
from e4s_engine.photo.images import Pixels

SIDE = 128
_QUALITY = 85


def of(crop: Pixels) -> bytes:
    """Return an aligned crop uint8 [S, S, 3] as a JPEG of 128 x 128 pixels, some 5 kB."""
    buffer = io.BytesIO()
    small = images.resize(crop, SIDE, SIDE, Image.Resampling.LANCZOS)
    Image.fromarray(small).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
