"""`swap_each` and `swap_batch`: results or errors in order, few pictures in memory, sources encoded once."""

from __future__ import annotations

import gc
import itertools
import weakref

import numpy as np
import pytest
from api_tools import FIVE, LABELS, WIDE, A, B, C, refused

from e4s_engine.engine import Engine
from e4s_engine.errors import AlignmentError, ArgumentError, BackendError, DeviceMemoryError, ImageError
from e4s_engine.pipeline.pipeline import Pipeline
from e4s_engine.result import Result


def test_results_or_errors_come_in_order(engine, face):
    targets = [B, "absent.png", WIDE, C]
    found = list(engine.swap_each(face, targets, ["eyes"]))
    assert [type(item) for item in found] == [Result, ImageError, AlignmentError, Result]
    assert str(found[1]) == "targets[1]: no such file: absent.png"
    for number in (0, 3):
        expected = engine.swap(face, targets[number], ["eyes"])
        np.testing.assert_array_equal(found[number].image, expected.image)


def test_the_first_error_may_be_raised(engine, face):
    items = engine.swap_each(face, [B, "absent.png", C], [], on_error="raise")
    assert isinstance(next(items), Result)
    refused(ImageError, lambda: next(items), "targets[1]: ")
    assert list(items) == []
    refused(ArgumentError, lambda: engine.swap_each(face, [B], on_error="skip"), "on_error: ", "'skip'")
    refused(
        ArgumentError, lambda: engine.swap_each(face, [B], progress=True), "progress: expected a callable"
    )


def test_a_bad_source_is_raised_at_once(engine):
    refused(ImageError, lambda: engine.swap_each("absent.png", [B]), "source: no such file")
    refused(ArgumentError, lambda: engine.swap_each(A, "b.png"), "targets: expected a list or an iterator")
    refused(ArgumentError, lambda: engine.swap_each(A, B[0, 0, 0]), "targets: ")


def test_targets_are_read_when_it_is_their_turn(engine, face):
    read = []

    def frames():
        for number in itertools.count():
            read.append(number)
            yield B

    items = engine.swap_each(face, frames(), [])
    assert read == []
    next(items), next(items)
    assert read == [0, 1]
    items.close()  # cancelled
    assert list(items) == [] and read == [0, 1]


def test_memory_holds_one_frame(engine, face):
    """Neither pictures nor the frames of exceptions stay."""
    alive = weakref.WeakSet()

    class Box:
        """A picture that is counted: an array cannot be referred to weakly."""

        def __init__(self, pixels):
            self.__array_interface__, self.pixels = pixels.__array_interface__, pixels
            alive.add(self)

    most, errors = 0, []
    for item in engine.swap_each(face, (Box(B if i % 2 else WIDE) for i in range(12)), []):
        if not isinstance(item, Result):
            errors.append(item)
        gc.collect()
        most = max(most, len(alive))
    assert len(errors) == 6 and most <= 2


def test_progress_is_told(engine, face):
    told = []
    list(engine.swap_each(face, [B, None, C], [], progress=lambda *state: told.append(state)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    list(engine.swap_each(face, iter([B]), [], progress=lambda *state: told.append(state)))
    assert told[3:] == [(1, None)]


def test_a_source_per_target_and_values_in_step(engine, face):
    sources, targets = [A, face, {"eyes": C}], [B, C, WIDE]
    points = iter([None, None, FIVE])
    found = list(
        engine.swap_each(iter(sources), iter(targets), target_labels=[LABELS] * 3, target_landmarks=points)
    )
    for number, item in enumerate(found):
        known = {"target_labels": LABELS, "target_landmarks": FIVE if number == 2 else None}
        expected = engine.swap(sources[number], targets[number], **known)
        np.testing.assert_array_equal(item.image, expected.image)
    assert len(found) == 3


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"target_labels": [LABELS]}, "target_labels: expected 2, one per target, got 1"),
        ({"target_labels": LABELS}, "target_labels: expected a list or an iterator"),
        ({"target_landmarks": iter([None])}, "target_landmarks: ends after 1 values, before the targets do"),
    ],
)
def test_values_that_are_not_in_step(engine, face, more, words):
    refused(ArgumentError, lambda: list(engine.swap_each(face, [B, C], [], **more)), words)


def test_several_people_into_each_photo(engine, tiny_weights):
    with Engine(tiny_weights / "model.safetensors", landmarks=lambda _: [FIVE, FIVE + 20]) as finds:
        people = {0: A, 1: {"eyes": C}}
        (found,) = finds.swap_each(people, [B])
        np.testing.assert_array_equal(found.image, finds.swap(people, B).image)
        assert [swapped.number for swapped in found.faces] == [0, 1]


@pytest.fixture
def encodes(monkeypatch):
    """Count the people that are encoded."""
    counted = []
    real = Pipeline.encode

    def encode(self, people, labels=None):
        people = list(people)
        counted.extend(person.argument for person in people if hasattr(person, "argument"))
        return real(self, people, labels)

    monkeypatch.setattr(Pipeline, "encode", encode)
    return counted


def test_a_source_for_all_is_encoded_once(engine, encodes):
    list(engine.swap_each(A, [B, C, B], ["eyes"]))
    assert encodes.count("source") == 1
    encodes.clear()
    targets = [B, C] * 5  # more than are done together
    batch = engine.swap_batch(A, targets, ["eyes"])
    assert encodes.count("sources[0]") == 1
    np.testing.assert_array_equal(batch[9].image, engine.swap(A, C, ["eyes"]).image)


@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_one_that_fails_among_those_done_together(engine, tiny_weights, monkeypatch, at_once):
    """Do a few together, as on a GPU: the others are then done once more, each on its own."""

    def parser(picture):
        if (picture == 7).all():
            raise KeyError("the caller's own")
        return LABELS

    monkeypatch.setattr("e4s_engine.engine.AT_ONCE", at_once)
    with Engine(tiny_weights / "model.safetensors", parser=parser, landmarks=None) as own:
        own.device = "cuda:0"
        bad = np.full_like(B, 7)
        found = list(own.swap_each(A, [B, bad, C, "absent.png"], ["eyes"]))
        assert [type(item) for item in found] == [Result, KeyError, Result, ImageError]
        assert "raised by the parser" in found[1].__notes__[0]
        np.testing.assert_array_equal(found[2].image, own.swap(A, C, ["eyes"]).image)


def test_what_every_item_would_raise_is_raised(engine, face, monkeypatch):
    def fails(*_):
        raise kind("no more")

    monkeypatch.setattr(Pipeline, "swap_groups", fails)
    kind = DeviceMemoryError
    assert [type(item) for item in engine.swap_each(face, [B, C])] == [kind, kind]
    kind = BackendError
    refused(BackendError, lambda: list(engine.swap_each(face, [B, C])), "no more")
