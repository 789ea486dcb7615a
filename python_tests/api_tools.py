"""Pictures and helpers of the tests of the public calls; the fixture `face` is in conftest.py."""

from __future__ import annotations

import numpy as np
import pytest

from e4s_engine.errors import E4SError
from e4s_engine.testing.portraits import portrait

SIDE = 96
LABELS = portrait(0)[1]
A, B, C = (np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8) for seed in range(3))
WIDE = np.zeros((64, 96, 3), np.uint8)
FIVE = np.array([[38, 40], [58, 40], [48, 52], [40, 62], [56, 62]], float)


def refused(error, call, *words):
    with pytest.raises(E4SError) as caught:
        call()
    assert type(caught.value) is error, repr(caught.value)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    return message
