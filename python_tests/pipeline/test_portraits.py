"""Portraits: photos read, aligned and parsed once, in the place of a photo."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_tools import TINY, TINY_PARSER

from e4s_engine import weights
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, LabelsError, WeightsError

A, B = (np.random.default_rng(seed).integers(0, 256, (96, 96, 3), dtype=np.uint8) for seed in range(2))
FIVE = np.array([[38, 40], [58, 40], [48, 52], [40, 62], [56, 62]], float)


def test_a_portrait_stands_for_its_photo(engine) -> None:
    a, b = engine.portrait(A), engine.portrait(B, landmarks=FIVE)
    np.testing.assert_array_equal(engine.parse(a), engine.parse(A))
    np.testing.assert_array_equal(engine.crop(b), engine.crop(B, landmarks=FIVE))
    np.testing.assert_array_equal(engine.encode(a).styles, engine.encode(A).styles)
    expected = engine.swap(A, B, ["eyes"], target_landmarks=FIVE)
    for source, target in ((a, b), (A, b)):
        np.testing.assert_array_equal(engine.swap(source, target, ["eyes"]).image, expected.image)
    np.testing.assert_array_equal(engine.swap({"eyes": a}, B, target_landmarks=FIVE).image, expected.image)
    np.testing.assert_array_equal(engine.swap_batch(a, [b], ["eyes"])[0].image, expected.image)
    np.testing.assert_array_equal(engine.reconstruct(a).image, engine.reconstruct(A).image)


def test_a_portrait_brings_its_labels(engine, people, tiny_weights) -> None:
    labels = people[0][1]
    portrait = engine.portrait(A, labels)
    np.testing.assert_array_equal(portrait.labels, labels)
    for more in ({"labels": labels}, {"landmarks": FIVE}):
        with pytest.raises(ArgumentError, match="image: a Portrait brings its own labels"):
            engine.encode(portrait, **more)
    with Engine(tiny_weights / "model.safetensors", parser=None) as blind:
        np.testing.assert_array_equal(blind.encode(portrait).labels, labels)
        with pytest.raises(LabelsError, match="target: this engine has no parser"):
            blind.portrait(A, argument="target")


def test_an_engine_takes_a_model_from_memory(engine) -> None:
    with Engine(weights.random_model(TINY, 0)) as other:
        assert other.weights is None and other.parser == "none"
        labels = engine.parse(A)
        np.testing.assert_array_equal(other.encode(A, labels).styles, engine.encode(A).styles)
    with pytest.raises(WeightsError, match="weights: expected a model of kind 'rgi', got one of kind"):
        Engine(weights.random_model(TINY_PARSER))
