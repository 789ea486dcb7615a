"""The tiny model that most tests run, and state dicts of the published implementation's recipe."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np

from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.rgi.config import ModelConfig

TINY = ModelConfig(
    size=64,
    channels=(16, 16, 16, 16, 8),
    latents=10,
    latent_dim=16,
    injected=7,
    mlp_hidden=24,
    stem=16,
    stages=((16, 1), (16, 2), (32, 1), (32, 1)),
    encoder_size=64,
)
TINY_PARSER = ParserConfig(classes=19, widths=(8, 8, 8, 16, 16), context=8, fusion=16)


def official_state(golden: Path, recipe: ModuleType, size: int, seed: int) -> dict[str, np.ndarray]:
    """Make an RGI state dict from the recipe, latent_avg included."""
    keys = json.loads((golden / f"rgi_{size}_keys.json").read_text())
    state = recipe.state_dict(keys, seed)
    state["latent_avg"] = recipe.tensor("latent_avg", (18, 512), seed)
    return state
