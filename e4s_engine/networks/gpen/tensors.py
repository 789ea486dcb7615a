"""Tensors of a GPEN: key -> shape, by the official checkpoint's names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from e4s_engine.networks import network
from e4s_engine.networks.gpen.config import GPENConfig
from e4s_engine.networks.network import Entry, Shape


def tensors(config: GPENConfig) -> dict[str, Shape]:
    """Return every tensor that the network reads, key -> shape; the filters (`.kernel`) are constants."""
    return dict([*_encoder(config), *_generator(config)])


def scale(name: str, shape: Shape) -> tuple[float, float]:
    """Return mean and deviation of a random tensor; all layers scale themselves."""
    if name.endswith("modulation.bias"):
        return 1, 0.1
    if name.startswith("generator.to_rgb") and ".modulation." not in name:
        return 0, 0.1
    if name.startswith("generator.style.") and len(shape) > 1:
        return 0, 100
    return network.scale(name, shape) if len(shape) == 1 else (0, 1)


def _encoder(config: GPENConfig) -> Iterator[Entry]:
    widths = config.channels[::-1]
    yield "ecd0.0.0.weight", (widths[0], 3, 1, 1)
    yield "ecd0.0.1.bias", (widths[0],)
    for i, (inner, outer) in enumerate(pairwise(widths), 1):
        yield f"ecd{i}.0.1.weight", (outer, inner, 3, 3)
        yield f"ecd{i}.0.2.bias", (outer,)
    yield "final_linear.0.weight", (config.latent, 16 * widths[-1])
    yield "final_linear.0.bias", (config.latent,)


def _generator(config: GPENConfig) -> Iterator[Entry]:
    for i in range(1, config.mapping + 1):
        yield f"generator.style.{i}.weight", (config.latent, config.latent)
        yield f"generator.style.{i}.bias", (config.latent,)
    first = config.channels[0]
    yield "generator.input.input", (1, first, 4, 4)
    yield from _styled_conv("generator.conv1.", first, first, config.latent)
    yield from _to_rgb("generator.to_rgb1.", 2 * first, config.latent)
    for n, (inner, outer) in enumerate(pairwise(config.channels)):
        yield from _styled_conv(f"generator.convs.{2 * n}.", 2 * inner, outer, config.latent)
        yield from _styled_conv(f"generator.convs.{2 * n + 1}.", 2 * outer, outer, config.latent)
        yield from _to_rgb(f"generator.to_rgbs.{n}.", 2 * outer, config.latent)


def _styled_conv(prefix: str, inner: int, outer: int, latent: int) -> Iterator[Entry]:
    yield prefix + "conv.weight", (1, outer, inner, 3, 3)
    yield prefix + "conv.modulation.weight", (inner, latent)
    yield prefix + "conv.modulation.bias", (inner,)
    yield prefix + "noise.weight", (1,)
    yield prefix + "activate.bias", (2 * outer,)


def _to_rgb(prefix: str, inner: int, latent: int) -> Iterator[Entry]:
    yield prefix + "bias", (1, 3, 1, 1)
    yield prefix + "conv.weight", (1, 3, inner, 1, 1)
    yield prefix + "conv.modulation.weight", (inner, latent)
    yield prefix + "conv.modulation.bias", (inner,)
