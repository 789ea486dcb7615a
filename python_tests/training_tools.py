"""Recipes of tiny models, for the tests of training; the fixtures `items` and `source` are in conftest.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.training import (
    loop,
    networks,
    recipe,
    tasks,
)

TOY = ModelConfig(
    size=32,
    channels=(16, 16, 16, 8),
    latents=8,
    latent_dim=16,
    injected=8,
    mlp_hidden=16,
    stem=8,
    stages=((16, 1), (16, 1), (16, 1), (16, 1)),
    encoder_size=32,
)
TOY_PARSER = ParserConfig(12, (8, 8, 8, 16, 16), context=8, fusion=16, table="regions")
SCHEDULE = recipe.Schedule(
    steps=6, batch=4, rate=2e-3, warmup=2, decay="cosine", decay_from=2, betas=(0.9, 0.99), clip=5.0
)
POOL = recipe.Pool(8, 0, 8)
RGI = recipe.RgiRecipe(
    TOY, SCHEDULE, POOL, adversarial_from=2, adversarial_every=2, r1=1.0, r1_every=1, critic_channels=8,
    swap=0.5,
)  # fmt: skip
MUON = replace(
    RGI, model=replace(TOY, relight=16), schedule=replace(SCHEDULE, muon=5e-3), emphasis=0.3, structure=0.25
)
PARSER = recipe.ParserRecipe(TOY_PARSER, SCHEDULE, POOL, side=64)
PARSER_MUON = replace(PARSER, schedule=replace(SCHEDULE, muon=5e-3))
every_kind = pytest.mark.parametrize(
    "chosen", [RGI, MUON, PARSER, PARSER_MUON], ids=["rgi", "muon", "parser", "parser-muon"]
)


def new_run(chosen, source, folder, **options):
    torch.manual_seed(0)
    kind = {"parser": None, "device": "cpu", "precision": "fp32"}
    task = tasks.new(chosen, networks.initial(chosen.model, chosen.seed), **kind)
    return loop.Run(task, source, folder, chosen, save_every=100, sheet_every=100, **options)


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)
