"""Checkpoints and converted files of a tiny model, for the tests of weight files."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
import pytest
import torch
from tiny_tools import TINY_PARSER

from e4s_engine import weights
from e4s_engine.errors import WeightsError
from e4s_engine.networks.rgi.config import ModelConfig

# The units per stage are not visible in a state dict's shapes, so these are the published ones.
TINY = ModelConfig(
    size=8,
    channels=(16, 16),
    latents=4,
    latent_dim=16,
    injected=2,
    mlp_hidden=16,
    stem=16,
    stages=((16, 3), (16, 4), (16, 14), (16, 3)),
)
CONFIGS = {"rgi": TINY, "parser": TINY_PARSER}
MODELS = {kind: weights.random_model(c, 3) for kind, c in CONFIGS.items()}


def state(kind, dtype=torch.float32):
    return {name: torch.from_numpy(t.copy()).to(dtype) for name, t in MODELS[kind].tensors.items()}


def content(kind="rgi", key="state_dict", prefix="module.", **changes):
    """Make a checkpoint in the authors' form: latent_avg apart, each key of the network prefixed."""
    tensors = state(kind)
    tensors.update(changes)
    average = {"latent_avg": tensors.pop("latent_avg")} if kind == "rgi" else {}
    named = OrderedDict((prefix + name, t) for name, t in tensors.items() if t is not None)
    return {key: named, **average} if key else {**named, **average}


def saved(path, what, **options):
    torch.save(what, path, **options)
    return path


def rejected(path, *words, kind="rgi"):
    with pytest.raises(WeightsError) as caught:
        weights.load(path, kind)
    message = str(caught.value)
    assert message.startswith("weights: "), message
    assert all(word in message for word in words), message
    with pytest.raises(WeightsError) as caught:
        weights.open_model(path, kind).check()
    assert str(caught.value) == message  # the same however a file is read
    return message


def assert_same(model, kind):
    assert model.config == {"rgi": TINY, "parser": TINY_PARSER}[kind]
    assert model.tensors.keys() == MODELS[kind].tensors.keys()
    for name, tensor in MODELS[kind].tensors.items():
        assert model.tensors[name].dtype == np.float32
        np.testing.assert_array_equal(model.tensors[name], tensor, err_msg=name)


NAME = "MLPs.3.mlp.0.bias"
