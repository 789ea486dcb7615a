"""Judges: networks of others that see a face and return a vector.

A judge is a callable: an aligned crop uint8 [1024, 1024, 3], in RGB, -> a vector [D]. It is passed as such,
by its name "module:attribute", or, for FID and KID, as a TorchScript file that is called like
`inception-2015-12-05.pt`, the network of the published FID (distributed with StyleGAN3).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from e4s_engine.errors import ArgumentError, noted
from e4s_engine.evaluation.measures import Vector
from e4s_engine.faces import landmarks
from e4s_engine.photo.images import Pixels

Call = Callable[[Pixels], Any]


@dataclasses.dataclass(frozen=True)
class Judge:
    """A judge with its name and the argument that it was given as, both for messages."""

    name: str
    argument: str
    call: Call

    def __call__(self, crop: Pixels) -> Vector:
        """Return what it says of a crop. Raises ArgumentError for anything but finite numbers."""
        with noted(f"raised by {self.name}, the judge that was passed as {self.argument}"):
            answer = self.call(crop.copy())
            if hasattr(answer, "detach"):
                answer = answer.detach().cpu().numpy()
            vector = np.asarray(answer, np.float64).ravel()
        if not vector.size or not np.isfinite(vector).all():
            raise ArgumentError(
                f"{self.argument}: expected {self.name} to return a vector of finite numbers, got shape "
                f"{list(vector.shape)}"
            )
        return vector


def load(judge: Call | str | None, argument: str) -> Judge | None:
    """Return the judge that an argument names; None stays None. Raises ArgumentError."""
    if judge is None:
        return None
    if callable(judge):
        return Judge(getattr(judge, "__name__", type(judge).__name__), argument, judge)
    if isinstance(judge, str) and judge.endswith(".pt"):
        return Judge(Path(judge).name, argument, _torchscript(Path(judge), argument))
    return Judge(judge, argument, landmarks.imported(judge, argument, "a TorchScript file (.pt), a callable"))


def _torchscript(path: Path, argument: str) -> Call:
    try:
        import torch
    except ImportError as error:
        raise ArgumentError(
            f"{argument}: {path.name} needs PyTorch; pip install 'e4s_engine[torch]'"
        ) from error
    try:
        read: Any = torch.jit.load  # untyped
        network = read(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise ArgumentError(
            f"{argument}: cannot read {path} as TorchScript: {str(error).splitlines()[0]}"
        ) from error

    def call(crop: Pixels) -> Any:
        picture = torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)))[None]
        with torch.inference_mode():
            return network(picture, return_features=True)

    return call
