"""Sizes and counts of a BiSeNet face parser, as data."""

from __future__ import annotations

import dataclasses

from e4s_engine import regions
from e4s_engine.errors import WeightsError
from e4s_engine.networks.network import MAX_CHANNELS, Shapes, check_integers


@dataclasses.dataclass(frozen=True)
class ParserConfig:
    """A BiSeNet over ResNet-18. table: mapping of its classes to regions ("bisenet", or "regions" for 12)."""

    classes: int = 19
    widths: tuple[int, ...] = (64, 64, 128, 256, 512)
    context: int = 128
    fusion: int = 256
    table: str = "bisenet"

    def __post_init__(self) -> None:
        check_integers(self)
        expected = {"bisenet": 19, "celebamask_hq": 19, "regions": regions.COUNT}
        if expected.get(self.table) != self.classes:
            raise WeightsError(f"config: impossible parser ({self.classes} classes, table {self.table!r})")
        if len(self.widths) != 5 or not all(
            1 <= w <= MAX_CHANNELS for w in (*self.widths, self.context, self.fusion)
        ):
            raise WeightsError(f"config: impossible parser (widths {self.widths})")


def infer_parser(shapes: Shapes) -> ParserConfig:
    """Infer the config of a BiSeNet state dict from its shapes (face-parsing.PyTorch conventions)."""
    try:
        widths = (
            shapes["cp.resnet.conv1.weight"][0],
            *(shapes[f"cp.resnet.layer{i}.0.conv1.weight"][0] for i in (1, 2, 3, 4)),
        )
        classes = shapes["conv_out.conv_out.weight"][0]
        context = shapes["cp.conv_avg.conv.weight"][0]
        fusion = shapes["ffm.convblk.conv.weight"][0]
    except (KeyError, IndexError) as error:
        raise WeightsError(f"weights: no BiSeNet state dict, {error} is missing or misshapen") from error
    table = "regions" if classes == regions.COUNT else "bisenet"
    return ParserConfig(classes=classes, widths=widths, context=context, fusion=fusion, table=table)
