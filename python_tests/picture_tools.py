"""A small picture, its file, and the check that an image is refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from e4s_engine.errors import ImageError
from e4s_engine.photo import images

ROWS, COLUMNS = np.indices((40, 52))
PIXELS = np.stack([ROWS * 6, COLUMNS * 4, ROWS + COLUMNS], axis=2).astype(np.uint8)
GREY = PIXELS[:, :, 0]
GREY_AS_RGB = np.repeat(GREY[:, :, None], 3, axis=2)
RGBA = np.dstack([PIXELS, np.full(GREY.shape, 90, np.uint8)])


def encoded(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


PNG = encoded(Image.fromarray(PIXELS), "PNG")


def rejected(image, *words, argument="source"):
    with pytest.raises(ImageError) as caught:
        images.read(image, argument)
    message = str(caught.value)
    assert message.startswith(f"{argument}: "), message
    for word in words:
        assert word in message
    return message
