"""Sizes and counts of a RetinaFace detector over a ResNet of bottlenecks, as data."""

from __future__ import annotations

import dataclasses

from e4s_engine.errors import WeightsError
from e4s_engine.networks.network import MAX_CHANNELS, Shapes, check_integers

_MOST_BLOCKS = 64


@dataclasses.dataclass(frozen=True)
class DetectorConfig:
    """RetinaFace over ResNet-50.

    blocks: number of bottlenecks in each of the four layers. width: channels of the stem; a layer has four
    times its bottlenecks' channels, which double from layer to layer. features: channels of the pyramid.
    """

    blocks: tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    features: int = 256

    def __post_init__(self) -> None:
        check_integers(self)
        sane = len(self.blocks) == 4 and all(1 <= count <= _MOST_BLOCKS for count in self.blocks)
        if not sane or not 1 <= 32 * self.width <= MAX_CHANNELS:
            raise WeightsError(f"config: impossible detector (blocks {self.blocks}, width {self.width})")
        if not 4 <= self.features <= MAX_CHANNELS or self.features % 4:
            raise WeightsError(f"config: impossible detector ({self.features} features, not 4, 8, ..)")


def infer_detector(shapes: Shapes) -> DetectorConfig:
    """Infer the config of a RetinaFace state dict from its shapes (Pytorch_Retinaface conventions)."""
    if "body.stage1.0.0.weight" in shapes:
        raise WeightsError(
            "weights: this is the RetinaFace over MobileNet; the published pipeline detects with the one "
            "over ResNet-50 (RetinaFace-R50.pth, or Resnet50_Final.pth of Pytorch_Retinaface)"
        )
    try:
        width = shapes["body.conv1.weight"][0]
        features = shapes["fpn.output1.0.weight"][0]
    except (KeyError, IndexError) as error:
        raise WeightsError(f"weights: no RetinaFace state dict, {error} is missing or misshapen") from error
    blocks = tuple(
        next(i for i in range(_MOST_BLOCKS + 2) if f"body.layer{layer}.{i}.conv1.weight" not in shapes)
        for layer in (1, 2, 3, 4)
    )
    return DetectorConfig(blocks=blocks, width=width, features=features)
