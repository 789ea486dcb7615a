"""Rendered faces with a parser's labels, which are what an engine has for a photo.

Exact labels flatter: a model trained on them alone draws silhouettes as sharp and as wrong as the parser's.
A parser's labels are stored beside the shards on first use, one file per shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from threading import Lock

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from e4s_engine import ops
from e4s_engine.networks.bisenet import parse
from e4s_engine.photo.files import replacing
from e4s_engine.photo.images import Pixels
from e4s_engine.training.faces import PICTURES, SHARD, Faces, opened

_AT_ONCE, _AT_ONCE_GPU = 4, 24  # pictures in one pass of the parser


class Found:
    """The items of `Faces` with a parser's labels."""

    def __init__(self, faces: Faces, parser: Mapping[str, Tensor], device: str = "cpu") -> None:
        """parser: weights of the parser."""
        self._faces, self._device = faces, device
        self._name = f"labels-{_fingerprint(parser)}"
        self._parser = {name: tensor.to(device) for name, tensor in parser.items()}
        self._open: dict[int, npt.NDArray[np.uint8]] = {}
        self._lock = Lock()  # several threads build batches
        self.first = faces.first

    def __len__(self) -> int:
        return len(self._faces)

    def items(self, indices: Iterable[int]) -> Pixels:
        """See `Faces`."""
        chosen = list(indices)
        pictures = self._faces.items(chosen)
        for item, index in zip(pictures, chosen, strict=True):
            item[..., 3] = self._shard(index // SHARD)[index % SHARD]
        return pictures

    def _shard(self, shard: int) -> npt.NDArray[np.uint8]:
        """Return the labels [items,pictures,S,S] of a shard."""
        with self._lock:
            return self._opened(shard)

    def _opened(self, shard: int) -> npt.NDArray[np.uint8]:
        if shard not in self._open:
            path = self._faces.path(shard)
            path = path.with_name(f"{self._name}-{path.name}")
            if not path.exists():
                labels = self._parse(range(shard * SHARD, (shard + 1) * SHARD))
                with replacing(path, "cache") as temporary:
                    np.save(temporary, labels)
            self._open[shard] = opened(path, (SHARD, PICTURES, self._faces.size, self._faces.size))
        return self._open[shard]

    @torch.inference_mode()
    def _parse(self, items: Iterable[int]) -> npt.NDArray[np.uint8]:
        pictures = self._faces.items(items)
        shape, side = pictures.shape[:-1], pictures.shape[2]
        flat = torch.from_numpy(pictures.reshape(-1, side, side, 4))
        parts = []
        for part in torch.split(flat, _AT_ONCE if self._device == "cpu" else _AT_ONCE_GPU):
            image = ops.reference.from_uint8(part[..., :3].to(self._device), 0, 1)
            image = ops.reference.resize(image, parse.SIDE, parse.SIDE, "bilinear")
            labels = ops.reference.argmax(parse.logits(ops.reference, image, self._parser))
            parts.append(ops.reference.resize_labels(labels, side, side).cpu())
        return torch.cat(parts).numpy().reshape(shape)


def _fingerprint(parser: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(parser):
        digest.update(name.encode() + parser[name].cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]
