"""Sizes and counts of an RRDBNet, as data."""

from __future__ import annotations

import dataclasses

from e4s_engine.errors import WeightsError
from e4s_engine.networks.network import MAX_CHANNELS, Shapes, check_integers

_MOST_BLOCKS = 128


@dataclasses.dataclass(frozen=True)
class RRDBConfig:
    """RRDBNet of a fourfold enlargement.

    features: channels between blocks. growth: channels that a dense block's convolution adds. blocks: number
    of blocks of three dense blocks each.
    """

    features: int = 32
    growth: int = 32
    blocks: int = 23

    def __post_init__(self) -> None:
        check_integers(self)
        widest = self.features + 4 * self.growth
        if not (min(self.features, self.growth) >= 4 and widest <= MAX_CHANNELS):
            raise WeightsError(f"config: impossible RRDBNet ({self.features} + 4 x {self.growth} features)")
        if not 1 <= self.blocks <= _MOST_BLOCKS:
            raise WeightsError(f"config: impossible RRDBNet ({self.blocks} blocks)")


@dataclasses.dataclass(frozen=True)
class RealESRGANConfig(RRDBConfig):
    """RRDBNet of RealESRGAN_x4plus: wider, and a network of its own, as one pipeline needs both."""

    features: int = 64


def is_realesrgan(shapes: Shapes) -> bool:
    """Return whether a state dict's shapes are those of an RRDBNet as wide as RealESRGAN_x4plus."""
    first = shapes.get("conv_first.weight", ())
    return "body.0.rdb1.conv1.weight" in shapes and bool(first) and first[0] == RealESRGANConfig.features


def infer_realesrgan(shapes: Shapes) -> RealESRGANConfig:
    """Infer the config of RealESRGAN_x4plus from its shapes."""
    return RealESRGANConfig(**dataclasses.asdict(infer_rrdbnet(shapes)))


def infer_rrdbnet(shapes: Shapes) -> RRDBConfig:
    """Infer the config of an RRDBNet state dict from its shapes (BasicSR conventions, scale 4)."""
    try:
        features, inputs = shapes["conv_first.weight"][:2]
        growth = shapes["body.0.rdb1.conv1.weight"][0]
    except (KeyError, ValueError, IndexError) as error:
        raise WeightsError(f"weights: no RRDBNet state dict, {error} is missing or misshapen") from error
    if inputs != 3:
        raise WeightsError(
            f"weights: this RRDBNet reads {inputs} channels, as those of other scales than 4 do; the "
            "published pipelines enlarge with realesrnet_x4.pth and RealESRGAN_x4plus.pth"
        )
    blocks = next(i for i in range(_MOST_BLOCKS + 2) if f"body.{i}.rdb1.conv1.weight" not in shapes)
    return RRDBConfig(features=features, growth=growth, blocks=blocks)
