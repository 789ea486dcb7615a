"""Training steps at a tiny size: losses, schedules, optimisers, stopping and resuming."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from training_tools import (
    MUON,
    PARSER,
    POOL,
    RGI,
    SCHEDULE,
    TOY,
    TOY_PARSER,
    every_kind,
    new_run,
    same,
)

from benchmarks import metrics
from e4s_engine import ops, regions, weights
from e4s_engine.errors import ArgumentError, WeightsError
from e4s_engine.networks.rgi import likeness
from e4s_engine.training import (
    batches,
    learner,
    loop,
    losses,
    muon,
    networks,
    processor,
    recipe,
    tasks,
)


@every_kind
def test_steps_lower_the_loss(chosen, source, tmp_path):
    longer = replace(chosen, schedule=replace(SCHEDULE, steps=24, rate=5e-3), flip=False)
    if isinstance(longer, recipe.RgiRecipe):
        longer = replace(longer, adversarial=0.0)
    run = new_run(longer, source, tmp_path)
    batch = source.batch(0, batches.generator(0, 0), 0, 1, 4)
    seen = [run._advance(batch) for _ in range(24)]
    name = "entropy" if isinstance(chosen, recipe.ParserRecipe) else "scales"
    assert seen[-1][name] < 0.8 * seen[0][name]


@pytest.mark.parametrize("swaps", [True, False])
def test_only_swaps_with_answers_teach_relighting(items, swaps):
    task = tasks.new(replace(MUON, adversarial=0.0), networks.initial(MUON.model, 0), None, "cpu", "fp32")
    tensors = task.learners["model"].tensors
    lights = {name: tensor.detach().clone() for name, tensor in tensors.items() if "relight." in name}
    kind = batches.RenderedSwaps if swaps else batches.RenderedPictures
    for step in range(3):
        rng = batches.generator(0, step)
        task.step(kind(items, POOL, flip=True).batch(step, rng, 0, 1, 4), step, rng)
    assert same(lights, tensors) is not swaps
    assert len(lights) == 1 + 5 * 12


def test_all_terms_are_there_and_finite(source):
    parser = networks.initial(TOY_PARSER, 1)
    task = tasks.new(replace(RGI, structure=0.25), networks.initial(TOY, 0), parser, "cpu", "fp32")
    figures = task.step(source.batch(2, batches.generator(0, 2), 0, 1, 4), 2, batches.generator(0, 2))
    assert set(figures) == {"l2", "scales", "structure", "features", "parsing", "swap", "adv", "critic"}
    assert all(torch.isfinite(value) for value in figures.values())


@every_kind
def test_resuming_is_exact_bit_by_bit(chosen, source, tmp_path):
    whole = new_run(chosen, source, tmp_path / "whole")
    assert whole.train()

    class Interrupted(batches.RenderedSwaps):
        def batch(self, step, *rest):
            if step == 5:  # prepared while an earlier step runs
                os.kill(os.getpid(), signal.SIGTERM)
            return super().batch(step, *rest)

    stopped = new_run(chosen, Interrupted(source._items, POOL, flip=True), tmp_path / "stopped")
    assert not stopped.train()
    assert 0 < stopped.step < 6
    resumed = new_run(chosen, source, tmp_path / "stopped")
    resumed.resume()
    assert resumed.step == stopped.step
    assert resumed.train()
    for name in whole._task.learners:
        assert same(whole._task.learners[name].tensors, resumed._task.learners[name].tensors)
    assert same(whole.averaged, resumed.averaged)
    kind = "parser" if isinstance(chosen, recipe.ParserRecipe) else "rgi"
    first, second = (weights.load(tmp_path / f / "model.safetensors", kind) for f in ("whole", "stopped"))
    assert all(np.array_equal(first.tensors[name], second.tensors[name]) for name in first.tensors)


def test_a_run_stops_after_a_step(source, tmp_path):
    whole = new_run(PARSER, source, tmp_path / "whole")
    assert whole.train()
    stopped = new_run(PARSER, source, tmp_path / "stopped", until=4)
    assert not stopped.train() and stopped.step == 4
    resumed = new_run(PARSER, source, tmp_path / "stopped")
    resumed.resume()
    assert resumed.train()
    assert same(whole.averaged, resumed.averaged)


def test_a_killed_writer_leaves_the_old_checkpoint(source, tmp_path, monkeypatch):
    run = new_run(PARSER, source, tmp_path)
    run.save()
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def torn(content, path):
        path.write_bytes(before[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", torn)
    with pytest.raises(KeyboardInterrupt):
        run.save()
    monkeypatch.undo()
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    new_run(PARSER, source, tmp_path).resume()


def test_another_recipes_checkpoint_is_refused(source, tmp_path):
    new_run(PARSER, source, tmp_path).save()
    with pytest.raises(ArgumentError, match="another"):
        new_run(replace(PARSER, seed=1), source, tmp_path).resume()
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    with pytest.raises(WeightsError, match="checkpoint"):
        new_run(PARSER, source, tmp_path).resume()


def test_a_loss_that_is_not_finite_ends_the_run(source, tmp_path):
    run = new_run(PARSER, source, tmp_path)
    run._task.learners["model"].tensors["cp.resnet.conv1.weight"].data.fill_(float("nan"))
    with pytest.raises(ArgumentError, match="not finite"):
        run.train()


def test_the_average_follows():
    a, b = {"x": torch.zeros(3)}, {"x": torch.ones(3)}
    learner.follow(a, b, 0.9, 10_000)
    assert torch.allclose(a["x"], torch.full((3,), 0.1))
    learner.follow(a, b, 0.9, 0)
    assert torch.allclose(a["x"], torch.full((3,), 0.91))


def test_the_average_begins_anew_where_pictures_grow(source, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(loop, "follow", lambda averaged, tensors, decay, step: seen.append(step))
    grown = replace(RGI, growth=((0, 8), (2, 16), (3, 32)), adversarial=0.0)
    assert new_run(grown, source, tmp_path).train()
    assert seen == [0, 1, 0, 0, 1, 2]
    assert [recipe.grown_at((), step) for step in (0, 9)] == [0, 0]


def test_schedules():
    step = recipe.Schedule(steps=10, decay="step", decay_from=5, warmup=2)
    assert [round(learner.factor(step, s), 3) for s in (0, 1, 4, 5, 9)] == [0.5, 1, 1, 0.1, 0.1]
    cosine = recipe.Schedule(steps=10, decay="cosine", decay_from=0)
    heights = [learner.factor(cosine, s) for s in range(11)]
    assert heights[0] == 1 and heights[10] == pytest.approx(0.02) and heights == sorted(heights, reverse=True)


def test_muons_step_is_orthogonal_and_as_large_as_asked():
    dice = torch.Generator().manual_seed(0)
    tall, wide = (torch.randn(2, *shape, generator=dice) for shape in ((40, 16), (16, 40)))
    for made in (muon.orthogonal(tall), muon.orthogonal(wide)):
        singular = torch.linalg.svdvals(made)
        assert singular.min() > 0.5 and singular.max() < 1.3
    assert not muon.orthogonal(torch.zeros(1, 16, 16)).any()  # layers not in use yet do not change
    weight = torch.zeros(1, 32, 16, 3, 3, requires_grad=True)
    weight.grad = torch.randn(weight.shape, generator=dice)
    muon.Muon([{"params": [weight], "lr": 0.01}]).step()
    assert weight.square().mean().sqrt().item() == pytest.approx(0.01, rel=0.2)
    assert (weight * weight.grad).sum() < 0


def test_matrices_are_muons_and_the_rest_adams():
    assert muon.matrix(torch.zeros(1, 32, 16, 3, 3)).shape == (32, 144)
    assert muon.matrix(torch.zeros(16, 32)).shape == (16, 32)
    for other in (torch.zeros(64), torch.zeros(1, 64, 4, 4), torch.zeros(1, 3, 64, 1, 1)):
        assert muon.matrix(other) is None
    task = tasks.new(MUON, networks.initial(TOY, 0), None, "cpu", "fp32")
    kinds = [type(optimiser).__name__ for optimiser in task.learners[tasks.MODEL]._optimisers]
    assert kinds == ["Adam", "Muon"]


def test_small_regions_weigh_more():
    labels = torch.zeros(1, 16, 16, dtype=torch.uint8)
    labels[0, :8, :8] = 6  # a quarter of the picture, and a sixteenth
    labels[0, 12:, 12:] = regions.EYES
    weight = losses.emphasis(labels, 0.5)
    assert weight.mean().item() == pytest.approx(1.0)
    assert (weight[0, 0, 15, 15] / weight[0, 0, 0, 0]).item() == pytest.approx(2.0)
    assert torch.equal(losses.emphasis(labels, 0.0), torch.ones(1, 1, 16, 16))
    made, real = torch.rand(2, 1, 3, 16, 16).unbind()
    for loss in (likeness.l2, likeness.scales):
        assert loss(made, real, torch.ones(1, 1, 16, 16)).item() == pytest.approx(loss(made, real).item())
        assert loss(made, real, weight).item() != pytest.approx(loss(made, real).item())


def test_structure_is_one_less_ssim_of_the_greys():
    dice = np.random.default_rng(0)
    a, b = dice.integers(0, 256, (2, 40, 40), dtype=np.uint8)
    pictures = [torch.tensor(grey / 127.5 - 1).expand(1, 3, 40, 40) for grey in (a, (a // 2 + b // 2))]
    greys = [np.repeat(grey[:, :, None], 3, axis=2) for grey in (a, a // 2 + b // 2)]
    assert likeness.structure(*pictures).item() == pytest.approx(1 - metrics.ssim(*greys), abs=0.02)
    assert likeness.structure(pictures[0], pictures[0]).item() == pytest.approx(0, abs=1e-5)
    tiny = torch.rand(2, 3, 4, 4, requires_grad=True)
    likeness.structure(tiny, torch.rand(2, 3, 4, 4)).backward()
    assert tiny.grad.isfinite().all()


def test_squeeze_excite_in_training_is_the_references():
    dice = torch.Generator().manual_seed(0)
    x = ops.reference.instance_norm(torch.randn(2, 32, 8, 8, generator=dice))
    shortcut = torch.randn(2, 32, 8, 8, generator=dice)
    squeeze, excite = (torch.randn(*shape, 1, 1, generator=dice) for shape in ((2, 32), (32, 2)))
    wanted = ops.reference.squeeze_excite(x, squeeze, excite, shortcut)
    torch.testing.assert_close(ops.training.squeeze_excite(x, squeeze, excite, shortcut), wanted)


def test_bf16_where_it_is_emulated_is_said(monkeypatch):
    for features, said in ((("avx512_bf16",), False), (("amx_bf16",), False), ((), True)):
        has = {name: name in features for name in ("avx512_bf16", "amx_bf16")}
        monkeypatch.setattr(processor._native, "cpu_features", lambda has=has: has)
        processor.has_bf16.cache_clear()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            learner.Precision("cpu", "bf16")
        assert bool(seen) == said
        # Muon's iterations follow: the same step, to the precision of either type.
        made = muon.orthogonal(torch.eye(16)[None] * 3)
        torch.testing.assert_close(made[0].diag(), made[0, 0, 0].expand(16))
    processor.has_bf16.cache_clear()


def test_small_pictures_come_first(source):
    grown = replace(RGI, growth=((0, 16), (2, 32)), adversarial=0.0)
    tensors = networks.initial(TOY, 0)
    networks.still_above(tensors, 16)
    above = [name for name in tensors if name.startswith(("G.convs.4", "G.convs.5", "G.to_rgbs.2"))]
    before = {name: tensors[name].clone() for name in above}
    assert not before["G.to_rgbs.2.conv.weight"].any() and before["G.convs.5.conv.weight"].any()
    task = tasks.new(grown, tensors, None, "cpu", "fp32")
    for step in range(4):
        now = task.learners[tasks.MODEL].tensors
        assert all(torch.equal(now[name], before[name]) for name in above) == (step <= 2)
        task.step(source.batch(step, batches.generator(0, step), 0, 1, 4), step, None)
    for wrong in (((1, 16),), ((0, 32), (5, 16)), ((0, 12),), ((0, 64),)):
        with pytest.raises(ArgumentError, match="growth"):
            replace(grown, growth=wrong)
    with pytest.raises(ArgumentError, match="adversarial_from"):
        replace(grown, adversarial=1.0, adversarial_from=1)


SPREAD = """
import os, sys
from pathlib import Path
import torch
from e4s_engine.training import batches, faces, loop, networks, recipe, spread, tasks

torch.set_num_threads(1)
rank, world, device = spread.begin("cpu")
chosen = recipe.from_json(Path(sys.argv[1]).read_text())
source = batches.RenderedSwaps(faces.Faces(sys.argv[2], 32, 8), chosen.pool, True)
for recipe_, kind in ((chosen, "rgi"), (recipe.from_json(Path(sys.argv[4]).read_text()), "parser")):
    task = tasks.new(recipe_, networks.initial(recipe_.model, 0), None, device, "fp32")
    folder = Path(sys.argv[3]) / kind
    run = loop.Run(task, source, folder, recipe_, rank=rank, world=world)
    assert run.train()
    torch.save(run.averaged, Path(sys.argv[3]) / f"{kind}{rank}.pt")
spread.end()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="gloo over localhost is tried on Linux only")
def test_two_processes_take_the_same_steps(items, faces_cache, tmp_path):
    short = replace(SCHEDULE, steps=3)
    (tmp_path / "r.json").write_text(recipe.to_json(replace(RGI, schedule=short)))
    (tmp_path / "p.json").write_text(recipe.to_json(replace(PARSER, schedule=short)))
    (tmp_path / "spread.py").write_text(SPREAD)
    items.items([0])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        str(tmp_path / "spread.py"),
        str(tmp_path / "r.json"),
        str(faces_cache),
        str(tmp_path),
    ]
    shared = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    running = [
        subprocess.Popen([*command, str(tmp_path / "p.json")], env={**shared, "RANK": r, "LOCAL_RANK": r})
        for r in ("0", "1")
    ]
    assert [process.wait(100) for process in running] == [0, 0]
    for kind in ("rgi", "parser"):
        first, second = (torch.load(tmp_path / f"{kind}{rank}.pt") for rank in (0, 1))
        assert same(first, second)
        assert all(torch.isfinite(tensor).all() for tensor in first.values())
