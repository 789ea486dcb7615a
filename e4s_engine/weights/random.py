"""Models with random weights, for timing and tests."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from e4s_engine.networks import registry
from e4s_engine.networks.network import Config, Shape
from e4s_engine.weights.model import Model


def random_model(config: Config, seed: int = 0) -> Model:
    """Return a model with random weights of sane scales, for timing and tests, not for pictures.

    The network's `scale` gives mean and deviation of a tensor; variances of batch norms stay above the mean.
    """
    rng = np.random.default_rng(seed)
    network = registry.of(config)

    def tensor(name: str, shape: Shape) -> npt.NDArray[np.float32]:
        values = rng.standard_normal(shape, dtype=np.float32)
        mean, deviation = network.scale(name, shape)
        if name.endswith("running_var"):
            values = np.abs(values)
        return np.asarray(mean + np.float32(deviation) * values, np.float32)

    return Model(config, {name: tensor(name, shape) for name, shape in registry.tensors(config).items()})
