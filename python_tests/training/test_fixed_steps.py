"""Training steps of fixed shapes: the ordinary steps' sums, and nothing that a CUDA graph cannot hold."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.ops import _fixed, region_linear, regional_conv, to_rgb
from e4s_engine.training import batches, captured, learner, networks, recipe, tasks

TOY = ModelConfig(
    size=32, channels=(16, 16, 16, 8), latents=8, latent_dim=16, injected=8, mlp_hidden=16, stem=8,
    stages=((16, 1), (16, 1), (16, 1), (16, 1)), encoder_size=32, relight=16,
)  # fmt: skip
PARSER = ParserConfig(12, (8, 8, 8, 16, 16), context=8, fusion=16, table="regions")
SCHEDULE = recipe.Schedule(
    steps=6,
    batch=4,
    rate=2e-3,
    muon=5e-3,
    warmup=2,
    decay="cosine",
    decay_from=2,
    betas=(0.9, 0.99),
    clip=5.0,
)
RGI = recipe.RgiRecipe(
    TOY, SCHEDULE, adversarial=0.01, adversarial_from=2, adversarial_every=2, r1=1.0, r1_every=2,
    critic_channels=8, swap=0.5, emphasis=0.3, structure=0.25, growth=((0, 16), (2, 32)),
)  # fmt: skip


def labels_of(dice, *shape):
    """Return label maps of blocks of 4 x 4 pixels."""
    small = torch.randint(0, 12, (*shape[:-2], shape[-2] // 4, shape[-1] // 4), generator=dice)
    return small.repeat_interleave(4, -1).repeat_interleave(4, -2).to(torch.uint8)


def batch_of(seed, n=4, side=32):
    dice = torch.Generator().manual_seed(seed)
    labels = labels_of(dice, n, 3, side, side).unsqueeze(-1)
    colours = torch.randint(0, 256, (n, 3, side, side, 3), generator=dice).to(torch.uint8)
    pictures = torch.cat([colours, labels], -1).numpy()
    made = batches.composition(pictures[:, 0, ..., 3], pictures[:, 1, ..., 3], [None, (6,), None, (2,)][:n])
    flips, own = np.arange(n) % 2 == 0, np.arange(n) % 3 == 0
    return batches.tensors_of(pictures=pictures, flips=flips, own=own, **made)


def task_of(fixed, chosen=RGI):
    tensors, parser = networks.initial(chosen.model, 0), networks.initial(PARSER, 1)
    return tasks.new(chosen, tensors, parser, "cpu", "fp32", fixed=fixed)


@pytest.mark.parametrize("upsample", [False, True])
@pytest.mark.parametrize("blocks", [True, False])
def test_fixed_convolutions_are_the_references(upsample, blocks):
    dice, kind = torch.Generator().manual_seed(0), torch.float64
    side = 32 if upsample else 16

    def leaf(*shape):
        return torch.randn(*shape, generator=dice, dtype=kind).requires_grad_()

    x, weight, styles, gain, bias = leaf(2, 8, 16, 16), leaf(6, 8, 3, 3), leaf(2, 12, 8), leaf(1), leaf(6)
    noise = torch.randn(1, 1, side, side, generator=dice, dtype=kind)
    labels = labels_of(dice, 2, side, side)
    if not blocks:
        labels = torch.randint(0, 12, labels.shape, generator=dice).to(torch.uint8)
    seams = _fixed.Seams("cpu")
    results = []
    for convolve in (regional_conv.reference, seams.regional_conv):
        y = convolve(x, weight, styles, labels, upsample=upsample, noise=noise, noise_gain=gain, bias=bias)
        gradients = torch.autograd.grad((y * y.detach().cos()).sum(), (x, weight, styles, gain, bias))
        results.append((y, *gradients))
    for wanted, got in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)  # some sums are in fp32
    assert 0 < seams.fullness() <= 2 / 3


def test_fixed_colours_and_mlps_are_the_references():
    dice, kind = torch.Generator().manual_seed(0), torch.float64
    x, weight, styles = (
        torch.randn(*shape, generator=dice, dtype=kind).requires_grad_()
        for shape in ((2, 8, 16, 16), (3, 8, 1, 1), (2, 12, 8))
    )
    bias = torch.randn(1, 3, 1, 1, generator=dice, dtype=kind)
    skip = torch.randn(2, 3, 8, 8, generator=dice, dtype=kind)
    labels = labels_of(dice, 2, 16, 16)
    results = []
    for colour in (to_rgb.reference, _fixed.rgb):
        y = colour(x, weight, styles, labels, bias, skip)
        results.append((y, *torch.autograd.grad(y.square().sum(), (x, weight, styles))))
    for wanted, got in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted)
    matrices, biases = torch.randn(12, 5, 8, generator=dice, dtype=kind), torch.randn(12, 5, dtype=kind)
    given = (styles, list(matrices), list(biases))
    for slope in (None, 0.01):
        wanted = region_linear.reference(*given, slope=slope)
        torch.testing.assert_close(_fixed.region_linear(*given, slope=slope), wanted)


def test_a_list_that_is_too_short_says_so():
    dice = torch.Generator().manual_seed(0)
    x, weight, styles = (torch.randn(*s, generator=dice) for s in ((2, 8, 16, 16), (6, 8, 3, 3), (2, 12, 8)))
    rest = {"noise": torch.zeros(1, 1, 16, 16), "noise_gain": torch.zeros(1), "bias": torch.zeros(6)}
    calm, busy = torch.zeros(2, 16, 16).to(torch.uint8), torch.randint(0, 12, (2, 16, 16), generator=dice)
    busy = busy.to(torch.uint8)
    seams = _fixed.Seams("cpu")
    y = seams.regional_conv(x, weight, styles, calm, **rest)
    torch.testing.assert_close(y, regional_conv.reference(x, weight, styles, calm, **rest))
    seams.measuring = False
    seams.regional_conv(x, weight, styles, busy, **rest)
    assert seams.fullness() > 1
    assert seams.fullness() == 0  # since the last call
    seams.measuring = True
    y = seams.regional_conv(x, weight, styles, busy, **rest)
    torch.testing.assert_close(y, regional_conv.reference(x, weight, styles, busy, **rest))
    assert seams.fullness() < 1


def test_fixed_steps_have_the_ordinary_losses_and_gradients():
    ordinary, fixed = task_of(False), task_of(True)
    for step in range(6):
        # Start from the same parameters: Muon makes full steps of mere rounding differences.
        for name, own in ordinary.learners.items():
            for key, tensor in fixed.learners[name].tensors.items():
                tensor.data.copy_(own.tensors[key])
        figures = [task.step(batch_of(step), step, None) for task in (ordinary, fixed)]
        assert figures[0].keys() == figures[1].keys()
        for name, value in figures[0].items():
            assert figures[1][name].item() == pytest.approx(value.item(), rel=1e-4), name
        for name in ordinary.learners if step % 2 == 0 and step >= 2 else [tasks.MODEL]:
            pair = [task.learners[name].tensors for task in (ordinary, fixed)]
            wanted, got = (
                torch.cat([t.grad.flatten() for t in tensors.values() if t.grad is not None])
                for tensors in pair
            )
            assert (got - wanted).norm() < 1e-3 * wanted.norm()
    forms = {fixed.form(step) for step in range(6)}
    assert {form.side for form in forms} == {16, 32} and len(forms) == 4
    assert sum(form.penalised for form in forms) == 1


@pytest.mark.sweep
def test_fixed_steps_end_where_ordinary_ones_do():
    chosen = replace(
        RGI, adversarial=0.0, model=replace(TOY, relight=0), schedule=replace(SCHEDULE, muon=0.0)
    )
    pair = [task_of(fixed, chosen) for fixed in (False, True)]
    for step in range(6):
        seen = [task.step(batch_of(step), step, None) for task in pair]
    for name, value in seen[0].items():
        assert seen[1][name].item() == pytest.approx(value.item(), rel=2e-3), name
    begun = networks.initial(chosen.model, 0)
    wanted, got = (
        torch.cat([(t.detach() - begun[n]).flatten() for n, t in task.learners[tasks.MODEL].tensors.items()])
        for task in pair
    )
    # Adam divides gradients by their size: those that are mere rounding may have either sign.
    assert (got - wanted).norm() < 0.05 * wanted.norm()


def test_rates_on_the_device_take_the_same_steps(tmp_path):
    dice = torch.Generator().manual_seed(0)
    begun = {
        "G.a": torch.randn(1, 32, 16, 3, 3, generator=dice),
        "encoder.b": torch.randn(20, 40, generator=dice),
    }
    begun["G.c"] = torch.randn(64, generator=dice)
    goals = {name: torch.randn(t.shape, generator=dice) for name, t in begun.items()}

    def new(fixed):
        tensors = {name: tensor.clone() for name, tensor in begun.items()}
        how = learner.Precision("cpu", "fp32")
        return learner.Learner(tensors, tensors, SCHEDULE, how, lambda name: 1e-2, fixed)

    pair = [new(False), new(True)]

    def advance(one, steps):
        for step in steps:
            one.aim(step)
            one.descend(sum((one.tensors[name] - goal).square().sum() for name, goal in goals.items()))

    for one in pair:
        advance(one, range(4))
    # Each continues from the other's checkpoint.
    kept = [tmp_path / "ordinary.pt", tmp_path / "fixed.pt"]
    for one, path in zip(pair, kept, strict=True):
        torch.save(one.state(), path)
        advance(one, range(4, 6))
    crossed = [new(True), new(False)]
    for one, path in zip(crossed, kept, strict=True):
        one.restore(torch.load(path))
        advance(one, range(4, 6))
    for one in (pair[1], *crossed):
        for name, first in begun.items():
            torch.testing.assert_close(one.tensors[name], pair[0].tensors[name])
            assert not torch.equal(one.tensors[name], first)


class Watch(TorchDispatchMode):
    """Collector of operations and the devices of their tensors."""

    def __init__(self):
        super().__init__()
        self.names, self.devices = set(), set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.names.add(str(func.overloadpacket))
        leaves = tree_leaves((args, kwargs, result))
        self.devices |= {leaf.device.type for leaf in leaves if isinstance(leaf, torch.Tensor)}
        return result


# Operations that read values back, or whose shape depends on them.
WAITING = {
    "_local_scalar_dense",
    "item",
    "nonzero",
    "masked_select",
    "bincount",
    "_unique2",
    "unique_dim",
    "equal",
}


@pytest.mark.sweep
def test_nothing_of_a_fixed_step_waits_for_the_device():
    task = task_of(True)
    forms = {task.form(step): step for step in range(6)}
    for measuring in (True, False):
        task.seams.measuring = measuring
        for form, step in forms.items():
            with Watch() as watch:
                task.aim(step)
                task.learn(batch_of(step), form)
            reading = {name for name in watch.names if name.removeprefix("aten.") in WAITING}
            assert reading == ({"aten._local_scalar_dense"} if measuring else set())
    with Watch() as watch:  # the ordinary step does use them
        task_of(False).step(batch_of(0), 0, None)
    assert {"aten.nonzero", "aten._local_scalar_dense"} <= watch.names


def test_nothing_of_a_fixed_step_comes_from_the_host(monkeypatch):
    """On the meta device there are no values: reading one raises, and a constant from the host shows."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: None)  # fused Adam cannot handle meta tensors
    monkeypatch.setattr(_fixed.Seams, "capacity", lambda self, layer, counts: 64)

    def meta(tensors):
        return {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}

    how = learner.Precision("cpu", "fp32")
    parameters, parser = meta(networks.initial(TOY, 0)), meta(networks.initial(PARSER, 1))
    task = tasks.Rgi(RGI, parameters, parser, "meta", how, fixed=True)
    batch = meta(batch_of(0))
    for step in range(6):
        task.aim(step)
        task.learn(batch, task.form(step))  # the first call puts constants on the device
        with Watch() as watch:
            task.learn(batch, task.form(step))
        assert watch.devices == {"meta"}


def test_why_steps_are_not_captured_is_said():
    fixed, ordinary, said = task_of(True), task_of(False), []
    assert isinstance(captured.steps(fixed, "cpu", 1, said.append), captured.Eager)
    assert said == []  # no graph is expected on a CPU
    for task, world in ((ordinary, 1), (fixed, 2)):
        assert isinstance(captured.steps(task, "cuda:0", world, said.append), captured.Eager)
    assert "fixed shapes" in said[0] and "several processes" in said[1]
