"""Tensors of a re-colouring network: key -> shape, by the official checkpoint's names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from e4s_engine.networks import network
from e4s_engine.networks.layers import SPECTRAL, batch_norm_tensors
from e4s_engine.networks.network import Entry, Shape
from e4s_engine.networks.recolor.config import RecolorConfig

PACKAGE = 12  # channels that the U-Net reads


def tensors(config: RecolorConfig) -> dict[str, Shape]:
    """Return every tensor that the network reads, key -> shape."""
    return dict([("referencer.trainable_tao", ()), *_features(config), *_unet(config)])


def scale(name: str, shape: Shape) -> tuple[float, float]:
    """Return mean and deviation of a random tensor; attention is sharp enough to choose."""
    if name == "referencer.trainable_tao":
        return 10, 0
    if name.endswith(("weight_u", "weight_v")):
        return 0, shape[0] ** -0.5
    if len(shape) == 1 and name.endswith("weight"):
        return 1, 0.1
    mean, deviation = network.scale(name, shape)
    return mean, 0.3 * deviation if name.startswith("unet.output") else deviation


def _spectral(prefix: str, inner: int, outer: int, kernel: int) -> Iterator[Entry]:
    shapes = ((outer, inner, kernel, kernel), (outer,), (inner * kernel**2,))
    for leaf, shape in zip(SPECTRAL, shapes, strict=True):
        yield prefix + leaf, shape


def _conv(prefix: str, inner: int, outer: int, kernel: int) -> Iterator[Entry]:
    yield prefix + "weight", (outer, inner, kernel, kernel)
    yield prefix + "bias", (outer,)


def _features(config: RecolorConfig) -> Iterator[Entry]:
    prefix = "referencer.FPN."
    for i, (inner, outer) in enumerate(pairwise((3, *config.layers)), 1):
        yield from _spectral(f"{prefix}layer{i}.0.", inner, outer, 3)
    for name, inner, outer in config.blocks:
        middle = min(inner, outer)
        layers = [("0", inner, middle, 3), ("1", middle, outer, 3)]
        for number, before, after, kernel in [*layers, *([("s", inner, outer, 1)] * (inner != outer))]:
            yield from _spectral(f"{prefix}{name}conv_{number}.", before, after, kernel)
            if number != "s":
                yield f"{prefix}{name}conv_{number}.bias", (after,)
            norm = f"{prefix}{name}norm_{number}."
            yield from _conv(f"{norm}mlp_shared.1.", 3, config.hidden, 3)
            yield from _conv(f"{norm}mlp_gamma.", config.hidden, before, 3)
            yield from _conv(f"{norm}mlp_beta.", config.hidden, before, 3)


def _unet(config: RecolorConfig) -> Iterator[Entry]:
    first, second, third, last = config.unet
    prefix = "unet.input_encoder_layer."
    yield from _conv(f"{prefix}conv1.", PACKAGE, first, 3)
    yield from batch_norm_tensors(f"{prefix}bn1.", first)
    yield from _conv(f"{prefix}conv2.", first, first, 3)
    yield from _conv(f"{prefix}sqz_layer.", PACKAGE, first, 1)
    for name, inner, outer in (
        ("res_en_layer2", first, second),
        ("res_en_layer3", second, third),
        ("res_bridge_layer", third, last),
        ("res_de_layer3", last + third, third),
        ("res_de_layer2", third + second, second),
        ("res_de_layer1", second + first, first),
    ):
        yield from batch_norm_tensors(f"unet.{name}.bn1.", inner)
        yield from _conv(f"unet.{name}.conv1.", inner, outer, 3)
        yield from batch_norm_tensors(f"unet.{name}.bn2.", outer)
        yield from _conv(f"unet.{name}.conv2.", outer, outer, 3)
        yield from _conv(f"unet.{name}.sqz_layer.", inner, outer, 1)
    yield from _conv("unet.output_decoder_layer.0.", first, 3, 1)
