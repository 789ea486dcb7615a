"""The public calls: threads, inputs that stay as they are, the default engine, public names."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from api_tools import FIVE, LABELS, A, B, C, refused

import e4s_engine
from e4s_engine import backends, weights
from e4s_engine.engine import Engine
from e4s_engine.errors import (
    ClosedError,
    WeightsError,
)


def test_threads_get_what_one_thread_gets(engine, face):
    jobs = [(A, B, None), (face, C, ["eyes", "nose"]), ({"hair": A, "lips": face}, B, None), (C, A, "face")]
    expected = [engine.swap(*job) for job in jobs]
    made, problems = {}, []

    def work(thread):
        try:
            for step in range(len(jobs)):
                i = (thread + step) % len(jobs)
                made[thread, i] = engine.swap(*jobs[i])
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    for (_, i), result in made.items():
        for name in ("image", "face", "labels", "holes"):
            np.testing.assert_array_equal(getattr(result, name), getattr(expected[i], name))
    assert len(made) == 16


def test_the_inputs_are_never_modified(engine):
    source, target, labels = A.copy(), B.copy(), LABELS.copy()
    result = engine.swap(source, target, [], source_labels=labels, target_labels=labels)
    result.image[...] = 0
    result.labels[...] = 0
    engine.swap(source, target, source_labels=labels, target_labels=labels).image[...] = 0
    for now, before in ((source, A), (target, B), (labels, LABELS)):
        np.testing.assert_array_equal(now, before)


def test_callables_may_do_as_they_like_with_their_picture(tiny_weights):
    def parser(picture):
        picture[...] = 0
        return LABELS

    def model(picture):
        picture[...] = 0
        return [FIVE]

    path = tiny_weights / "model.safetensors"
    large = np.tile(B, (8, 8, 1))
    with Engine(path, parser=parser) as one, Engine(path, parser=lambda _: LABELS) as other:
        for target in (B, large):
            np.testing.assert_array_equal(one.swap(A, target, []).image, target)
            np.testing.assert_array_equal(one.swap(A, target).image, other.swap(A, target).image)
    with Engine(path, landmarks=model) as one:
        np.testing.assert_array_equal(one.swap(A, B, []).image, B)


def test_results_of_a_batch_share_nothing(engine, face):
    for regions in ([], "eyes"):
        one, two = engine.swap_batch(face, [B, B], regions)
        for name in ("image", "face", "labels", "holes"):
            assert not np.shares_memory(getattr(one, name), getattr(two, name))


@pytest.fixture
def no_default(monkeypatch):
    monkeypatch.setattr(e4s_engine.engine, "_default", [])


def test_the_default_engine(engine, tiny_weights, monkeypatch, no_default):
    monkeypatch.setenv("E4S_WEIGHTS", str(tiny_weights / "model.safetensors"))
    from e4s_engine import engine as module

    expected = engine.swap(A, B, regions=["eyes"], extent=0.5).image
    np.testing.assert_array_equal(e4s_engine.swap(A, B, regions=["eyes"], extent=0.5).image, expected)
    np.testing.assert_array_equal(module.swap(A, B, regions=["eyes"], extent=0.5).image, expected)
    assert module.default_engine() is module.default_engine()


def test_a_failure_of_the_default_engine_is_not_for_ever(monkeypatch, no_default, tiny_weights):
    monkeypatch.setenv("E4S_WEIGHTS", "absent.safetensors")
    for _ in range(2):
        refused(WeightsError, lambda: e4s_engine.swap(A, B), "E4S_WEIGHTS: ", "absent.safetensors")
    monkeypatch.setenv("E4S_WEIGHTS", str(tiny_weights / "model.safetensors"))
    assert e4s_engine.swap(A, B, []).image.shape == B.shape


def test_public_names():
    assert set(e4s_engine.__all__) <= set(dir(e4s_engine))
    for name in e4s_engine.__all__:
        assert getattr(e4s_engine, name) is not None
    assert e4s_engine.convert is weights.convert
    with pytest.raises(AttributeError, match="no attribute 'swop'"):
        _ = e4s_engine.swop


def test_a_call_under_way_outlives_close(tiny_weights, people):
    image, labels = people[0]
    engine = Engine(tiny_weights / "model.safetensors", parser=lambda _: (engine.close(), labels)[1])
    assert engine.encode(image).styles.shape == (12, engine.config.style_dim)
    with pytest.raises(ClosedError):
        engine.encode(image)


def test_a_gpu_at_hand_is_preferred(tiny_weights, monkeypatch):
    """On a GPU that the engine has no kernels for backend="auto" takes the reference backend."""
    monkeypatch.setattr(backends, "_gpu_at_hand", lambda: True)
    monkeypatch.setattr(backends, "_kernels_at_hand", lambda device: False)
    assert Engine(tiny_weights / "model.safetensors").backend == "reference"
    assert Engine(tiny_weights / "model.safetensors", backend="native").backend == "native"
