"""A perceptual distance in LPIPS' form over the features of the bundled parser.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018, equation 1 with
unit weights: features at three scales, normalised per pixel, squared differences summed over channels and
averaged over pixels and scales. The network is not that of LPIPS, so values differ from it: 0 means equal,
and only values of the same parser are comparable.
"""

from __future__ import annotations

import numpy as np
import torch

from e4s_engine import weights
from e4s_engine.photo.images import Pixels
from e4s_engine.pipeline.loading import BUNDLED
from e4s_engine.training.losses import ParserLosses


class Perceptual:
    """Distance between 8-bit pictures [S,S,3]."""

    def __init__(self) -> None:
        path = weights.find_parser(BUNDLED)
        assert path is not None, "the package ships a parser"
        model = weights.load(path, "parser")
        self._losses = ParserLosses({name: torch.from_numpy(t) for name, t in model.tensors.items()})

    @torch.inference_mode()
    def __call__(self, a: Pixels, b: Pixels) -> float:
        """Compute the distance between two pictures."""
        return float(self._losses.features(_tensor(a), _tensor(b)))


def _tensor(image: Pixels) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))[None]).float() / 127.5 - 1
