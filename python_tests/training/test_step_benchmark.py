"""The benchmark of a training step, on the CPU and a network of few channels."""

from __future__ import annotations

import dataclasses

from benchmarks import gpu_training
from e4s_engine.training import recipe


def test_a_step_is_timed_and_taken_apart(monkeypatch):
    model = dataclasses.replace(
        recipe.DEMO.model, size=32, channels=(16,) * 4, latents=8, injected=8, latent_dim=16, mlp_hidden=16,
        stem=16, stages=((16, 1),) * 4, encoder_size=32, relight=16,
    )  # fmt: skip
    small = dataclasses.replace(recipe.PARSER_DEMO.model, widths=(16, 16, 16, 16, 16), context=16, fusion=16)
    monkeypatch.setattr(recipe, "PARSER_DEMO", dataclasses.replace(recipe.PARSER_DEMO, model=small))
    report = gpu_training.measured(dataclasses.replace(recipe.DEMO, model=model), "cpu", items=2, runs=1)
    assert report["seconds"] > 0 and report["items"] == 2 and len(report["kernels"]) == gpu_training.SHOWN
    assert report["kernels_ms"] >= sum(one["ms"] for one in report["kernels"][:5]) > 0
    assert {"aten::convolution_backward", "aten::bmm"} <= {one["name"] for one in report["kernels"]}
