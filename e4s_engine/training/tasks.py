"""Training tasks: a task takes steps on batches and previews its results."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from e4s_engine import ops, regions
from e4s_engine.networks.bisenet import parse
from e4s_engine.networks.network import Config
from e4s_engine.networks.rgi import decode, encode, likeness, relight
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.ops._fixed import Seams
from e4s_engine.photo.images import Pixels
from e4s_engine.testing.metrics import psnr
from e4s_engine.training import critic, losses, networks
from e4s_engine.training.batches import Batch, mixed_styles, unpacked
from e4s_engine.training.learner import Learner, Precision
from e4s_engine.training.recipe import ParserRecipe, RgiRecipe, Schedule, side_at

Figures = dict[str, Tensor]

CRITIC = "critic"
MODEL = "model"
_AT_ONCE = 4  # pictures of a preview in one pass


class Task(Protocol):
    """A training task. learners["model"] is averaged (EMA) and exported."""

    config: Config
    schedule: Schedule
    learners: dict[str, Learner]

    def step(self, batch: Batch, step: int, rng: np.random.Generator) -> Figures:
        """Take a training step on a batch; return the loss terms, on the device."""

    def preview(self, batch: Batch, tensors: Mapping[str, Tensor]) -> tuple[Pixels, dict[str, float]]:
        """Return a contact sheet of held-out pictures, and metrics over them."""


class Form(NamedTuple):
    """Variant of an RGI step: steps of one form issue the same launches."""

    side: int  # of the generated pictures
    judged: bool  # the loss has the adversarial term
    judges: bool  # the discriminator takes a step, too
    penalised: bool  # with the R1 penalty


class Rgi:
    """Training of an RGI model: reconstruction, and swaps with exact answers if the batches hold any."""

    def __init__(
        self,
        recipe: RgiRecipe,
        tensors: networks.Parameters,
        parser: Mapping[str, Tensor] | None,
        device: str,
        precision: Precision,
        fixed: bool = False,
    ) -> None:
        """tensors: initial parameters. parser: weights of the parser for the losses that use one.

        fixed: whether shapes must not depend on the batch, as a CUDA graph requires.
        """
        self.config: Config = recipe.model
        self.schedule, self._recipe = recipe.schedule, recipe
        self._device, self._precision = device, precision
        self._parser = losses.ParserLosses(parser) if parser is not None else None
        self.seams = Seams(device) if fixed else None
        self._training = ops.training if self.seams is None else self.seams.operations(ops.training)
        still = networks.frozen(
            recipe.model, recipe.freeze_convs, recipe.freeze_to_rgbs, recipe.freeze_encoder
        )
        trained = [name for name in tensors if networks.is_trained(name) and name not in still]
        slow = recipe.schedule.encoder_rate

        def rate(name: str) -> float:
            return recipe.schedule.rate * (slow if name.startswith("encoder.") else 1.0)

        self.learners = {MODEL: Learner(tensors, trained, recipe.schedule, precision, rate, fixed)}
        if recipe.adversarial:
            judge = critic.initial(recipe.model.size, recipe.critic_channels, recipe.seed + 1)
            judge = {name: tensor.to(device) for name, tensor in judge.items()}
            calm = dataclasses.replace(recipe.schedule, betas=(0.0, 0.99), muon=0.0)
            rate_of = recipe.critic_rate
            self.learners[CRITIC] = Learner(judge, judge, calm, precision, lambda _: rate_of, fixed)

    def step(self, batch: Batch, step: int, rng: np.random.Generator) -> Figures:
        """Implement `Task`."""
        self.aim(step)
        return self.learn(batch, self.form(step))

    @property
    def scaled(self) -> bool:
        """Return whether the loss is scaled, as in fp16."""
        return self._precision.scaler.is_enabled()

    def aim(self, step: int) -> None:
        """Set the rates of a step."""
        for learner in self.learners.values():
            learner.aim(step)

    def form(self, step: int) -> Form:
        """Return the form of a step."""
        recipe = self._recipe
        judged = recipe.adversarial > 0 and step >= recipe.adversarial_from
        judges = judged and step % recipe.adversarial_every == 0
        lazily = step // recipe.adversarial_every % recipe.r1_every == 0
        side = side_at(recipe.growth, step, recipe.model.size)
        return Form(side, judged, judges, judges and recipe.r1 > 0 and lazily)

    def learn(self, batch: Batch, form: Form) -> Figures:
        """Take a step of a form. Nothing else depends on the step's number, so the step may be replayed."""
        recipe, model = self._recipe, self.learners[MODEL]
        b = unpacked(batch, self._device)
        config = networks.shrunk(recipe.model, form.side)
        swaps = bool(recipe.swap) and "truth" in b
        with self._precision.context():
            if swaps:
                result, swapped = self._both(b, model.tensors, config, self._training)
            else:
                images = b["image"], b["image_labels"]
                result, swapped = self._reconstruct(*images, model.tensors, config, self._training), None
        if config.size < recipe.model.size:
            for name in ("image", "truth") if swaps else ("image",):
                b[name] = F.adaptive_avg_pool2d(b[name], config.size)
        total, figures = self._compare(result, b["image"], b["image_labels"])
        if swapped is not None:
            extra, others = self._compare(swapped, b["truth"], b["composed"])
            total = total + recipe.swap * extra
            figures["swap"] = others["l2"]
        if form.judged:
            fakes = result if swapped is None else torch.cat([result, swapped])
            judge = {name: t.detach() for name, t in self.learners[CRITIC].tensors.items()}
            with self._precision.context():
                figures["adv"] = losses.critic_for(critic.score(fakes, judge).float())
            total = total + recipe.adversarial * figures["adv"]
        model.descend(total)
        if form.judges:
            figures["critic"] = self._judge(b["image"], fakes[: len(result)].detach(), form.penalised)
        return {name: value.detach() for name, value in figures.items()}

    def preview(self, batch: Batch, tensors: Mapping[str, Tensor]) -> tuple[Pixels, dict[str, float]]:
        """Implement `Task`: a row shows target, reconstruction, exact answer, swap, source (photos: two)."""
        rows: list[list[Tensor]] = []
        with torch.inference_mode(), self._precision.context():
            for start in range(0, len(batch["flips"]), _AT_ONCE):
                b = unpacked({n: t[start : start + _AT_ONCE] for n, t in batch.items()}, self._device)
                if "truth" in b:
                    b |= {"image": b["target"], "image_labels": b["target_labels"]}
                    b["own"] = torch.zeros_like(b["own"])
                    result, swapped = self._both(b, tensors, self._recipe.model, ops.training)
                    cells = [b["target"], result, b["truth"], swapped, b["source"]]
                else:
                    image, labels = b["image"], b["image_labels"]
                    result = self._reconstruct(image, labels, tensors, self._recipe.model, ops.training)
                    cells = [image, result]
                rows += [list(row) for row in zip(*(c.float() for c in cells), strict=True)]
        alike = [1 - float(likeness.structure(row[1][None].clamp(-1, 1), row[0][None])) for row in rows]
        figures = {"recon_psnr": float(np.mean([decibels(row[1], row[0]) for row in rows]))}
        figures["recon_ssim"] = float(np.mean(alike))
        if "own" in batch:
            figures["swap_psnr"] = float(np.mean([decibels(row[3], row[2]) for row in rows]))
        return sheet(rows[:8]), figures

    def _reconstruct(
        self,
        image: Tensor,
        labels: Tensor,
        tensors: Mapping[str, Tensor],
        config: ModelConfig,
        operations: Any,
    ) -> Tensor:
        styles = encode.encode(operations, image, labels, tensors, config)
        return decode.decode(operations, styles, labels, tensors, config)

    def _both(
        self, b: Batch, tensors: Mapping[str, Tensor], config: ModelConfig, operations: Any
    ) -> tuple[Tensor, Tensor]:
        """Return each item's reconstruction and swap; source and target are encoded once for both."""
        pictures = torch.cat([b["source"], b["target"]])
        labels = torch.cat([b["source_labels"], b["target_labels"]])
        source, target = encode.encode(operations, pictures, labels, tensors, config).chunk(2)
        own = torch.where(b["own"][:, None, None], source, target)
        lit = source
        if config.relight:
            lit = relight.relight(source, target, relight.layers(tensors, torch.stack))
        styles = torch.cat([own, mixed_styles(lit, target, b)])
        masks = torch.cat([b["image_labels"], b["composed"]])
        result, swapped = decode.decode(operations, styles, masks, tensors, config).chunk(2)
        return result, swapped

    def _compare(self, result: Tensor, real: Tensor, labels: Tensor) -> tuple[Tensor, Figures]:
        """Return the weighted sum of the terms that need no discriminator, and each term."""
        recipe, result = self._recipe, result.float()
        weight = None
        if recipe.emphasis:
            weight = F.adaptive_avg_pool2d(losses.emphasis(labels, recipe.emphasis), result.shape[-1])
        figures = {"l2": likeness.l2(result, real, weight), "scales": likeness.scales(result, real, weight)}
        total = recipe.l2 * figures["l2"] + recipe.perceptual * figures["scales"]
        if recipe.structure:
            figures["structure"] = likeness.structure(result, real)
            total = total + recipe.structure * figures["structure"]
        if self._parser is not None and (recipe.perceptual or recipe.parsing):
            with self._precision.context():
                figures["features"], figures["parsing"] = self._parser(result, real, labels)
            total = total + recipe.perceptual * figures["features"] + recipe.parsing * figures["parsing"]
        return total, figures

    def _judge(self, real: Tensor, fake: Tensor, penalised: bool) -> Tensor:
        """Take a step of the discriminator, with the R1 penalty if `penalised` (lazy regularisation)."""
        recipe, judge = self._recipe, self.learners[CRITIC]
        with self._precision.context():
            scores = critic.score(torch.cat([real, fake.to(real.dtype)]), judge.tensors).float()
        loss = losses.critic_on(*scores.chunk(2))
        total = loss
        if penalised:
            total = total + recipe.r1 / 2 * recipe.r1_every * critic.penalty(real, judge.tensors)
        judge.descend(total)
        return loss


class Parser:
    """Training of a parser, which labels pictures."""

    def __init__(
        self, recipe: ParserRecipe, tensors: networks.Parameters, device: str, precision: Precision
    ) -> None:
        """tensors: initial parameters."""
        self.config: Config = recipe.model
        self.schedule, self._recipe = recipe.schedule, recipe
        self._device, self._precision = device, precision
        trained = [name for name in tensors if networks.is_trained(name)]
        rate = recipe.schedule.rate
        self.learners = {MODEL: Learner(tensors, trained, recipe.schedule, precision, lambda _: rate)}

    def step(self, batch: Batch, step: int, rng: np.random.Generator) -> Figures:
        """Implement `Task`."""
        model = self.learners[MODEL]
        b = unpacked(batch, self._device)
        side = side_at(self._recipe.growth, step, self._recipe.side)
        image = sized(jittered((b["image"] + 1) / 2, self._recipe.jitter, rng), side)
        with self._precision.context():
            taps = parse.features(ops.training, image, model.tensors)
            logits = parse.classify(ops.training, taps, side, side, model.tensors)
        # Compare every other pixel, from a random offset: that is the resolution of rendered pictures. Not
        # resized logits: with aligned corners their pixels are off by up to half a pixel of the picture.
        y, x = (int(i) for i in rng.integers(2, size=2))
        logits = logits[:, :, y::2, x::2]
        labels = ops.reference.resize_labels(b["image_labels"], *logits.shape[2:])
        entropy, dice = losses.labelling(logits, labels, self._recipe.dice)
        model.aim(step)
        model.descend(entropy + self._recipe.dice * dice)
        return {"entropy": entropy.detach(), "dice": dice.detach()}

    def preview(self, batch: Batch, tensors: Mapping[str, Tensor]) -> tuple[Pixels, dict[str, float]]:
        """Implement `Task`: a row shows picture, true and predicted labels; mean IoU over regions present."""
        palette = torch.from_numpy(regions.PALETTE).to(self._device).float() / 127.5 - 1
        rows: list[list[Tensor]] = []
        counts = torch.zeros(regions.COUNT, regions.COUNT, device=self._device)
        with torch.inference_mode(), self._precision.context():
            for start in range(0, len(batch["flips"]), _AT_ONCE):
                b = unpacked({n: t[start : start + _AT_ONCE] for n, t in batch.items()}, self._device)
                image = sized((b["image"] + 1) / 2, self._recipe.side)
                labels = parse.logits(ops.reference, image, tensors).argmax(1)
                truth = ops.reference.resize_labels(b["image_labels"], *labels.shape[1:]).long()
                index = (truth * regions.COUNT + labels).flatten()
                counts += torch.bincount(index, minlength=regions.COUNT**2).view(regions.COUNT, -1)
                shown = [image * 2 - 1, palette[truth].movedim(-1, 1), palette[labels].movedim(-1, 1)]
                rows += [list(row) for row in zip(*shown, strict=True)]
        either = counts.sum(0) + counts.sum(1) - counts.diagonal()
        there = counts.sum(1) > 0
        return sheet(rows[:6]), {"miou": float((counts.diagonal()[there] / either[there]).mean())}


def jittered(image: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Vary the light of pictures [N,3,S,S] in [0, 1]: contrast, brightness, a tint and some noise."""
    if not strength:
        return image
    n = len(image)

    def draw(low: float, high: float, *shape: int) -> Tensor:
        return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32)).to(image.device)

    gain = 1 + strength * draw(-1, 1, n, 1, 1, 1) + strength / 3 * draw(-1, 1, n, 3, 1, 1)
    shift = strength / 2 * draw(-1, 1, n, 1, 1, 1)
    noise = draw(-0.5, 0.5, *image.shape) * draw(0, strength / 3, n, 1, 1, 1)
    return ((image - 0.5) * gain + 0.5 + shift + noise).clamp(0, 1)


def sized(image: Tensor, side: int) -> Tensor:
    """Resize pictures to the side of a network's input."""
    return image if image.shape[-1] == side else ops.reference.resize(image, side, side, "bilinear")


def decibels(a: Tensor, b: Tensor) -> float:
    """Return the PSNR of pictures in [-1, 1] in dB, at most 100."""
    return psnr(a.float().cpu().numpy(), b.float().cpu().numpy(), cap=100.0)


def sheet(rows: list[list[Tensor]]) -> Pixels:
    """Join rows of pictures [3,S,S] into one picture [H,W,3]."""
    grid = torch.cat([torch.cat([cell.float() for cell in row], 2) for row in rows], 1)
    return np.ascontiguousarray(ops.reference.to_uint8(grid[None])[0].cpu().numpy())


def new(
    recipe: RgiRecipe | ParserRecipe,
    tensors: networks.Parameters,
    parser: Mapping[str, Tensor] | None,
    device: str,
    precision: str,
    fixed: bool | None = None,
) -> Task:
    """Return the task of a recipe, with its tensors on the device. fixed: as in `Rgi`; None: on GPUs only."""
    placed = {name: tensor.to(device) for name, tensor in tensors.items()}
    how = Precision(device, precision)
    if isinstance(recipe, ParserRecipe):
        return Parser(recipe, placed, device, how)
    seen: Any = None if parser is None else {name: tensor.to(device) for name, tensor in parser.items()}
    fixed = device.startswith("cuda") if fixed is None else fixed
    return Rgi(recipe, placed, seen, device, how, fixed)
