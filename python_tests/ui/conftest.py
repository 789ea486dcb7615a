"""An engine whose parser sees the same face in every picture, so that pictures of noise have regions."""

from __future__ import annotations

import pytest
from api_tools import LABELS

from e4s_engine.engine import Engine
from e4s_engine.ui import photos


@pytest.fixture(autouse=True, scope="session")
def small_people():
    """Let rendered people be small: their time goes with their size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photos, "RENDERED", 96)
        yield


@pytest.fixture(scope="session")
def engine(tiny_weights):
    return Engine(tiny_weights / "model.safetensors", parser=lambda _: LABELS, landmarks=None, device="cpu")
