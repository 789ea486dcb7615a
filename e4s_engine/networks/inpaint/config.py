"""Sizes and counts of an inpainting network, as data."""

from __future__ import annotations

import dataclasses

from e4s_engine.errors import WeightsError
from e4s_engine.networks.network import MAX_CHANNELS, Shapes, check_integers

_SIZES = 5  # from 16 x 16 to 256 x 256
SMALLEST = 16


@dataclasses.dataclass(frozen=True)
class InpaintConfig:
    """GCFSR generator that fills holes: an encoder, and a StyleGAN2 decoder conditioned on its features.

    channels: of both, from 16 x 16 up to the size of the picture. narrow: channels of the encoder's last map.
    latent: length of a style. own_noise: 1 if the tensors hold the noise, as `noise.0` to `noise.8`; 0: it is
    the engine's fixed noise, so that the same picture always gives the same result.
    """

    channels: tuple[int, ...] = (512, 512, 512, 256, 128)
    narrow: int = 256
    latent: int = 512
    own_noise: int = 0

    def __post_init__(self) -> None:
        check_integers(self)
        counts = (*self.channels, self.narrow, self.latent)
        sane = 2 <= len(self.channels) <= _SIZES + 2 and self.own_noise in (0, 1)
        if not sane or not all(4 <= count <= MAX_CHANNELS for count in counts) or self.latent % 16:
            raise WeightsError(f"config: impossible inpainting network ({self})")

    @property
    def side(self) -> int:
        """Side of its pictures."""
        return SMALLEST << (len(self.channels) - 1)

    @property
    def styles(self) -> int:
        """Number of styles."""
        return 2 * len(self.channels)

    def noise_sides(self) -> list[int]:
        """Return the sides of the noise maps: one at 16, two at every further size."""
        return [SMALLEST << (i + 1) // 2 for i in range(2 * len(self.channels) - 1)]


def infer_inpaint(shapes: Shapes) -> InpaintConfig:
    """Infer the config of an inpainting state dict from its shapes."""
    try:
        channels = [shapes["style_conv1.modulated_conv.weight"][1]]
        while (name := f"style_convs.{2 * len(channels) - 1}.modulated_conv.weight") in shapes:
            channels.append(shapes[name][1])
        return InpaintConfig(
            channels=tuple(channels),
            narrow=shapes["final_down2.1.weight"][0],
            latent=shapes["style_conv1.modulated_conv.modulation.weight"][1],
            own_noise=int("noise.0" in shapes),
        )
    except (KeyError, IndexError) as error:
        raise WeightsError(f"weights: no inpainting state dict, {error} is missing or misshapen") from error
