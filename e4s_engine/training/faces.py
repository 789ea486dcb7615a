"""Rendered faces on disk: shards of pictures with labels, rendered once, optionally by worker processes.

A shard is one `.npy` file, uint8 [items, pictures, S, S, 4]: red, green, blue, label. An item is a swap with
its exact answer, as three pictures: the source, in the target's pose and expression but in light and
surroundings of its own; the target; and the target with the source's regions. Item i of a set does not depend
on the process that renders it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from e4s_engine import regions, synth
from e4s_engine.errors import ArgumentError
from e4s_engine.photo.files import replacing
from e4s_engine.photo.images import Pixels
from e4s_engine.synth.params import Occluder, Person, Scene
from e4s_engine.synth.render import SAMPLES

# Seeds below this are reserved for tests and benchmarks; training uses those from here on.
FIRST_TRAINING_SEED = 1_000_000
FIRST_PREVIEW_SEED = 900_000
SHARD = 8  # items
PREVIEWS = 8  # held-out items of a run's contact sheets
PICTURES = 3
SOURCE, TARGET, TRUTH = range(PICTURES)

# The source's regions in an item's swap (None: the whole face), and the probability of each choice.
CHOICES: tuple[tuple[tuple[int, ...] | None, float], ...] = (
    (None, 0.45),
    ((regions.EYES,), 0.1),
    ((regions.NOSE,), 0.1),
    ((regions.LIPS,), 0.1),
    ((regions.HAIR,), 0.1),
    ((regions.EYEBROWS,), 0.05),
    ((regions.EYES, regions.EYEBROWS, regions.NOSE), 0.05),
    ((regions.LIPS, regions.MOUTH), 0.05),
)


@dataclass(frozen=True)
class Swap:
    """A swap to render: two people, their scenes, the exchanged regions (None: the whole face)."""

    source: Person
    target: Person
    source_scene: Scene
    target_scene: Scene
    chosen: tuple[int, ...] | None

    @property
    def truth(self) -> Person:
        """Return the person in the swap's exact answer.

        A whole-face swap takes the source's shape and colour in the face, but only the colour of its ears
        and neck (see `compose.whole_face_styles`).
        """
        if self.chosen is not None:
            return synth.combine(self.target, self.source, self.chosen)
        face = synth.combine(self.target, self.source, regions.FACE)
        return replace(
            face,
            ears=replace(face.ears, tone=self.source.ears.tone),
            neck=replace(face.neck, tone=self.source.neck.tone),
        )

    def pairs(self) -> list[tuple[Person, Scene]]:
        """List the people and scenes to render: source, target, truth."""
        return [
            (self.source, self.source_scene),
            (self.target, self.target_scene),
            (self.truth, self.target_scene),
        ]


def swap_of(source: int, target: int, chosen: tuple[int, ...] | None, driven: bool = True) -> Swap:
    """Return the swap of two seeds. driven: whether the source has the target's pose and expression."""
    own, shown = synth.scene(source), synth.scene(target)
    if driven:
        own = replace(own, pose=shown.pose, expression=shown.expression, occluder=Occluder())
    return Swap(synth.person(source), synth.person(target), own, shown, chosen)


def choice(first: int, item: int) -> tuple[int, ...] | None:
    """Return the regions that an item exchanges."""
    rng = np.random.default_rng([3, first, item])
    weights = np.array([weight for _, weight in CHOICES])
    return CHOICES[int(rng.choice(len(CHOICES), p=weights / weights.sum()))][0]


def seeds(first: int, item: int) -> tuple[int, int]:
    """Return the seeds of an item's source and target."""
    return first + 2 * item, first + 2 * item + 1


@lru_cache(maxsize=1)
def version() -> str:
    """Return a fingerprint of the renderer's source, so that shards of other versions are not reused."""
    digest = hashlib.sha256()
    for file in sorted(Path(synth.__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:8]


def render_shard(path: str, first: int, shard: int, size: int, supersample: int) -> str:
    """Render a shard, write it and return its path."""
    items = range(shard * SHARD, (shard + 1) * SHARD)
    out = np.empty((SHARD, PICTURES, size, size, 4), np.uint8)
    for row, item in zip(out, items, strict=True):
        swap = swap_of(*seeds(first, item), choice(first, item))
        for cell, (person, scene) in zip(row, swap.pairs(), strict=True):
            picture = synth.render(person, scene, size, supersample)
            cell[:, :, :3], cell[:, :, 3] = picture.image, picture.labels
    with replacing(path, "cache") as temporary:
        np.save(temporary, out)
    return path


class Faces:
    """The rendered items of a folder, rendered on demand: by `workers` processes, or in this one."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        size: int,
        count: int,
        *,
        first: int = FIRST_TRAINING_SEED,
        supersample: int = SAMPLES,
        workers: int = 0,
        render: bool = True,
    ) -> None:
        """Open a set of `count` items (rounded up to whole shards), and start the workers.

        render: False waits for another process to render the shards.
        """
        if count < 1 or size < 16:
            raise ArgumentError(f"faces: impossible: {count} items of side {size}")
        self.size, self.first, self.supersample, self.render = size, first, supersample, render
        self.shards = -(-count // SHARD)
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._open: dict[int, Pixels] = {}
        self._pool: ProcessPoolExecutor | None = None
        self._jobs: dict[int, Future[str]] = {}
        self._lock = Lock()  # several threads build batches
        if workers and render:
            self._start(workers)

    def __len__(self) -> int:
        return self.shards * SHARD

    def path(self, shard: int) -> Path:
        """Return the path of a shard."""
        name = f"pairs-{self.size}-{self.supersample}-{version()}-{self.first + 2 * shard * SHARD:08d}.npy"
        return self._folder / name

    def items(self, indices: Iterable[int]) -> Pixels:
        """Return items, uint8 [n, 3, S, S, 4]; waits for missing shards, or renders them."""
        return np.stack([self._shard(i // SHARD)[i % SHARD] for i in indices])

    def complete(self) -> None:
        """Render all missing shards."""
        from tqdm import tqdm

        for shard in tqdm(range(self.shards), desc="Rendering", unit="shard", disable=None):
            self._shard(shard)

    def close(self) -> None:
        """Stop the workers once they have finished the shards in progress."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _start(self, workers: int) -> None:
        missing = [shard for shard in range(self.shards) if not self.path(shard).exists()]
        if not missing:
            return
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core per worker
        self._pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_behave)
        for shard in missing:
            job = (str(self.path(shard)), self.first, shard, self.size, self.supersample)
            self._jobs[shard] = self._pool.submit(render_shard, *job)

    def _shard(self, shard: int) -> Pixels:
        with self._lock:
            return self._opened(shard)

    def _opened(self, shard: int) -> Pixels:
        if shard not in self._open:
            path = self.path(shard)
            if shard in self._jobs:
                self._jobs.pop(shard).result()
            elif not path.exists():
                if self.render:
                    render_shard(str(path), self.first, shard, self.size, self.supersample)
                while not path.exists():
                    time.sleep(0.2)
            self._open[shard] = opened(path, (SHARD, PICTURES, self.size, self.size, 4))
        return self._open[shard]


def opened(path: Path, shape: tuple[int, ...]) -> Pixels:
    """Open a file of the cache. Raises ArgumentError if its shape or type is not the expected one."""
    array: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.shape != shape or array.dtype != np.uint8:
        raise ArgumentError(f"cache: {path} is not a shard of this set; delete it")
    return array


def _behave() -> None:
    """Lower a worker's priority below the trainer's, and leave signals to the trainer."""
    import signal

    if hasattr(os, "nice"):  # Windows has no such call
        os.nice(5)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
