"""Model: the config of a network and its tensors."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from e4s_engine.errors import WeightsError
from e4s_engine.networks import registry
from e4s_engine.networks.network import Config, Shape
from e4s_engine.weights.tensorfile import TensorFile, some

logger = logging.getLogger("e4s_engine")

Tensors = Mapping[str, npt.NDArray[np.float32]]
Item = TypeVar("Item")
_SMALL = 4096  # numbers of a tensor that a fingerprint reads: biases and the like, which any training changes


@dataclasses.dataclass(frozen=True, eq=False)
class Model:
    """A model's config and its tensors, float32 by official name. Compares by identity.

    extra: unused keys of the file.
    """

    config: Config
    tensors: Tensors
    extra: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Model: {type(self.config).__name__}, {len(self.tensors)} tensors>"

    def fingerprint(self) -> str:
        """Return 32 hexadecimal digits that tell this model from others, whichever form its file has.

        They are of a SHA-256 over the config and every tensor of at most 4096 numbers as float32.
        """
        digest = hashlib.sha256(registry.to_json(self.config).encode())
        for name, shape in sorted(registry.tensors(self.config).items()):
            if math.prod(shape) <= _SMALL:
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(self.tensors[name], "<f4").tobytes())
        return digest.hexdigest()[:32]

    def check(self) -> None:
        """Raise WeightsError for NaN or infinity in tensors of an opened file that are not read yet."""
        if isinstance(self.tensors, TensorFile):
            self.tensors.check()


def check_shapes(
    shapes: Mapping[str, Sequence[int]], wanted: Mapping[str, Shape], file: Path, argument: str
) -> None:
    """Raise WeightsError unless a file holds every wanted tensor in its shape."""
    missing = [name for name in wanted if name not in shapes]
    if missing:
        raise WeightsError(f"{argument}: {file} lacks {len(missing)} tensors: {some(missing)}")
    wrong = [
        f"{name} is {list(shapes[name])}, expected {list(shape)}"
        for name, shape in wanted.items()
        if tuple(shapes[name]) != shape
    ]
    if wrong:
        raise WeightsError(f"{argument}: {file} has {len(wrong)} misshapen tensors: {some(wrong)}")


def log_unused(extra: Iterable[str], file: Path) -> tuple[str, ...]:
    """Sort the names of unused tensors and log them."""
    named = tuple(sorted(extra))
    if named:
        logger.info("%s: %d tensors are not used: %s", file.name, len(named), some(named))
    return named


def progress(items: Sequence[Item], title: str) -> Iterable[Item]:
    """Iterate over items, with a progress bar if they take more than a second."""
    return tqdm(items, desc=title, unit="tensor", delay=1, leave=False, disable=None)
