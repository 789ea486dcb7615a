"""Inversion by optimisation: nearer to the picture, reproducible, and only where there are gradients."""

from __future__ import annotations

import numpy as np
import pytest

from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, BackendError
from e4s_engine.photo import images
from e4s_engine.testing.portraits import portrait

STEPS, RATE = 12, 0.05


@pytest.fixture(scope="module")
def learner(tiny_weights):
    """Make an engine with gradients."""
    with Engine(tiny_weights / "model.safetensors", device="cpu", backend="reference") as made:
        yield made


def error(engine, image, face):
    """Return the mean squared difference between a picture and a rendered face."""
    size = engine.config.size
    wanted = images.resize(image, size, size, images.Image.Resampling.LANCZOS).astype(float) / 127.5 - 1
    return float(np.square(engine.decode(face.styles, face.labels) - wanted).mean())


def test_each_step_leads_nearer(learner, people):
    image, labels = people[0]
    faces = [learner.invert(image, labels, steps=steps, rate=RATE) for steps in (0, STEPS, 3 * STEPS)]
    errors = [error(learner, image, face) for face in faces]
    assert errors[2] < errors[1] < 0.95 * errors[0]
    encoded = learner.encode(image, labels)
    np.testing.assert_array_equal(faces[0].styles, encoded.styles)
    for face in faces:
        np.testing.assert_array_equal(face.labels, encoded.labels)


def test_the_same_picture_gives_the_same_face(learner, people):
    given = [learner.invert(*people[1], steps=3) for _ in range(2)]
    np.testing.assert_array_equal(given[0].styles, given[1].styles)


def test_what_is_not_shown_stays(learner, people):
    image, labels = people[0]
    labels = np.where(labels == 10, 6, labels)
    face = learner.invert(image, labels, steps=2)
    assert not face.styles[10].any()  # no glasses before, none after


def test_reconstruct_takes_its_steps(learner, people):
    image, labels = people[0]
    face = learner.invert(image, labels, steps=3)
    decoded = learner.decode(face.styles, face.labels)
    made = learner.reconstruct(image, labels, steps=3).face
    np.testing.assert_array_equal(made, (((decoded + 1) / 2).clip(0, 1) * 255).astype(np.uint8))
    assert not np.array_equal(made, learner.reconstruct(image, labels).face)


def test_a_swap_takes_the_face(learner, people):
    face = learner.invert(*people[0], steps=2)
    target, labels = people[1]
    made = learner.swap(face, target, "nose", target_labels=labels)
    assert not np.array_equal(made.image, target)


def test_the_weights_stay(learner, people):
    image, labels = people[0]
    before = learner.encode(image, labels).styles
    learner.invert(image, labels, steps=2)
    np.testing.assert_array_equal(learner.encode(image, labels).styles, before)


def test_half_precision_descends_too(tiny_weights, people):
    image, labels = people[0]
    with Engine(
        tiny_weights / "model.safetensors", device="cpu", backend="reference", precision="bf16", max_batch=2
    ) as engine:
        faces = [engine.invert(image, labels, steps=steps, rate=RATE) for steps in (0, STEPS)]
        assert error(engine, image, faces[1]) < error(engine, image, faces[0])
        assert faces[1].styles.dtype == np.float32


def test_compiled_backends_say_that_they_cannot(engine, people):
    image, labels = people[0]
    for call in (engine.invert, engine.reconstruct):
        with pytest.raises(BackendError, match="backend='reference'"):
            call(image, labels, steps=1)


@pytest.mark.parametrize("steps", [-1, 1.5, True, "many", None, 10**6])
def test_steps_are_checked(engine, steps):
    image = portrait(0)[0]
    for call in (engine.invert, engine.reconstruct):
        with pytest.raises(ArgumentError, match="steps: expected an integer from 0 to 100000"):
            call(image, steps=steps)


@pytest.mark.parametrize("rate", [0, -0.1, float("nan"), float("inf"), "fast", True, 11])
def test_rates_are_checked(engine, rate):
    with pytest.raises(ArgumentError, match="rate: expected a number above 0, to 10"):
        engine.invert(portrait(0)[0], rate=rate)


def test_a_rate_that_leads_nowhere_is_said(learner, people, monkeypatch):
    nowhere = np.full((1, 12, learner.config.style_dim), np.nan, np.float32)
    monkeypatch.setattr(learner._pipeline.backend, "invert", lambda *_: nowhere)
    with pytest.raises(ArgumentError, match="not finite; take a smaller one"):
        learner.invert(*people[0], steps=3, rate=10)
