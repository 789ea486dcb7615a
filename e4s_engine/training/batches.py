"""Batches: the selection of a step's items, and their conversion to tensors.

Every draw is a function of (seed, step): a resumed run sees the same batches as an uninterrupted one, and no
order has to be stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from e4s_engine import ops, regions
from e4s_engine.pipeline import compose
from e4s_engine.training import faces
from e4s_engine.training.faces import SOURCE, TARGET, TRUTH, Faces
from e4s_engine.training.found import Found
from e4s_engine.training.photos import Photos
from e4s_engine.training.recipe import Pool

Batch = dict[str, torch.Tensor]

_AHEAD = 6  # batches prepared in advance
_THREADS = 3  # that prepare batches for a GPU, whose steps take less time than a batch's preparation


class Source(Protocol):
    """A source of batches. All randomness of a batch comes from rng."""

    def batch(self, step: int, rng: np.random.Generator, rank: int, world: int, size: int) -> Batch:
        """Return this rank's share of the step's batch of `size` items."""

    def report(self) -> str:
        """Describe the items left out, for the end of the run; empty if there are none."""


def generator(seed: int, step: int, stream: int = 0) -> np.random.Generator:
    """Return the random generator of a step."""
    return np.random.default_rng([seed, step, stream])


class RenderedSwaps:
    """Batches of rendered swaps, with everything that a step of the RGI training needs.

    pictures [N,3,S,S,4]: source, target, truth, each with its labels. own [N]: whether to reconstruct the
    source, not the target. composed [N,S,S]: labels of the swap. taken [N,12]: regions with the source's
    style vector. whole [N]: whether the swap is that of the whole face. flips [N]: whether to mirror the
    item, which the device does (`unpacked`).
    """

    def __init__(self, items: Faces | Found, pool: Pool, flip: bool) -> None:
        self._items, self._pool, self._flip = items, pool, flip
        self._composed: dict[int, dict[str, npt.NDArray[Any]]] = {}  # by item, as it never changes

    def batch(self, step: int, rng: np.random.Generator, rank: int, world: int, size: int) -> Batch:
        """Implement `Source`."""
        indices, flips = _draw(rng, self._available(step), rank, world, size, self._flip)
        pictures = self._items.items(int(i) for i in indices)
        parts = [self._composition(int(i), item) for i, item in zip(indices, pictures, strict=True)]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        own = (rng.random(size) < 0.5)[rank::world]
        return tensors_of(pictures=pictures, flips=flips, own=own, **joined)

    def _composition(self, index: int, pictures: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        if index not in self._composed:
            source, target = pictures[None, SOURCE, ..., 3], pictures[None, TARGET, ..., 3]
            chosen = [faces.choice(self._items.first, index)]
            self._composed[index] = composition(source, target, chosen)
        return self._composed[index]

    def report(self) -> str:
        """Return nothing: rendered faces are never left out."""
        return ""

    def _available(self, step: int) -> int:
        count = self._pool.start + int(step * self._pool.per_step)
        return min(max(count // faces.SHARD, 1) * faces.SHARD, len(self._items))


class RenderedPictures(RenderedSwaps):
    """Batches of single rendered pictures: pictures [N,1,S,S,4] and flips."""

    def batch(self, step: int, rng: np.random.Generator, rank: int, world: int, size: int) -> Batch:
        """Implement `Source`."""
        indices, flips = _draw(rng, self._available(step), rank, world, size, self._flip)
        which = rng.integers(faces.PICTURES, size=size)[rank::world]
        pictures = self._items.items(int(i) for i in indices)[np.arange(len(which)), which]
        return tensors_of(pictures=pictures[:, None], flips=flips)


class PhotoPictures:
    """Batches of a user's photos: pictures [N,1,S,S,4] and flips. No region distinguishes left and right."""

    def __init__(self, photos: Photos, flip: bool, threads: int = 4) -> None:
        self.photos, self._flip = photos, flip
        self._threads = ThreadPoolExecutor(threads)

    def batch(self, step: int, rng: np.random.Generator, rank: int, world: int, size: int) -> Batch:
        """Implement `Source`."""
        indices, flips = _draw(rng, len(self.photos), rank, world, size, self._flip)
        pictures = np.stack(list(self._threads.map(self.photos.item, [int(i) for i in indices])))
        return tensors_of(pictures=pictures[:, None], flips=flips)

    def report(self) -> str:
        """List the files left out, one per line."""
        return "\n".join(f"  {name}: {reason}" for name, reason in sorted(self.photos.broken.items()))


def unpacked(batch: Batch, device: str) -> Batch:
    """Move a batch to the device, as network inputs: pictures as floats [N,3,S,S] in [-1, 1], labels [N,S,S].

    The keys are image and image_labels; for swaps also source, target, truth, source_labels, target_labels.
    """
    moved = {name: tensor.to(device, non_blocking=True) for name, tensor in batch.items()}
    pictures, flips = moved.pop("pictures"), moved.pop("flips")
    pictures = torch.where(flips.view(-1, 1, 1, 1, 1), pictures.flip(3), pictures)
    colours = ops.reference.from_uint8(pictures[..., :3].flatten(0, 1), -1, 1)
    colours = colours.unflatten(0, pictures.shape[:2])  # type: ignore[no-untyped-call]
    labels = pictures[..., 3]
    if "own" not in moved:
        return moved | {"image": colours[:, 0], "image_labels": labels[:, 0]}
    own, composed = moved["own"], moved["composed"]
    return moved | {
        "source": colours[:, SOURCE],
        "target": colours[:, TARGET],
        "truth": colours[:, TRUTH],
        "source_labels": labels[:, SOURCE],
        "target_labels": labels[:, TARGET],
        "image": torch.where(own.view(-1, 1, 1, 1), colours[:, SOURCE], colours[:, TARGET]),
        "image_labels": torch.where(own.view(-1, 1, 1), labels[:, SOURCE], labels[:, TARGET]),
        "composed": torch.where(flips.view(-1, 1, 1), composed.flip(2), composed),
    }


def composition(
    source: npt.NDArray[np.uint8], target: npt.NDArray[np.uint8], chosen: list[tuple[int, ...] | None]
) -> dict[str, npt.NDArray[Any]]:
    """Compose labels [N,S,S] as `compose` does, and select the regions with the source's style vectors."""
    composed = np.empty_like(target)
    from_source = np.zeros((len(target), regions.COUNT), bool)
    for i, ids in enumerate(chosen):
        if ids is None:
            composed[i] = compose.whole_face_labels(source[i], target[i])[0]
            from_source[i] = ~np.isin(np.arange(regions.COUNT), compose.KEPT_TEXTURE)
        else:
            shown = compose.shown(source[i], ids)
            composed[i] = compose.region_labels([(source[i], shown)], target[i])[0]
            from_source[i, shown] = True
    return {"composed": composed, "taken": from_source, "whole": np.array([ids is None for ids in chosen])}


def mixed_styles(source: torch.Tensor, target: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Mix style vectors [N,12,D] as `compose` does, differentiably."""
    shown = (source != 0).any(2)
    whole = batch["whole"][:, None]
    numbers = torch.arange(regions.COUNT, device=shown.device)
    ears, mouth = numbers == regions.EARS, numbers == regions.MOUTH
    take = batch["taken"] & (shown | (whole & ~(ears | mouth)))
    mixed = torch.where(take[:, :, None], source, target)
    return torch.where((ears & whole & ~shown)[:, :, None], target / 2, mixed)


def stream(
    source: Source,
    seed: int,
    start: int,
    steps: int,
    rank: int,
    world: int,
    size: int,
    *,
    pinned: bool = False,
) -> Iterator[Batch]:
    """Yield the batches of steps start..steps-1, prepared by threads ahead of their use.

    pinned: whether to use page-locked memory, from which a GPU copies asynchronously.
    """
    with ThreadPoolExecutor(_THREADS if pinned else 1) as thread:

        def make(step: int) -> Batch:
            batch = source.batch(step, generator(seed, step), rank, world, size)
            return {name: tensor.pin_memory() for name, tensor in batch.items()} if pinned else batch

        waiting = [thread.submit(make, step) for step in range(start, min(start + _AHEAD, steps))]
        try:
            for step in range(start, steps):
                batch = waiting.pop(0).result()
                if step + _AHEAD < steps:
                    waiting.append(thread.submit(make, step + _AHEAD))
                yield batch
        finally:
            for job in waiting:
                job.cancel()


def _draw(
    rng: np.random.Generator, available: int, rank: int, world: int, size: int, flip: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Draw a rank's items of a batch (no item twice if there are enough), and whether to mirror each."""
    indices = rng.choice(available, size, replace=size > available)[rank::world]
    flips = rng.random(size)[rank::world] < (0.5 if flip else 0.0)
    return indices, flips


def tensors_of(**arrays: npt.NDArray[Any]) -> Batch:
    """Return arrays as a batch."""
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
