"""The bundled demo model, which `Engine()` loads. One of its swaps is pinned; run this file to renew it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import e4s_engine
from e4s_engine import synth, weights
from e4s_engine.engine import Engine
from e4s_engine.errors import DemoModelWarning
from e4s_engine.pipeline.loading import BUNDLED

FILE = Path(__file__).with_name("goldens") / "demo.npz"
SIDE, SOURCE, TARGET = 256, 12, 7
MOST_BYTES = 25_000_000  # limit for the repository and for every wheel


def swapped(engine: Engine) -> dict[str, np.ndarray]:
    """Swap the faces of two rendered people; return every fourth pixel of the result and of the labels."""
    source, target = (synth.render(synth.person(s), synth.scene(s), SIDE).image for s in (SOURCE, TARGET))
    result = engine.swap(source, target)
    return {"image": result.image[::4, ::4], "labels": result.labels[::8, ::8]}


@pytest.fixture(scope="module")
def demo(module_monkeypatch) -> Engine:
    module_monkeypatch.delenv("E4S_WEIGHTS", raising=False)
    return Engine(device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def module_monkeypatch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_an_engine_without_arguments_takes_it(demo):
    assert demo.config.size == SIDE and demo.parser == "network"


def test_a_callers_pictures_bring_a_warning_once(demo):
    picture = synth.render(synth.person(1), synth.scene(1), SIDE).image
    with Engine(device="cpu", landmarks=None) as engine:
        engine.decode(np.zeros((12, engine.config.style_dim), np.float32), np.zeros((512, 512), np.uint8))
        for first in (True, False):  # decoding showed no picture of the caller's
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                engine.encode(picture)
            assert [w.category for w in caught] == ([DemoModelWarning] if first else [])
            assert all("rendered faces only" in str(w.message) and w.filename == __file__ for w in caught)


def test_other_models_bring_no_warning(engine):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        engine.parse(np.zeros((96, 96, 3), np.uint8))


def test_it_stays_small():
    files = [*BUNDLED.parent.glob("*.safetensors")]
    assert [f.name for f in sorted(files)] == ["demo.parser.safetensors", "demo.safetensors"]
    assert sum(f.stat().st_size for f in files) < MOST_BYTES


def test_it_is_stored_in_halves_and_read_whole():
    model = weights.load(BUNDLED, "rgi")
    assert all(t.dtype == np.float32 and np.isfinite(t).all() for t in model.tensors.values())
    assert BUNDLED.stat().st_size < 2.1 * sum(t.size for t in model.tensors.values())


def test_the_pinned_swap(demo):
    found, pinned = swapped(demo), np.load(FILE)
    assert (found["labels"] == pinned["labels"]).mean() > 0.999  # ties may be broken either way
    difference = np.abs(found["image"].astype(int) - pinned["image"])
    assert (difference <= 1).mean() > 0.99 and difference.mean() < 0.1


def test_the_default_engine_is_it(monkeypatch, demo):
    monkeypatch.delenv("E4S_WEIGHTS", raising=False)
    monkeypatch.setattr(e4s_engine.engine, "_default", [])
    target = synth.render(synth.person(TARGET), synth.scene(TARGET), SIDE).image
    np.testing.assert_array_equal(e4s_engine.swap(target, target, []).image, target)


if __name__ == "__main__":
    np.savez_compressed(FILE, **swapped(Engine(device="cpu", precision="fp32")))
