"""What training starts from, its recipes, the command, and the files that it leaves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from training_tools import (
    MUON,
    RGI,
    TOY,
    TOY_PARSER,
)

from e4s_engine import cli, ops, weights
from e4s_engine.engine import Engine
from e4s_engine.errors import ArgumentError, E4SError, WeightsError
from e4s_engine.networks import registry
from e4s_engine.networks.rgi import decode
from e4s_engine.training import (
    batches,
    faces,
    networks,
    recipe,
    tasks,
)


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


def test_a_stylegan2_of_another_size_is_refused(tmp_path):
    rosinality(tmp_path / "g.pt", replace(TOY, channels=(16, 16, 8, 8)))
    with pytest.raises(WeightsError, match="expected"):
        networks.load_stylegan2(tmp_path / "g.pt", networks.initial(TOY, 0))
    torch.save([1], tmp_path / "g.pt")
    with pytest.raises(WeightsError, match="list"):
        networks.load_stylegan2(tmp_path / "g.pt", networks.initial(TOY, 0))


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
    kept = (out / "checkpoint.pt").read_bytes()
    assert cli.main(["train", "rgi", "-o", str(out), *options]) == 1  # hours of training would be lost
    assert (out / "checkpoint.pt").read_bytes() == kept
    assert cli.main(["train", "rgi", "-o", str(out), *options, "--resume"]) == 0
    assert cli.main(["train", "rgi", "-o", str(out), "--recipe", "nonsense"]) == 1
    assert "expected a file or one of" in capsys.readouterr().err
    assert cli.main(["train", "rgi", "-o", str(out), *options, "--overwrite", "--data", str(tmp_path)]) == 1
    assert "--labels-by: it is for rendered faces" in capsys.readouterr().err


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


def test_shipped_recipes_fit_the_wheel():
    shapes = [networks.registry.tensors(recipe.NAMED[name].model) for name in ("demo", "parser-demo")]
    count = sum(int(np.prod(shape)) for model in shapes for shape in model.values())
    assert 2 * count < 25e6
