"""Tensors of an inpainting network: key -> shape, by the official checkpoint's names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from e4s_engine.networks import network
from e4s_engine.networks.inpaint.config import InpaintConfig
from e4s_engine.networks.network import Entry, Shape

HOLED = 4  # channels of the input: red, green, blue, and the mask


def tensors(config: InpaintConfig) -> dict[str, Shape]:
    """Return every tensor that the network reads, key -> shape.

    The official file's `noises.*` have half the sizes that they should have and are not read.
    """
    return dict([*_encoder(config), *_conditions(config), *_generator(config), *_noises(config)])


def scale(name: str, shape: Shape) -> tuple[float, float]:
    """Return mean and deviation of a random tensor; all layers scale themselves."""
    if name.endswith("modulation.bias"):
        return 1, 0.1
    if name.startswith("to_rgb") and ".modulation." not in name:
        return 0, 0.1
    return network.scale(name, shape) if len(shape) == 1 else (0, 1)


def _activated(prefix: str, inner: int, outer: int, conv: int) -> Iterator[Entry]:
    yield f"{prefix}.{conv}.weight", (outer, inner, 3, 3)
    yield f"{prefix}.{conv + 1}.bias", (outer,)


def _encoder(config: InpaintConfig) -> Iterator[Entry]:
    widths, widest = config.channels[::-1], config.channels[0]
    yield from _activated("conv_body_first", HOLED, widths[0], 0)
    for i, (inner, outer) in enumerate(pairwise(widths)):
        yield from _activated(f"conv_body_down.{i}", inner, outer, 1)
    yield from _activated("final_conv", widest, widest, 0)
    yield from _activated("final_down1", widest, widest, 1)
    yield from _activated("final_down2", widest, config.narrow, 1)
    yield "final_linear.weight", (config.styles * config.latent, 16 * config.narrow)
    yield "final_linear.bias", (config.styles * config.latent,)


def _conditions(config: InpaintConfig) -> Iterator[Entry]:
    for j, width in enumerate(config.channels[::-1]):
        for name in ("condition_scale1", "condition_scale2"):
            yield f"{name}.{j}.weight", (width, 1)
            yield f"{name}.{j}.bias", (width,)
        yield f"condition_shift.{j}.0.weight", (width, width, 3, 3)
        yield f"condition_shift.{j}.0.bias", (width,)


def _generator(config: InpaintConfig) -> Iterator[Entry]:
    first = config.channels[0]
    yield from _styled("style_conv1.", first, first, config)
    yield from _to_rgb("to_rgb1.", first, config)
    for n, (inner, outer) in enumerate(pairwise(config.channels)):
        yield from _styled(f"style_convs.{2 * n}.", inner, outer, config)
        yield from _styled(f"style_convs.{2 * n + 1}.", outer, outer, config)
        yield from _to_rgb(f"to_rgbs.{n}.", outer, config)


def _styled(prefix: str, inner: int, outer: int, config: InpaintConfig) -> Iterator[Entry]:
    yield prefix + "weight", (1,)  # of the noise
    yield prefix + "modulated_conv.weight", (1, outer, inner, 3, 3)
    yield prefix + "modulated_conv.modulation.weight", (inner, config.latent)
    yield prefix + "modulated_conv.modulation.bias", (inner,)
    yield prefix + "activate.bias", (outer,)


def _to_rgb(prefix: str, inner: int, config: InpaintConfig) -> Iterator[Entry]:
    yield prefix + "bias", (1, 3, 1, 1)
    yield prefix + "modulated_conv.weight", (1, 3, inner, 1, 1)
    yield prefix + "modulated_conv.modulation.weight", (inner, config.latent)
    yield prefix + "modulated_conv.modulation.bias", (inner,)


def _noises(config: InpaintConfig) -> Iterator[Entry]:
    if config.own_noise:
        for i, side in enumerate(config.noise_sides()):
            yield f"noise.{i}", (1, 1, side, side)
