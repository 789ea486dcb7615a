"""Sizes and counts of a re-colouring network, as data."""

from __future__ import annotations

import dataclasses

from e4s_engine.errors import WeightsError
from e4s_engine.networks.network import MAX_CHANNELS, Shapes, check_integers

_LAYERS = 5  # convolutions before the SPADE blocks


@dataclasses.dataclass(frozen=True)
class RecolorConfig:
    """Re-colouring network: features of both pictures, attention between them, a U-Net.

    layers: channels of the features' convolutions. features: channels of the features that are compared.
    hidden: channels of the SPADE norms. unet: channels of the U-Net, from the picture's size to an eighth.
    side: side of its pictures.
    """

    layers: tuple[int, ...] = (64, 128, 256, 512, 512)
    features: int = 256
    hidden: int = 128
    unet: tuple[int, ...] = (64, 128, 256, 512)
    side: int = 256

    def __post_init__(self) -> None:
        check_integers(self)
        counts = (*self.layers, self.features, self.hidden, *self.unet)
        known = len(self.layers) == _LAYERS and len(self.unet) == 4
        if (
            not known
            or not all(4 <= count <= MAX_CHANNELS // 2 for count in counts)
            or not 16 <= self.side <= 1024
            or self.side % 8
        ):
            raise WeightsError(f"config: impossible re-colouring network ({self})")

    @property
    def blocks(self) -> tuple[tuple[str, int, int], ...]:
        """SPADE blocks: name, channels before and after."""
        width = self.layers[-1]
        return (
            ("head_0.", width, width),
            ("G_middle_0.", width, width),
            ("G_middle_1.", width, self.features),
        )


def infer_recolor(shapes: Shapes) -> RecolorConfig:
    """Infer the config of a re-colouring state dict from its shapes."""
    prefix = "referencer.FPN."
    try:
        return RecolorConfig(
            layers=tuple(shapes[f"{prefix}layer{i}.0.weight_orig"][0] for i in range(1, _LAYERS + 1)),
            features=shapes[f"{prefix}G_middle_1.conv_1.weight_orig"][0],
            hidden=shapes[f"{prefix}head_0.norm_0.mlp_shared.1.weight"][0],
            unet=tuple(
                shapes[f"unet.{name}.conv1.weight"][0]
                for name in ("input_encoder_layer", "res_en_layer2", "res_en_layer3", "res_bridge_layer")
            ),
        )
    except (KeyError, IndexError) as error:
        raise WeightsError(
            f"weights: no re-colouring state dict, {error} is missing or misshapen (the light variant, "
            "small_FPN, is not read)"
        ) from error
