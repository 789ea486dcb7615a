"""Sizes and counts of a ParseNet, as data."""

from __future__ import annotations

import dataclasses

from e4s_engine.errors import WeightsError
from e4s_engine.networks.network import MAX_CHANNELS, Shapes, check_integers

_MOST_BLOCKS = 64


@dataclasses.dataclass(frozen=True)
class ParseNetConfig:
    """ParseNet over pictures of 512 x 512.

    classes: number of classes, in the order of CelebAMask-HQ. widths: channels at full size and after each
    halving; the way up has them in reverse. blocks: number of residual blocks at the coarsest size.
    """

    classes: int = 19
    widths: tuple[int, ...] = (64, 128, 256, 256, 256)
    blocks: int = 10

    def __post_init__(self) -> None:
        check_integers(self)
        wide = 2 <= len(self.widths) <= 8 and all(4 <= width <= MAX_CHANNELS for width in self.widths)
        if not wide or not 1 <= self.blocks <= _MOST_BLOCKS or not 4 <= self.classes <= 255:
            raise WeightsError(
                f"config: impossible ParseNet ({self.classes} classes, widths {self.widths}, "
                f"{self.blocks} blocks)"
            )

    @property
    def halvings(self) -> int:
        """Number of halvings on the way down, and of doublings on the way up."""
        return len(self.widths) - 1


def infer_parsenet(shapes: Shapes) -> ParseNetConfig:
    """Infer the config of a ParseNet state dict from its shapes."""
    try:
        classes = shapes["out_mask_conv.conv2d.weight"][0]
        widths = [shapes["encoder.0.conv2d.weight"][0]]
        while (name := f"encoder.{len(widths)}.conv1.conv2d.weight") in shapes and len(widths) < 9:
            widths.append(shapes[name][0])
    except (KeyError, IndexError) as error:
        raise WeightsError(f"weights: no ParseNet state dict, {error} is missing or misshapen") from error
    blocks = next(i for i in range(_MOST_BLOCKS + 2) if f"body.{i}.conv1.conv2d.weight" not in shapes)
    return ParseNetConfig(classes=classes, widths=tuple(widths), blocks=blocks)
