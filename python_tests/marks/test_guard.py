"""The guard: it sees target and source before anything is generated, and may refuse."""

from __future__ import annotations

import numpy as np
import pytest
from api_tools import FIVE, LABELS, A, B, C

from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, RefusedError
from e4s_engine.result import Result

BOTH = {"source_labels": LABELS, "target_labels": LABELS}


def only_a(target, source):
    """Allow sources that are A."""
    assert not target.flags.writeable
    return np.array_equal(source, A) or "only A gave consent"


def forgetful(target, source):
    """Forget to answer."""


@pytest.fixture(scope="module")
def guarded(tiny_weights):
    with Engine(tiny_weights, guard=only_a, landmarks=None) as engine:
        yield engine


def test_a_guard_allows_and_refuses(guarded, monkeypatch) -> None:
    assert isinstance(guarded.swap(A, B, ["eyes"], **BOTH), Result)
    monkeypatch.setattr(type(guarded._pipeline), "swap", None)  # nothing may be generated
    for call in (
        lambda: guarded.swap(C, B, ["eyes"], **BOTH),
        lambda: guarded.swap({"eyes": A, "lips": C}, B, target_labels=LABELS),
        lambda: guarded.edit(B, C, ["hair"]),
        lambda: guarded.reconstruct(B, LABELS),
        lambda: guarded.swap_batch([A, C], [B, B], ["eyes"]),
    ):
        with pytest.raises(RefusedError, match="only A gave consent"):
            call()


def test_it_sees_the_photo_of_a_source_that_is_encoded_once(guarded) -> None:
    """A batch, a command and a clip encode their source before the first target is read."""
    for result in guarded.swap_each(A, [B, C], ["eyes"], align=False):
        assert isinstance(result, Result)
    seen = []
    frames = [B] * 2
    with Engine(
        guarded.weights,
        guard=lambda target, source: bool(seen.append((target, source))) or "seen",
        landmarks=lambda pixels: [FIVE],
        device="cpu",
    ) as engine:
        for clip in (frames, iter(frames)):
            with pytest.raises(RefusedError, match="seen"):
                list(engine.video(A, clip, ["eyes"], source_labels=LABELS, align=False))
    assert len(seen) == 2
    for target, source in seen:
        np.testing.assert_array_equal(target, B)
        np.testing.assert_array_equal(source, A)


def test_a_refusal_stops_no_batch(guarded) -> None:
    first, second = guarded.swap_each([C, A], [B, B], ["eyes"], align=False)
    assert isinstance(first, RefusedError) and isinstance(second, Result)


def test_whatever_is_not_true_refuses(tiny_weights) -> None:
    for answer in (None, 1, np.True_, "", False):
        with (
            Engine(tiny_weights, guard=lambda *_, answer=answer: answer) as engine,
            pytest.raises(RefusedError),
        ):
            engine.swap(A, B, ["eyes"], **BOTH)


def test_a_guard_by_name(tiny_weights) -> None:
    engine = Engine(tiny_weights, guard="test_guard:forgetful")
    with engine, pytest.raises(RefusedError, match="got None"):
        engine.swap(A, B, ["eyes"], **BOTH)
    for wrong in ("nowhere:name", "test_guard:nothing", 3):
        with pytest.raises(ArgumentError, match="guard"):
            Engine(tiny_weights, guard=wrong)
