"""Relighting: its effect and its limits, on arrays, on tensors, in swaps."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tiny_tools import TINY

from e4s_engine import regions, weights
from e4s_engine.engine import Engine
from e4s_engine.errors import WeightsError
from e4s_engine.networks import registry
from e4s_engine.networks.rgi import relight
from e4s_engine.result import Face
from e4s_engine.training import networks

LIT = dataclasses.replace(TINY, relight=24)
D = TINY.style_dim


@pytest.fixture(scope="module")
def model():
    return weights.random_model(LIT, 0)


@pytest.fixture(scope="module")
def layers(model):
    return relight.layers(model.tensors, np.stack)


@pytest.fixture(scope="module")
def vectors():
    """Make style vectors of two sources and two targets."""
    drawn = np.random.default_rng(0).standard_normal((2, 2, 12, D)).astype(np.float32)
    drawn[0, 1, regions.EARS] = drawn[1, 0, regions.GLASSES] = 0
    return drawn


@pytest.fixture(scope="module")
def lit(tmp_path_factory, tiny_weights, model):
    """Make an engine that relights."""
    path = tmp_path_factory.mktemp("lit") / "lit.safetensors"
    weights.save(model, path)
    return Engine(path, parser=tiny_weights / "parser.safetensors", landmarks=None, device="cpu")


def test_under_the_same_light_nothing_changes(layers, vectors):
    assert np.array_equal(relight.relight(vectors[0], vectors[0], layers), vectors[0])


def test_under_another_light_what_is_shown_changes(layers, vectors):
    source, target = vectors
    found = relight.relight(source, target, layers)
    assert found.dtype == np.float32
    changed = (found != source).any(-1)
    assert np.array_equal(changed, source.any(-1))
    assert not found[1, regions.EARS].any()


def test_it_is_the_formula(model, layers, vectors):
    """It equals the formula, written out for one region of one pair."""
    source, target, region = vectors[0, 0], vectors[1, 0], regions.NOSE

    def leaky(x):
        return np.where(x > 0, x, 0.2 * x)

    def get(name):
        return model.tensors[f"relight.{name}"].astype(np.float64)

    def light(styles):
        return leaky(sum(get(f"{r}.light.weight") @ styles[r] for r in range(12)) + get("light.bias"))

    inner = get(f"{region}.inner.weight") @ source[region] + get(f"{region}.inner.bias")
    there, here = (inner + get(f"{region}.shift.weight") @ light(s) for s in (target, source))
    wanted = source[region] + get(f"{region}.outer.weight") @ (leaky(there) - leaky(here))
    np.testing.assert_allclose(relight.relight(*vectors, layers)[0, region], wanted, atol=1e-4)


def test_arrays_and_tensors_agree(model, layers, vectors):
    tensors = {name: torch.from_numpy(tensor) for name, tensor in model.tensors.items()}
    source, target = map(torch.from_numpy, vectors)
    found = relight.relight(source, target, relight.layers(tensors, torch.stack))
    np.testing.assert_allclose(found.numpy(), relight.relight(*vectors, layers), atol=1e-4)


def test_new_layers_change_nothing_and_learn():
    """Gradient descent learns the target's light, which shows in its regions' first values."""
    tensors = networks.initial(LIT, 0)
    trained = [tensors[n].requires_grad_() for n in tensors if n.startswith(relight.PREFIX)]
    dice = torch.Generator().manual_seed(0)
    person = torch.randn(2, 64, 12, D, generator=dice)
    light = torch.randn(2, 64, 1, 1, generator=dice)
    seen = person.clone()
    seen[..., :8] = seen[..., :8] * 0.1 + light
    source, target, truth = seen[0], seen[1], seen[0] + (light[1] - light[0]) * (torch.arange(D) < 8)

    def loss():
        made = relight.relight(source, target, relight.layers(tensors, torch.stack))
        return (made - truth).square().mean()

    first = loss().detach()
    assert first == (source - truth).square().mean()
    optimiser = torch.optim.Adam(trained, 3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert loss().detach() < 0.1 * first


def test_models_without_it_have_no_tensors_of_it():
    assert not any(name.startswith(relight.PREFIX) for name in registry.tensors(TINY))


@pytest.mark.parametrize("chosen", [None, ["eyes", "nose"], "hair"])
def test_a_swap_takes_the_vectors_relit(lit, engine, layers, people, chosen):
    (source, source_labels), (target, target_labels), _ = people
    known = {"source_labels": source_labels, "target_labels": target_labels}
    face, kept = engine.encode(source, source_labels), engine.encode(target, target_labels)
    by_hand = Face(face.labels, relight.relight(face.styles[None], kept.styles[None], layers)[0])
    wanted = engine.swap(by_hand, target, chosen, match="none", target_labels=target_labels)
    found = lit.swap(source, target, chosen, **known)
    np.testing.assert_array_equal(found.image, wanted.image)
    plain = engine.swap(source, target, chosen, **known)
    assert not np.array_equal(plain.face, found.face)
    np.testing.assert_array_equal(lit.swap(source, target, chosen, relight=False, **known).image, plain.image)


def test_every_source_is_relit_for_itself(lit, engine, layers, people):
    (a, _), (b, _), (c, _) = people
    faces = [engine.encode(image) for image in (a, b)]
    kept = engine.encode(c)
    relit = [Face(f.labels, relight.relight(f.styles[None], kept.styles[None], layers)[0]) for f in faces]
    wanted = engine.swap({"hair": relit[0], "nose": relit[1]}, c, match="none").image
    np.testing.assert_array_equal(lit.swap({"hair": a, "nose": b}, c).image, wanted)
    batch = lit.swap_batch([{"hair": a, "nose": b}, a], [c, b])
    np.testing.assert_array_equal(batch[0].image, wanted)


def test_edits_are_relit_and_nothing_else_is(lit, engine, people):
    (a, a_labels), (b, b_labels), _ = people
    known = {"labels": b_labels, "reference_labels": a_labels}
    plain = engine.edit(b, a, ["skin"], 0.5, **known).face
    assert not np.array_equal(lit.edit(b, a, ["skin"], 0.5, **known).face, plain)
    np.testing.assert_array_equal(lit.edit(b, a, ["skin"], 0.5, relight=False, **known).face, plain)
    known = {"source_labels": a_labels, "target_labels": b_labels, "texture": False}
    shown_by_both = ["skin", "nose"]
    np.testing.assert_array_equal(
        lit.swap(a, b, shown_by_both, **known).face, engine.swap(a, b, shown_by_both, **known).face
    )
    known = {"source_labels": b_labels, "target_labels": b_labels}
    np.testing.assert_array_equal(lit.swap(b, b, **known).face, engine.reconstruct(b, b_labels).face)


def test_training_goes_on_from_a_model_without_it(tmp_path, model):
    plain = tmp_path / "plain.safetensors"
    weights.save(weights.random_model(TINY, 3), plain)
    found = networks.from_file(plain, LIT, seed=1)
    assert found.keys() == registry.tensors(LIT).keys()
    assert np.array_equal(found["G.input.input"], weights.load(plain, "rgi").tensors["G.input.input"])
    assert not any(found[f"relight.{r}.outer.weight"].any() for r in range(12))
    weights.save(model, tmp_path / "lit.safetensors")
    kept = networks.from_file(tmp_path / "lit.safetensors", LIT, seed=1)
    assert all(np.array_equal(kept[name], model.tensors[name]) for name in kept)
    with pytest.raises(WeightsError, match="relight=24"):
        networks.from_file(tmp_path / "lit.safetensors", TINY, seed=1)
