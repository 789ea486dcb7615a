"""Tensors of an RGI model: key -> shape, by the official checkpoints' names."""

from __future__ import annotations

from collections.abc import Iterator

from e4s_engine import regions
from e4s_engine.networks import network
from e4s_engine.networks.network import Entry, Shape
from e4s_engine.networks.rgi import relight
from e4s_engine.networks.rgi.config import ModelConfig

SQUEEZE = 16  # reduction of the squeeze-excite blocks


def tensors(config: ModelConfig) -> dict[str, Shape]:
    """Return every tensor that the networks read, key -> shape."""
    return dict([*_encoder(config), *_mlps(config), *_generator(config), *_relight(config)])


def scale(name: str, shape: Shape) -> tuple[float, float]:
    """Return mean and deviation of a random tensor; layers of the generator and the MLPs scale themselves."""
    if name.endswith("modulation.bias"):
        return 1, 0.1
    if name.startswith("G.to_rgb") and ".modulation." not in name:
        return 0, 0.1  # keeps most colours in range
    if len(shape) > 1 and name.startswith(("G.", "MLPs.")):
        return 0, 1
    return network.scale(name, shape)


def _encoder(config: ModelConfig) -> Iterator[Entry]:
    yield "encoder.input_layer.0.weight", (config.stem, 3, 3, 3)
    yield "encoder.input_layer.2.weight", (config.stem,)
    for i, (inner, depth, _) in enumerate(config.units()):
        unit = f"encoder.body.{i}."
        if inner != depth:
            yield unit + "shortcut_layer.0.weight", (depth, inner, 1, 1)
        yield unit + "res_layer.1.weight", (depth, inner, 3, 3)
        yield unit + "res_layer.2.weight", (depth,)
        yield unit + "res_layer.3.weight", (depth, depth, 3, 3)
        yield unit + "res_layer.5.fc1.weight", (depth // SQUEEZE, depth, 1, 1)
        yield unit + "res_layer.5.fc2.weight", (depth, depth // SQUEEZE, 1, 1)


def _mlps(config: ModelConfig) -> Iterator[Entry]:
    out = config.injected * config.latent_dim
    for region in range(regions.COUNT):
        mlp = f"MLPs.{region}.mlp."
        yield mlp + "0.weight", (config.mlp_hidden, config.style_dim)
        yield mlp + "0.bias", (config.mlp_hidden,)
        yield mlp + "2.weight", (out, config.mlp_hidden)
        yield mlp + "2.bias", (out,)
    yield "latent_avg", (config.latents, config.latent_dim)


def _generator(config: ModelConfig) -> Iterator[Entry]:
    first = config.channels[0]
    yield "G.input.input", (1, first, 4, 4)
    yield from _styled_conv("G.conv1.", first, first, config.latent_dim)
    yield from _to_rgb("G.to_rgb1.", first, config.latent_dim)
    yield "G.noises.noise_0", (1, 1, 4, 4)
    for n in range(config.doublings):
        inner, outer, side = config.channels[n], config.channels[n + 1], 8 << n
        yield from _styled_conv(f"G.convs.{2 * n}.", inner, outer, config.latent_dim)
        yield from _styled_conv(f"G.convs.{2 * n + 1}.", outer, outer, config.latent_dim)
        yield from _to_rgb(f"G.to_rgbs.{n}.", outer, config.latent_dim)
        yield f"G.noises.noise_{2 * n + 1}", (1, 1, side, side)
        yield f"G.noises.noise_{2 * n + 2}", (1, 1, side, side)


def _styled_conv(prefix: str, inner: int, outer: int, latent_dim: int) -> Iterator[Entry]:
    yield prefix + "conv.weight", (1, outer, inner, 3, 3)
    yield prefix + "conv.modulation.weight", (inner, latent_dim)
    yield prefix + "conv.modulation.bias", (inner,)
    yield prefix + "noise.weight", (1,)
    yield prefix + "activate.bias", (outer,)


def _to_rgb(prefix: str, inner: int, latent_dim: int) -> Iterator[Entry]:
    yield prefix + "bias", (1, 3, 1, 1)
    yield prefix + "conv.weight", (1, 3, inner, 1, 1)
    yield prefix + "conv.modulation.weight", (inner, latent_dim)
    yield prefix + "conv.modulation.bias", (inner,)


def _relight(config: ModelConfig) -> Iterator[Entry]:
    hidden, depth = config.relight, config.style_dim
    if not hidden:
        return
    yield relight.PREFIX + "light.bias", (hidden,)
    for region in range(regions.COUNT):
        prefix = f"{relight.PREFIX}{region}."
        yield prefix + "light.weight", (hidden, depth)
        yield prefix + "inner.weight", (hidden, depth)
        yield prefix + "inner.bias", (hidden,)
        yield prefix + "shift.weight", (hidden, hidden)
        yield prefix + "outer.weight", (depth, hidden)
