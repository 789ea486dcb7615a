"""Sizes and counts of an RGI model, as data. Nothing else in the package assumes the published sizes."""

from __future__ import annotations

import dataclasses

from e4s_engine.errors import WeightsError
from e4s_engine.networks.network import MAX_CHANNELS, Shapes, check_integers

PUBLISHED_CHANNELS = (512, 512, 512, 512, 512, 256, 128, 64, 32)  # 4 x 4 to 1024 x 1024
MAX_SIZE = 2048
MAX_UNITS = 256  # all units of the encoder


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """An RGI model: encoder, per-region MLPs, generator. Defaults are the published model.

    size: output side in pixels, a power of two.
    channels: generator channels at 4, 8, ..., size.
    injected: number of layers with a style per region (the paper's K); later ones use latent_avg.
    stages: encoder stages as (depth, units); the last three are tapped for the style vectors.
    relight: hidden width of the relighting layers (relight.py); 0: the model has none.
    """

    size: int = 1024
    channels: tuple[int, ...] = PUBLISHED_CHANNELS
    latents: int = 18
    latent_dim: int = 512
    injected: int = 13
    mlp_hidden: int = 512
    stem: int = 64
    stages: tuple[tuple[int, int], ...] = ((128, 3), (256, 4), (512, 14), (512, 3))
    encoder_size: int = 256
    relight: int = 0

    def __post_init__(self) -> None:
        check_integers(self)
        size = self.size
        problems = [
            (
                not 8 <= size <= MAX_SIZE or size & (size - 1),
                f"size {size} is no power of two in 8..{MAX_SIZE}",
            ),
            (
                len(self.channels) != size.bit_length() - 2,
                f"{len(self.channels)} channel counts for size {size}",
            ),
            (not all(1 <= c <= MAX_CHANNELS for c in self.channels), f"channels {self.channels}"),
            (
                not self.layers <= self.latents <= MAX_CHANNELS,
                f"{self.latents} latents for {self.layers} layers",
            ),
            (not 1 <= self.injected <= self.latents, f"injected {self.injected} of {self.latents}"),
            (len(self.stages) != 4 or any(n < 1 for _, n in self.stages), f"stages {self.stages}"),
            (sum(n for _, n in self.stages) > MAX_UNITS, f"stages {self.stages}"),
            (not all(1 <= d <= MAX_CHANNELS for d, _ in self.stages), f"stages {self.stages}"),
            (not 16 <= self.encoder_size <= MAX_SIZE, f"encoder_size {self.encoder_size}"),
            (not 1 <= self.latent_dim <= MAX_CHANNELS, f"latent_dim {self.latent_dim}"),
            (not 1 <= self.mlp_hidden <= MAX_CHANNELS, f"mlp_hidden {self.mlp_hidden}"),
            (not 1 <= self.stem <= MAX_CHANNELS, f"stem {self.stem}"),
            (not 0 <= self.relight <= MAX_CHANNELS, f"relight {self.relight}"),
        ]
        for wrong, message in problems:
            if wrong:
                raise WeightsError(f"config: impossible model ({message})")

    @property
    def layers(self) -> int:
        """Number of style layers of the generator: 18 at 1024."""
        return 2 * self.size.bit_length() - 4

    @property
    def doublings(self) -> int:
        """Number of times that the generator doubles its side, from 4 x 4."""
        return self.size.bit_length() - 3

    @property
    def style_dim(self) -> int:
        """Length D of a region's style vector: 1280 in the published model."""
        return sum(depth for depth, _ in self.stages[1:])

    def units(self) -> list[tuple[int, int, int]]:
        """Return the encoder's units as (input depth, output depth, stride)."""
        units, before = [], self.stem
        for depth, count in self.stages:
            units += [(before, depth, 2)] + [(depth, depth, 1)] * (count - 1)
            before = depth
        return units

    def taps(self) -> tuple[int, int, int]:
        """Return the indices of the units whose outputs are pooled: (6, 20, 23) in the published model."""
        ends, total = [], 0
        for _, count in self.stages:
            total += count
            ends.append(total - 1)
        return (ends[1], ends[2], ends[3])


def infer_model(shapes: Shapes) -> ModelConfig:
    """Infer the config of an official RGI state dict from its shapes.

    The units per stage are not visible in shapes; they are the published 3, 4, 14, 3.
    """
    try:
        channels = [shapes["G.conv1.conv.weight"][1]]
        while (key := f"G.convs.{2 * len(channels) - 2}.conv.weight") in shapes:
            channels.append(shapes[key][1])
        latents, latent_dim = shapes["latent_avg"]
        hidden = shapes["MLPs.0.mlp.0.weight"][0]
        injected = shapes["MLPs.0.mlp.2.weight"][0] // latent_dim
        starts = (0, 3, 7, 21)
        depths = [shapes[f"encoder.body.{i}.res_layer.1.weight"][0] for i in starts]
        stem = shapes["encoder.input_layer.0.weight"][0]
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        raise WeightsError(f"weights: no RGI state dict, {error} is missing or misshapen") from error
    return ModelConfig(
        size=4 << (len(channels) - 1),
        channels=tuple(channels),
        latents=latents,
        latent_dim=latent_dim,
        injected=injected,
        mlp_hidden=hidden,
        stem=stem,
        stages=tuple(zip(depths, (3, 4, 14, 3), strict=True)),
    )
