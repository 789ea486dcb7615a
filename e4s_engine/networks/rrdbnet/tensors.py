"""Tensors of an RRDBNet: key -> shape, by the official checkpoint's names."""

from __future__ import annotations

from collections.abc import Iterator

from e4s_engine.networks import network
from e4s_engine.networks.network import Entry, Shape
from e4s_engine.networks.rrdbnet.config import RRDBConfig

DENSE = 5  # convolutions of a dense block


def tensors(config: RRDBConfig) -> dict[str, Shape]:
    """Return every tensor that the network reads, key -> shape."""
    return dict(_layers(config))


def scale(name: str, shape: Shape) -> tuple[float, float]:
    """Return mean and deviation of a random tensor; those of the dense blocks are a tenth."""
    mean, deviation = network.scale(name, shape)
    return mean, 0.1 * deviation if name.startswith("body.") else deviation


def _layers(config: RRDBConfig) -> Iterator[Entry]:
    features, growth = config.features, config.growth
    yield from _conv("conv_first.", 3, features)
    for i in range(config.blocks):
        for dense in (1, 2, 3):
            for number in range(1, DENSE + 1):
                outer = features if number == DENSE else growth
                prefix = f"body.{i}.rdb{dense}.conv{number}."
                yield from _conv(prefix, features + (number - 1) * growth, outer)
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        yield from _conv(name + ".", features, features)
    yield from _conv("conv_last.", features, 3)


def _conv(prefix: str, inner: int, outer: int) -> Iterator[Entry]:
    yield prefix + "weight", (outer, inner, 3, 3)
    yield prefix + "bias", (outer,)
