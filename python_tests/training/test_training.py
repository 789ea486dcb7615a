"""Training at a tiny size: data, steps, stopping and resuming, import and export."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import metrics
from e4s_engine import cli, ops, regions, weights
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, E4SError, WeightsError
from e4s_engine.networks import registry
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.rgi import decode, likeness
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.pipeline import compose
from e4s_engine.training import (
    batches,
    faces,
    learner,
    loop,
    losses,
    muon,
    networks,
    processor,
    recipe,
    tasks,
)
from e4s_engine.training.found import Found
from e4s_engine.training.photos import PARTS, Photos

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


@pytest.fixture(scope="session")
def items(faces_cache):
    return faces.Faces(faces_cache, 32, 8)


@pytest.fixture
def source(items):
    return batches.RenderedSwaps(items, POOL, flip=True)


def new_run(chosen, source, folder, **options):
    torch.manual_seed(0)
    kind = {"parser": None, "device": "cpu", "precision": "fp32"}
    task = tasks.new(chosen, networks.initial(chosen.model, chosen.seed), **kind)
    return loop.Run(task, source, folder, chosen, save_every=100, sheet_every=100, **options)


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_rendered_items_are_swaps_with_their_answers(items):
    pictures = items.items(range(8))
    assert pictures.shape == (8, 3, 32, 32, 4)
    chosen = [faces.choice(items.first, i) for i in range(64)]
    assert 0.3 < chosen.count(None) / 64 < 0.6 and len(set(chosen)) == len(faces.CHOICES)
    again = faces.swap_of(*faces.seeds(items.first, 3), chosen[3])
    drawn = faces.synth.render(*again.pairs()[faces.TRUTH], 32)
    assert np.array_equal(drawn.image, pictures[3, faces.TRUTH, ..., :3])
    assert np.array_equal(drawn.labels, pictures[3, faces.TRUTH, ..., 3])


def test_training_seeds_are_no_test_seeds():
    lowest = min(faces.seeds(faces.FIRST_TRAINING_SEED, 0))
    highest = max(faces.seeds(faces.FIRST_PREVIEW_SEED, faces.SHARD - 1))
    assert 500_000 < faces.FIRST_PREVIEW_SEED <= highest < lowest


def test_a_shard_is_the_same_from_another_process(items, tmp_path):
    elsewhere = faces.Faces(tmp_path, 32, 8, workers=1)
    try:
        assert np.array_equal(elsewhere.items([5]), items.items([5]))
    finally:
        elsewhere.close()


def test_batches_depend_on_seed_and_step_alone(source):
    def batch(step, rank=0, world=1):
        return source.batch(step, batches.generator(0, step), rank, world, 4)

    assert same(batch(3), batch(3))
    assert not same(batch(3), batch(4))
    halves = [batch(3, rank, 2) for rank in (0, 1)]
    assert torch.equal(torch.stack([h["pictures"] for h in halves], 1).flatten(0, 1), batch(3)["pictures"])


def test_mirrored_items_are_mirrored_altogether(source):
    batch = source.batch(0, batches.generator(0, 0), 0, 1, 4)
    batch["flips"] = torch.tensor([False] * 4)
    plain = batches.unpacked(batch, "cpu")
    batch["flips"] = torch.tensor([True, False, True, False])
    mirrored = batches.unpacked(batch, "cpu")
    for name in ("image", "truth", "source_labels", "composed"):
        assert torch.equal(mirrored[name][::2], plain[name][::2].flip(-1))
        assert torch.equal(mirrored[name][1::2], plain[name][1::2])
    picked = torch.where(batch["own"][:, None, None], plain["source_labels"], plain["target_labels"])
    assert torch.equal(plain["image_labels"], picked)


def test_the_pool_grows_with_the_steps(items):
    source = batches.RenderedSwaps(items, recipe.Pool(16, 0.5, 40), flip=False)
    source._items = range(40)
    assert [source._available(step) for step in (0, 15, 16, 48, 1000)] == [16, 16, 24, 40, 40]


def test_mixed_styles_are_those_of_compose():
    rng = np.random.default_rng(0)
    given = rng.standard_normal((2, 6, 12, 8)).astype(np.float32)
    given[rng.random((2, 6, 12)) < 0.3] = 0
    labels = rng.integers(0, 12, (2, 6, 16, 16)).astype(np.uint8)
    chosen = [None, None, None, (regions.EYES,), (regions.EARS, regions.MOUTH), (regions.HAIR, regions.LIPS)]
    made = batches.composition(labels[0], labels[1], chosen)
    batch = {name: torch.from_numpy(array) for name, array in made.items()}
    mixed = batches.mixed_styles(*map(torch.from_numpy, given), batch).numpy()
    for i, ids in enumerate(chosen):
        source, target = given[0, i], given[1, i]
        if ids is None:
            wanted = compose.whole_face_styles(source, target)
            parts = [(source, regions.FACE)]
            assert np.array_equal(made["composed"][i], compose.whole_face_labels(*labels[:, i])[0])
        else:
            parts = [(source, ids)]
            wanted = compose.region_styles(parts, target)
        assert np.array_equal(mixed[i], compose.complete_styles(wanted, parts, target))


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


def rosinality(path, config):
    made = networks.initial(config, 7)
    state = {name.removeprefix("G."): t for name, t in made.items() if name.startswith("G.")}
    state["style.1.weight"] = torch.zeros(4, 4)
    latent = torch.linspace(-1, 1, config.latent_dim)
    torch.save({"g_ema": state, "latent_avg": latent}, path)
    return state, latent


def test_starts_from_a_stylegan2_and_freezes_as_published(source, tmp_path):
    state, latent = rosinality(tmp_path / "g.pt", TOY)
    tensors = networks.initial(TOY, 0)
    networks.load_stylegan2(tmp_path / "g.pt", tensors)
    assert torch.equal(tensors["G.convs.3.conv.weight"], state["convs.3.conv.weight"])
    assert torch.equal(tensors["latent_avg"], latent.expand(8, -1))
    chosen = replace(RGI, freeze_convs=4, freeze_to_rgbs=3, adversarial=0.0)
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    task = tasks.new(chosen, tensors, None, "cpu", "fp32")
    task.step(source.batch(0, batches.generator(0, 0), 0, 1, 4), 0, batches.generator(0, 0))
    after = task.learners["model"].tensors
    still = {name for name in after if torch.equal(after[name], before[name])}
    frozen = networks.frozen(TOY, 4, 3, encoder=False)
    assert frozen <= still and "latent_avg" in still and "G.noises.noise_1" in still
    assert {n.split(".")[2] for n in frozen if n.startswith("G.convs.")} == {"2", "3", "4", "5"}
    assert "G.convs.0.conv.weight" not in still and "MLPs.0.mlp.0.weight" not in still


def test_the_encoder_may_stay_as_it_is(source):
    chosen = replace(MUON, freeze_encoder=True, adversarial=0.0)
    tensors = networks.initial(MUON.model, 0)
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    task = tasks.new(chosen, tensors, None, "cpu", "fp32")
    task.step(source.batch(0, batches.generator(0, 0), 0, 1, 4), 0, batches.generator(0, 0))
    after = task.learners["model"].tensors
    still = {name for name in after if torch.equal(after[name], before[name])}
    assert {name for name in after if name.startswith("encoder.")} <= still
    assert "MLPs.6.mlp.0.weight" not in still and "relight.6.outer.weight" not in still


def test_a_frozen_encoder_has_to_come_from_somewhere(tmp_path, capsys):
    arguments = ["train", "rgi", "-o", str(tmp_path / "run"), "--set", "freeze_encoder=true"]
    assert cli.main([*arguments, "--recipe", "demo-cpu-more", "--cache", str(tmp_path)]) == 1
    assert "freeze_encoder" in capsys.readouterr().err


def test_mlps_grow_without_a_change(tmp_path):
    narrow = networks.initial(TOY, 0)
    weights.save(networks.to_model(narrow, TOY), tmp_path / "m.safetensors")
    config = replace(TOY, mlp_hidden=24, relight=16)
    wide = networks.from_file(tmp_path / "m.safetensors", config, 1)
    assert {n: t.shape for n, t in wide.items()} == registry.tensors(config)
    styles = torch.randn(2, 12, TOY.style_dim, generator=torch.Generator().manual_seed(0))
    codes = [decode.style_codes(ops.reference, styles, tensors) for tensors in (narrow, wide)]
    torch.testing.assert_close(codes[1], codes[0], rtol=1e-5, atol=1e-5)
    added = wide["MLPs.3.mlp.0.weight"][16:]
    # New units have random inputs and zero outputs: they change nothing yet, but can learn.
    assert added.std() > 0.5 and not wide["MLPs.3.mlp.2.weight"][:, 16:].any()
    for other in (replace(TOY, mlp_hidden=8), replace(config, latent_dim=24)):
        with pytest.raises(WeightsError, match="the recipe says"):
            networks.from_file(tmp_path / "m.safetensors", other, 1)


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


def test_a_stylegan2_of_another_size_is_refused(tmp_path):
    rosinality(tmp_path / "g.pt", replace(TOY, channels=(16, 16, 8, 8)))
    with pytest.raises(WeightsError, match="expected"):
        networks.load_stylegan2(tmp_path / "g.pt", networks.initial(TOY, 0))
    torch.save([1], tmp_path / "g.pt")
    with pytest.raises(WeightsError, match="list"):
        networks.load_stylegan2(tmp_path / "g.pt", networks.initial(TOY, 0))


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def picture():
    rng = np.random.default_rng(0)
    labels = np.zeros((64, 64), np.uint8)
    labels[8:56, 8:56], labels[10:20, 10:50] = 1, 17  # skin and hair, to BiSeNet
    return rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), labels


def test_ffhq_layout_with_broken_files(picture, tmp_path, capsys):
    image, labels = picture
    for i in range(4):
        write(tmp_path / "images1024" / "00000" / f"{i:05d}.png", image)
        write(tmp_path / "BiSeNet_mask" / "00000" / f"{i:05d}.png", labels)
    (tmp_path / "images1024" / "00000" / "00001.png").write_bytes(b"not a picture")
    (tmp_path / "BiSeNet_mask" / "00000" / "00002.png").unlink()
    write(tmp_path / "BiSeNet_mask" / "00000" / "00003.png", labels + 90)
    photos = Photos(tmp_path, 32)
    pictures = [photos.item(i) for i in range(4)]
    assert all(np.array_equal(p, pictures[0]) for p in pictures)  # only one is intact
    assert set(np.unique(pictures[0][..., 3])) == {regions.BACKGROUND, regions.SKIN, regions.HAIR}
    assert {Path(name).name for name in photos.broken} == {"00001.png", "00002.png", "00003.png"}
    out = tmp_path / "run"
    small = recipe.to_json(replace(PARSER, schedule=replace(SCHEDULE, steps=2, batch=2)))
    (tmp_path / "small.json").write_text(small)
    options = ["--recipe", str(tmp_path / "small.json"), "--data", str(tmp_path), "--device", "cpu"]
    assert cli.main(["train", "parser", "-o", str(out), *options]) == 0
    said = capsys.readouterr()
    assert "done" in said.out and "00001.png" in said.err
    assert weights.load(out / "model.safetensors", "parser").config == TOY_PARSER


def test_celebamask_layouts(picture, tmp_path):
    image, _ = picture
    skin, lip = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    skin[8:56, 8:56], lip[40:44, 20:40] = 255, 255
    write(tmp_path / "CelebA-HQ-img" / "3.jpg", image)
    for part, mask in (("skin", skin), ("u_lip", lip)):
        write(tmp_path / "CelebAMask-HQ-mask-anno" / "0" / f"00003_{part}.png", mask)
    by_parts = Photos(tmp_path, 64).item(0)
    merged = np.where(lip > 0, 1 + PARTS.index("u_lip"), np.where(skin > 0, 1, 0)).astype(np.uint8)
    write(tmp_path / "labels" / "3.png", merged)
    by_map = Photos(tmp_path, 64).item(0)
    assert np.array_equal(by_parts, by_map)
    assert by_map[42, 30, 3] == regions.LIPS and by_map[20, 20, 3] == regions.SKIN


def test_folders_of_no_layout_or_nothing_whole(tmp_path):
    with pytest.raises(ArgumentError, match="images1024"):
        Photos(tmp_path, 32)
    (tmp_path / "images1024").mkdir()
    (tmp_path / "images1024" / "1.png").write_bytes(b"")
    with pytest.raises(ArgumentError, match="none of the 1"):
        Photos(tmp_path, 32).item(0)


def test_the_command_trains_and_the_engine_loads_it(faces_cache, tmp_path, capsys):
    (tmp_path / "toy.json").write_text(recipe.to_json(RGI))
    options = ["--recipe", str(tmp_path / "toy.json"), "--cache", str(faces_cache), "--device", "cpu"]
    weights.save(networks.to_model(networks.initial(TOY_PARSER, 0), TOY_PARSER), tmp_path / "p.safetensors")
    options += ["--labels-by", str(tmp_path / "p.safetensors")]
    out = tmp_path / "run"
    assert cli.main(["train", "rgi", "-o", str(out), *options, "--set", "schedule.steps=2"]) == 0
    assert {p.name for p in out.iterdir()} >= {
        "recipe.json",
        "log.jsonl",
        "checkpoint.pt",
        "model.safetensors",
    }
    assert [p.name for p in (out / "sheets").iterdir()] == ["0000002.png"]
    exported = weights.load(out / "model.safetensors", "rgi")
    count = sum(tensor.size for tensor in exported.tensors.values())
    assert (out / "model.safetensors").stat().st_size < 2 * count + 100_000
    with Engine(out / "model.safetensors", parser=None, device="cpu") as engine:
        made = faces.synth.render(faces.synth.person(1), faces.synth.scene(1), 64, 1)
        assert engine.reconstruct(made.image, made.labels).face.shape == (32, 32, 3)
    assert cli.main(["train", "rgi", "-o", str(out), *options, "--resume"]) == 0
    assert cli.main(["train", "rgi", "-o", str(out), "--recipe", "nonsense"]) == 1
    assert "expected a file or one of" in capsys.readouterr().err
    assert cli.main(["train", "rgi", "-o", str(out), *options, "--data", str(tmp_path)]) == 1
    assert "--labels-by: it is for rendered faces" in capsys.readouterr().err


def test_labels_as_a_parser_finds_them(items, tmp_path):
    copied = faces.Faces(tmp_path, 32, 8)
    for shard in range(copied.shards):
        items.items([shard * faces.SHARD])
        copied.path(shard).write_bytes(items.path(shard).read_bytes())
    parser = networks.initial(TOY_PARSER, 0)
    exact, found = copied.items([5, 2]), Found(copied, parser).items([5, 2])
    assert np.array_equal(found[..., :3], exact[..., :3])
    weights.save(networks.to_model(parser, TOY_PARSER), tmp_path / "p.safetensors")
    with Engine(None, parser=tmp_path / "p.safetensors", device="cpu") as engine:
        seen = engine.parse(exact[1, faces.SOURCE, ..., :3].copy(), align=False)
    near = found[1, faces.SOURCE, ..., 3] == regions.resize_nearest(seen, 32)
    assert near.mean() > 0.9  # the engine enlarges pictures by another filter
    # Labels are cached: the next time they are read from there; another parser's are separate.
    kept = sorted(tmp_path.glob("labels-*.npy"))
    assert len(kept) == 1
    other = Found(copied, networks.initial(TOY_PARSER, 1))
    assert len(other) == 8 and not np.array_equal(other.items([5, 2])[..., 3], found[..., 3])
    np.save(kept[0], np.full((8, 3, 32, 32), 7, np.uint8))
    assert (Found(copied, parser).items([0])[..., 3] == 7).all()
    np.save(kept[0], np.zeros(3, np.uint8))
    with pytest.raises(ArgumentError, match="delete it"):
        Found(copied, parser).items([0])


def test_half_precision_refuses_what_it_cannot_hold(tmp_path):
    model = weights.random_model(TOY)
    model.tensors["latent_avg"][0, 0] = 1e6
    with pytest.raises(WeightsError, match="float16"):
        weights.save(model, tmp_path / "m.safetensors", half=True)


def test_recipes_as_json_and_changed():
    for chosen in recipe.NAMED.values():
        assert recipe.from_json(recipe.to_json(chosen)) == chosen
    changed = recipe.changed(RGI, ["l2=3", "schedule.steps=7", "model.channels=[8,8,8,8]"])
    assert (changed.l2, changed.schedule.steps, changed.model.channels) == (3.0, 7, (8, 8, 8, 8))
    together = recipe.changed(RGI, ["model.size=64", "model.channels=[16,16,16,16,8]", "model.latents=10"])
    assert (together.model.size, together.model.latents) == (64, 10)  # neither fits the model alone
    for wrong in ("l2", "nothing=1", "schedule.steps=a", "model.size=7", "seed.x=1", "model=1"):
        with pytest.raises(E4SError):
            recipe.changed(RGI, [wrong])
    with pytest.raises(ArgumentError):
        recipe.from_json("{}")


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


def test_shipped_recipes_fit_the_wheel():
    shapes = [networks.registry.tensors(recipe.NAMED[name].model) for name in ("demo", "parser-demo")]
    count = sum(int(np.prod(shape)) for model in shapes for shape in model.values())
    assert 2 * count < 25e6


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
