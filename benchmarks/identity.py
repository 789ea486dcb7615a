"""An identity network: a small network that regresses the renderer's identity parameters from a picture.

It judges swaps by whether the regressed parameters are nearer to the source's or to the target's. Only the
inner face counts (face, nose, eyes, brows, lips), each parameter weighted by how well the network predicts it
on held-out pictures.

    python -m benchmarks.identity --cache runs/faces --output runs/identity.pt       trains it
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from tqdm import tqdm

from e4s_engine.backends import Floats
from e4s_engine.photo.files import replacing
from e4s_engine.synth.params import Person
from e4s_engine.training import muon
from e4s_engine.training.faces import FIRST_PREVIEW_SEED, PICTURES, SHARD, Faces, choice, seeds, swap_of

SIDE = 128
GROUPS = ("face", "nose", "eyes", "brows", "lips")
_FORMAT = "e4s_engine identity 1"
_HELD_OUT = 4 * SHARD  # items
_SHIFT = 6  # maximum shift of pictures in pixels


def parameters(person: Person) -> Floats:
    """List the numeric parameters of a person's inner face in a fixed order; colours as logarithms."""
    values: list[float] = []
    for group in GROUPS:
        values += _numbers(getattr(person, group))
    return np.array(values, np.float32)


def _numbers(part: Any) -> list[float]:
    numbers: list[float] = []
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if field.name == "seed" or isinstance(value, str):
            continue  # patterns and names have no distance
        if dataclasses.is_dataclass(value):
            numbers += _numbers(value)
        elif isinstance(value, tuple):
            numbers += [float(np.log(v + 0.02)) for v in value]
        else:
            numbers.append(float(value))
    return numbers


class Judge(torch.nn.Module):
    """Network from pictures [N,3,128,128] in [-1, 1] to standardised parameters [N,P]."""

    def __init__(self, count: int, width: int = 32) -> None:
        super().__init__()
        channels = [3, width, width * 2, width * 3, width * 4, width * 6]
        layers: list[torch.nn.Module] = []
        for inner, outer in pairwise(channels):
            layers += [torch.nn.Conv2d(inner, outer, 3, 2, 1), torch.nn.BatchNorm2d(outer), torch.nn.ReLU()]
            layers += [torch.nn.Conv2d(outer, outer, 3, 1, 1), torch.nn.BatchNorm2d(outer), torch.nn.ReLU()]
        self.body = torch.nn.Sequential(*layers)
        self.head = torch.nn.Linear(channels[-1] * 16, count)
        for name in ("mean", "std", "error"):
            self.register_buffer(name, torch.ones(count))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Predict the standardised parameters."""
        return self.head(self.body(x).flatten(1))


def load(path: str | Path, device: str = "cpu") -> Judge:
    """Load a judge from a file of this module. Raises ValueError for another file."""
    content = torch.load(path, map_location=device, weights_only=True)
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise ValueError(f"{path} holds no identity network; train one with python -m benchmarks.identity")
    judge = Judge(len(content["state"]["mean"]), content["width"])  # float32 again
    judge.load_state_dict(content["state"])
    return judge.eval().to(device)


@torch.inference_mode()
def prefers_source(judge: Judge, picture: npt.NDArray[np.uint8], source: Person, target: Person) -> bool:
    """Return whether a picture uint8 [S,S,3] is nearer to the source's identity than to the target's."""
    device = next(judge.parameters()).device
    mean, std, error = (_buffer(judge, name) for name in ("mean", "std", "error"))
    seen = judge(_input(picture[None]).to(device))[0]
    distances = []
    for person in (source, target):
        wanted = (torch.from_numpy(parameters(person)).to(device) - mean) / std
        distances.append(float(((seen - wanted).square() / error).sum()))
    return distances[0] < distances[1]


def people_of(items: Faces, count: int) -> Floats:
    """Return the parameters of the people in items' pictures, [count,3,P]: source, target, exact answer."""
    people = []
    for i in range(count):
        swap = swap_of(*seeds(items.first, i), choice(items.first, i))
        people.append([parameters(person) for person, _ in swap.pairs()])
    return np.array(people, np.float32)


def train(items: Faces, held_out: Faces, steps: int, batch: int, device: str, width: int = 32) -> Judge:
    """Train a judge on rendered items, with a fixed seed."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    people = people_of(items, len(items))
    judge = Judge(people.shape[2], width).to(device)
    _buffer(judge, "mean").copy_(torch.from_numpy(people.mean((0, 1))))
    _buffer(judge, "std").copy_(torch.from_numpy(people.std((0, 1)) + 1e-6))
    optimisers = _optimisers(judge)
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(o, [g["lr"] for g in o.param_groups], steps, cycle_momentum=False)
        for o in optimisers
    ]
    for _ in tqdm(range(steps), desc="Identity", unit="step", disable=None):
        chosen = rng.choice(len(items), min(batch, len(items)), replace=False)
        image, wanted = _batch(judge, items, chosen, rng.integers(PICTURES, size=len(chosen)), people)
        loss = F.smooth_l1_loss(judge(_augmented(image, rng)), wanted)
        judge.zero_grad()
        torch.autograd.backward(loss)
        for optimiser, schedule in zip(optimisers, schedules, strict=True):
            optimiser.step()
            schedule.step()
    _measure(judge.eval(), held_out)
    return judge


def _optimisers(judge: Judge) -> list[torch.optim.Optimizer]:
    """Return Muon for the convolutions, with steps of 1% of their initial scale, and AdamW for the rest."""
    matrices = [p for p in judge.body.parameters() if muon.matrix(p) is not None]
    known = set(map(id, matrices))
    rest = [p for p in judge.parameters() if id(p) not in known]
    groups = [{"params": [p], "lr": 0.01 * float(p.detach().std())} for p in matrices]
    return [torch.optim.AdamW(rest, 2e-3, weight_decay=0.02), muon.Muon(groups)]


@torch.inference_mode()
def _measure(judge: Judge, held_out: Faces) -> None:
    """Measure the mean squared error of every parameter on held-out people; guessing the mean gives 1."""
    count = min(_HELD_OUT, len(held_out))
    people = people_of(held_out, count)
    errors = []
    for start in range(0, count, SHARD):
        chosen = np.arange(start, min(start + SHARD, count))
        for which in range(PICTURES):
            image, wanted = _batch(judge, held_out, chosen, np.full(len(chosen), which), people)
            errors.append((judge(image) - wanted).square())
    error = torch.cat(errors).mean(0)
    # A parameter that the network cannot predict gets practically no weight.
    _buffer(judge, "error").copy_(torch.where(error < 0.8, error.clamp(min=0.02), torch.tensor(6e4)))


def _batch(
    judge: Judge, items: Faces, chosen: npt.NDArray[Any], which: npt.NDArray[Any], people: Floats
) -> tuple[torch.Tensor, torch.Tensor]:
    pictures = items.items(int(i) for i in chosen)[np.arange(len(chosen)), which]
    device = next(judge.parameters()).device
    wanted = torch.from_numpy(people[chosen, which]).to(device)
    standard = (wanted - _buffer(judge, "mean")) / _buffer(judge, "std")
    return _input(pictures[..., :3]).to(device), standard


def _augmented(image: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Shift pictures a little, and add blur and noise, so that a generator's softness does not mislead."""
    down, right = (int(s) for s in rng.integers(0, 2 * _SHIFT + 1, 2))
    side = image.shape[-1]
    image = F.pad(image, (_SHIFT,) * 4, "replicate")[:, :, down : down + side, right : right + side]
    if rng.random() < 0.5:
        image = F.interpolate(F.avg_pool2d(image, 2), scale_factor=2.0, mode="bilinear")
    noise = rng.normal(0, 0.03, image.shape).astype(np.float32)
    return image + torch.from_numpy(noise).to(image.device)


def _input(pictures: npt.NDArray[np.uint8]) -> torch.Tensor:
    x = torch.from_numpy(np.ascontiguousarray(pictures)).movedim(-1, 1).float() / 127.5 - 1
    return x if x.shape[-1] == SIDE else F.interpolate(x, (SIDE, SIDE), mode="area")


def _buffer(judge: Judge, name: str) -> torch.Tensor:
    buffer = judge.get_buffer(name)
    assert isinstance(buffer, torch.Tensor)
    return buffer


def main(argv: Sequence[str] | None = None) -> int:
    """Train and write the judge."""
    arguments = _arguments(argv)
    items = Faces(arguments.cache, arguments.size, arguments.count, workers=arguments.workers)
    held_out = Faces(arguments.cache, arguments.size, arguments.held_out, first=FIRST_PREVIEW_SEED)
    try:
        judge = train(items, held_out, arguments.steps, arguments.batch, arguments.device, arguments.width)
    finally:
        items.close()
    # Half precision suffices, and makes the file small enough to keep beside the benchmark.
    state = {n: t.half() if t.is_floating_point() else t for n, t in judge.cpu().state_dict().items()}
    content = {"format": _FORMAT, "width": arguments.width, "state": state}
    with replacing(arguments.output, "--output") as temporary:
        torch.save(content, temporary)
    error = _buffer(judge, "error")
    seen = error < 1
    rate = float((1 - error[seen]).mean()) if seen.any() else 0.0
    print(f"{arguments.output}: {int(seen.sum())} of {len(error)} parameters can be seen, mean R2 {rate:.2f}")
    return 0


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train the network that tells who a picture shows.")
    parser.add_argument("--cache", required=True, help="rendered faces (e4s train faces)")
    parser.add_argument("--output", required=True)
    parser.add_argument("--count", type=int, default=3072, help="items to train on")
    parser.add_argument("--held-out", type=int, default=_HELD_OUT, help="items to measure on")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
