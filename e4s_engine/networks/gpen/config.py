"""Sizes and counts of a GPEN, as data."""

from __future__ import annotations

import dataclasses

from e4s_engine.errors import WeightsError
from e4s_engine.networks.network import MAX_CHANNELS, Shapes, check_integers

_MOST_LAYERS = 32
_MOST_SIZES = 10


@dataclasses.dataclass(frozen=True)
class GPENConfig:
    """GPEN-BFR: a StyleGAN2 whose noise is an encoder's features.

    channels: of both, at 4 x 4, 8 x 8 and so on up to the size of the picture. latent: length of the style.
    mapping: number of layers of the mapping network.
    """

    channels: tuple[int, ...] = (512, 512, 512, 512, 512, 256, 128, 64)
    latent: int = 512
    mapping: int = 8

    def __post_init__(self) -> None:
        check_integers(self)
        counts = self.channels
        wide = 2 <= len(counts) <= _MOST_SIZES and all(4 <= c <= MAX_CHANNELS // 2 for c in counts)
        if not wide or not 4 <= self.latent <= MAX_CHANNELS or not 0 <= self.mapping <= _MOST_LAYERS:
            raise WeightsError(
                f"config: impossible GPEN (channels {self.channels}, latent {self.latent}, "
                f"{self.mapping} mapping layers)"
            )

    @property
    def doublings(self) -> int:
        """Number of doublings from 4 x 4 to the size of the picture."""
        return len(self.channels) - 1

    @property
    def side(self) -> int:
        """Side of its pictures."""
        return 4 << self.doublings


def infer_gpen(shapes: Shapes) -> GPENConfig:
    """Infer the config of a GPEN state dict from its shapes."""
    try:
        channels = [shapes["generator.conv1.conv.weight"][1]]
        for size in range(1, _MOST_SIZES + 1):
            name = f"generator.convs.{2 * size - 1}.conv.weight"
            if name not in shapes:
                break
            channels.append(shapes[name][1])
        latent = shapes["final_linear.0.weight"][0]
    except (KeyError, IndexError) as error:
        raise WeightsError(f"weights: no GPEN state dict, {error} is missing or misshapen") from error
    mapping = next(i for i in range(_MOST_LAYERS + 2) if f"generator.style.{i + 1}.weight" not in shapes)
    return GPENConfig(channels=tuple(channels), latent=latent, mapping=mapping)
