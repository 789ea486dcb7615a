"""Swaps that generate only what they paste: the same pictures, and a face that is completed on request."""

from __future__ import annotations

import copy
import dataclasses
import gc
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from e4s_engine import regions
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, ClosedError
from e4s_engine.photo import blend
from e4s_engine.testing.portraits import portrait

(A, A_LABELS), (B, B_LABELS) = portrait(0), portrait(1)
KNOWN = {"source_labels": A_LABELS, "target_labels": B_LABELS}
POINTS = np.array([[380, 470], [640, 470], [510, 600], [410, 720], [610, 720]], float)


class Blackened:
    """A backend whose pixels outside the boxes are as wrong as can be; it counts what it is asked for."""

    def __init__(self, backend: Any) -> None:
        self._backend, self.boxes, self.whole = backend, [], 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def run(self, network: str, function: str, *arrays: Any, boxes: Any = None) -> Any:
        result = self._backend.run(network, function, *arrays, boxes=boxes)
        if boxes is None:
            self.whole += function == "decode"
            return result
        self.boxes += boxes.tolist()
        outside = np.full_like(result, np.nan)
        for image, black, (top, left, bottom, right) in zip(result, outside, boxes, strict=True):
            black[top:bottom, left:right] = image[top:bottom, left:right]
        return outside


@pytest.fixture
def counted(tiny_weights: Any) -> Any:
    engine = Engine(tiny_weights / "model.safetensors", landmarks=None, device="cpu")
    backend = Blackened(engine._pipeline.backend)
    engine._pipeline = dataclasses.replace(engine._pipeline, backend=backend)
    return engine, backend


def photo(side: int, aligned: bool, seed: int = 3) -> tuple[np.ndarray, dict[str, Any]]:
    """Return a target that is the crop, or one whose crop is cut out of it and warped back."""
    noise = np.random.default_rng(seed).integers(0, 256, (side, side if aligned else side + 64, 3))
    if aligned:
        return noise.astype(np.uint8), {}
    turn = np.array([[0.97, 0.2], [-0.2, 0.97]])
    return noise.astype(np.uint8), {"target_landmarks": (POINTS - 512) @ turn * side / 1400 + side / 2}


@settings(max_examples=20)
@given(
    chosen=st.none() | st.lists(st.sampled_from(regions.NAMES), min_size=1, max_size=3, unique=True),
    mode=st.sampled_from(blend.MODES),
    side=st.sampled_from([64, 200, 1024, 1500]),
    aligned=st.booleans(),
)
def test_a_swap_is_the_same_whatever_was_generated(tiny_weights, chosen, mode, side, aligned) -> None:
    engine = Engine(tiny_weights / "model.safetensors", landmarks=None, device="cpu")
    backend = Blackened(engine._pipeline.backend)
    engine._pipeline = dataclasses.replace(engine._pipeline, backend=backend)
    target, points = photo(side, aligned)
    source = engine.encode(A, A_LABELS)
    options = {"target_labels": B_LABELS, "blend": mode, **points}
    part = engine.swap(source, target, chosen, **options)
    assert backend.whole == 0
    full = engine.swap(source, target, chosen, full_face=True, **options)
    assert backend.whole == 1
    np.testing.assert_array_equal(part.image, full.image)
    np.testing.assert_array_equal(part.changed, full.changed)
    np.testing.assert_array_equal(part.face, full.face)
    assert part.face is part.face and backend.whole in (1, 2)


def test_only_what_is_pasted_is_generated(counted) -> None:
    engine, backend = counted
    result = engine.swap(A, B, ["eyes"], **KNOWN)
    ((top, left, bottom, right),) = backend.boxes
    assert 0 < (bottom - top) * (right - left) < 0.2 * engine.config.size**2
    engine.swap(A, B, ["earrings"], **KNOWN)  # neither shows any
    assert len(backend.boxes) == 1 and backend.whole == 0
    first = result.faces[0].face
    assert backend.whole == 1 and first is result.face


def test_a_pickle_holds_the_completed_face(counted) -> None:
    engine, _ = counted
    part, full = (engine.swap(A, B, ["eyes"], full_face=full, **KNOWN) for full in (False, True))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(part)).face, full.face)


def test_copies_after_the_engine_is_gone(tiny_weights) -> None:
    with Engine(tiny_weights / "model.safetensors", landmarks=None, device="cpu") as engine:
        lost, kept = (engine.swap(A, B, ["eyes"], full_face=full, **KNOWN) for full in (False, True))
    del engine
    gc.collect()
    for result in (lost, copy.copy(lost), pickle.loads(pickle.dumps(lost))):
        np.testing.assert_array_equal(result.image, kept.image)
        with pytest.raises(ClosedError, match="full_face=True"):
            _ = result.face
    for result in (kept, copy.copy(kept), pickle.loads(pickle.dumps(kept))):
        assert result.face.shape == (64, 64, 3) and result.faces[0].regions == ("eyes",)


def test_a_face_with_its_photo_is_a_target(counted) -> None:
    engine, _ = counted
    target, points = photo(1500, False)
    source = engine.encode(A, A_LABELS)
    known = engine.encode(target, B_LABELS, keep_photo=True, landmarks=points["target_landmarks"])
    ran: list[str] = []
    inner = engine._pipeline.backend.run
    engine._pipeline.backend.run = lambda *a, **k: ran.append(a[1]) or inner(*a, **k)
    for options in ({}, {"extent": 0.3}):
        got = engine.swap(source, known, ["eyes"], **options)
        assert ran.pop() == "decode" and not ran
        expected = engine.swap(source, target, ["eyes"], target_labels=B_LABELS, **points, **options)
        np.testing.assert_array_equal(got.image, expected.image)
        ran.clear()
    with pytest.raises(ArgumentError, match="keep_photo"):
        engine.swap(source, source, ["eyes"])
    with pytest.raises(ArgumentError, match="one face"):
        engine.swap(source, known, faces="all")


@pytest.mark.parametrize("where", [(0, 0), (511, 511), (0, 300), (250, 255)])
def test_the_feather_of_a_part_is_that_of_the_whole(where: tuple[int, int]) -> None:
    foreground = np.zeros((512, 512), bool)
    foreground[max(where[0] - 9, 0) : where[0] + 9, max(where[1] - 20, 0) : where[1] + 7] = True
    wide = blend._double_whole(blend._window(foreground, blend.RADIUS, np.maximum))
    eroded = blend._window(wide, blend.RADIUS, np.minimum)
    expected = blend._gaussian(eroded.astype(np.float32) * 255)
    np.testing.assert_array_equal(blend.alpha(foreground, "feather"), expected)
