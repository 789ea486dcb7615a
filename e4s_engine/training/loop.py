"""The training loop: steps, progress, contact sheets, checkpoints, and stopping without loss.

A run's folder holds `recipe.json`, `log.jsonl`, `sheets/`, `checkpoint.pt` and `model.safetensors`, the EMA
of the weights at the last checkpoint (half precision). No random state is carried from step to step: every
draw is a function of (seed, step). Resuming therefore needs only the parameters, the optimiser state and the
step, and on the CPU a resumed run ends bit for bit where the uninterrupted one does.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from tqdm import tqdm

from e4s_engine import weights
from e4s_engine.errors import ArgumentError, WeightsError
from e4s_engine.photo import images
from e4s_engine.photo.files import replacing
from e4s_engine.training import batches, captured, networks, recipe, spread
from e4s_engine.training.batches import Batch, Source
from e4s_engine.training.learner import follow
from e4s_engine.training.tasks import MODEL, Task

CHECKPOINT, EXPORT = "checkpoint.pt", "model.safetensors"
FORMAT = "e4s_engine training 2"
_READ_EVERY = 10  # steps between reads of the losses, each of which waits for the device


class Run:
    """One training run in a folder."""

    def __init__(
        self,
        task: Task,
        source: Source,
        folder: Path,
        text: recipe.Recipe,
        *,
        preview: Batch | None = None,
        device: str = "cpu",
        rank: int = 0,
        world: int = 1,
        save_every: int = 1000,
        sheet_every: int = 500,
        minutes: float = math.inf,
        until: float = math.inf,
    ) -> None:
        """text: recipe, stored with checkpoints. preview: held-out pictures.

        minutes, until: time and step after which the run stops, before its recipe's end.
        """
        self._task, self._source, self._folder, self._recipe = task, source, folder, text
        self._preview, self._device, self._rank, self._world = preview, device, rank, world
        self._save_every, self._sheet_every, self._seconds = save_every, sheet_every, minutes * 60
        self._until = until
        self.step, self._stop = 0, False
        self._steps = captured.steps(task, device, world, tqdm.write)
        model = task.learners[MODEL].tensors
        self.averaged = {name: tensor.detach().clone() for name, tensor in model.items()}
        if text.schedule.batch < world:
            raise ArgumentError(f"schedule.batch: {text.schedule.batch} pictures for {world} processes")
        if rank == 0:
            (folder / "sheets").mkdir(parents=True, exist_ok=True)

    def train(self) -> bool:
        """Train to the recipe's end; return False if stopped before. Saves a checkpoint in either case."""
        schedule = self._recipe.schedule
        started = time.monotonic()
        if self._rank == 0 and self.step == 0:
            (self._folder / "recipe.json").write_text(recipe.to_json(self._recipe) + "\n", encoding="utf-8")
        sized = (self._rank, self._world, schedule.batch)
        pinned = self._device.startswith("cuda")
        stream = batches.stream(
            self._source, self._recipe.seed, self.step, schedule.steps, *sized, pinned=pinned
        )
        bar = tqdm(
            total=schedule.steps, initial=self.step, unit="step", disable=None if self._rank == 0 else True,
            dynamic_ncols=True,
        )  # fmt: skip
        seen: list[dict[str, torch.Tensor]] = []
        with bar, self._catching():
            for batch in stream:
                seen.append(self._advance(batch))
                bar.update()
                if self.step % _READ_EVERY == 0 or self.step == schedule.steps:
                    self._log(seen, bar, time.monotonic() - started)
                    seen = []
                    self._stop |= time.monotonic() - started > self._seconds
                if self.step < schedule.steps and self.step % self._sheet_every == 0:
                    self._show(bar)
                if self.step < schedule.steps and self.step % self._save_every == 0:
                    self.save()
                if self._must_stop():
                    break
        stream.close()  # type: ignore[attr-defined]
        self._show(bar)
        self.save()
        return self.step >= schedule.steps

    def _advance(self, batch: Batch) -> dict[str, torch.Tensor]:
        rng = batches.generator(self._recipe.seed, self.step, 1 + self._rank)
        figures = self._steps.step(batch, self.step, rng)
        model = self._task.learners[MODEL].tensors
        if self._world > 1:
            spread.average([t for name, t in model.items() if networks.is_statistic(name)])
        # Restart the EMA at every growth: the initial values of new layers would weigh on it for long.
        since = self.step - recipe.grown_at(self._recipe.growth, self.step)
        follow(self.averaged, model, self._recipe.schedule.ema, since)
        self.step += 1
        return figures

    def _must_stop(self) -> bool:
        if self.step >= self._until:
            return True
        if self._world == 1:
            return self._stop
        return self.step % _READ_EVERY == 0 and spread.anyone(self._stop, self._device)

    def _log(self, seen: list[dict[str, torch.Tensor]], bar: Any, seconds: float) -> None:
        self._steps.check()
        names = sorted({name for figures in seen for name in figures})
        means = {
            name: float(torch.stack([f[name].float() for f in seen if name in f]).mean()) for name in names
        }
        if not all(math.isfinite(value) for value in means.values()):
            raise ArgumentError(
                f"training: a loss is not finite at step {self.step} ({means}); the last checkpoint is "
                "intact, a smaller rate may help"
            )
        if self._rank == 0:
            bar.set_postfix({name: f"{value:.3g}" for name, value in means.items()}, refresh=False)
            self._write_log({"step": self.step, "seconds": round(seconds, 2), **means})

    def _write_log(self, entry: dict[str, float]) -> None:
        with (self._folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")

    def _show(self, bar: Any) -> None:
        """Write a contact sheet of held-out pictures, computed with the EMA, and log its metrics."""
        if self._rank or self._preview is None:
            return
        sheet, metrics = self._task.preview(self._preview, self.averaged)
        images.write(sheet, self._folder / "sheets" / f"{self.step:07d}.png")
        self._write_log({"step": self.step, **metrics})
        bar.write(f"step {self.step}: " + ", ".join(f"{name} {value:.4f}" for name, value in metrics.items()))

    def save(self) -> None:
        """Write checkpoint and export, each under a temporary name first, so that no file is ever partial."""
        if self._rank:
            return
        content = {
            "format": FORMAT,
            "recipe": recipe.to_json(self._recipe),
            "step": self.step,
            "averaged": self.averaged,
            "learners": {name: learner.state() for name, learner in self._task.learners.items()},
        }
        with replacing(self._folder / CHECKPOINT, "checkpoint") as temporary:
            torch.save(content, temporary)
        model = networks.to_model(self.averaged, self._task.config)
        weights.save(model, self._folder / EXPORT, half=True)

    def resume(self) -> None:
        """Restore the folder's checkpoint. Raises WeightsError, or ArgumentError if its recipe differs."""
        content = weights.read_tensors(self._folder / CHECKPOINT, "checkpoint")
        if content.get("format") != FORMAT:
            raise WeightsError(f"checkpoint: {self._folder / CHECKPOINT} is not a training checkpoint")
        if content["recipe"] != recipe.to_json(self._recipe):
            raise ArgumentError(
                f"recipe: {self._folder} was trained with another recipe (its recipe.json); resume with that "
                "one, or train into another folder"
            )
        self.step = int(content["step"])
        for name, learner in self._task.learners.items():
            learner.restore(content["learners"][name])
        for name, tensor in self.averaged.items():
            tensor.copy_(content["averaged"][name])

    @contextmanager
    def _catching(self) -> Iterator[None]:
        """Stop after the current step on SIGINT or SIGTERM; on a second signal, immediately."""

        def handle(number: int, _: FrameType | None) -> None:
            if self._stop:
                raise KeyboardInterrupt
            self._stop = True
            tqdm.write(f"{signal.Signals(number).name}: stopping after this step; repeat to stop immediately")

        previous = {}
        try:
            for number in (signal.SIGINT, signal.SIGTERM):
                previous[number] = signal.signal(number, handle)
        except ValueError:
            pass  # not the main thread, which alone may handle signals
        try:
            yield
        finally:
            for number, old in previous.items():
                signal.signal(number, old)
