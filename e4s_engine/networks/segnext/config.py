"""Sizes and counts of a SegNeXt face parser, as data."""

from __future__ import annotations

import dataclasses

from e4s_engine.errors import WeightsError
from e4s_engine.networks.network import MAX_CHANNELS, Shapes, check_integers

STAGES = 4
GROUPS = 32  # of the head's norms
_MOST_BLOCKS = 128
_MOST_SEED = 2**32 - 1


@dataclasses.dataclass(frozen=True)
class SegNeXtConfig:
    """SegNeXt over MSCAN. The default is the published small size.

    widths: channels of the stages. depths: blocks of the stages. ratios: channels within a block's MLP, by
    those of its stage. head: channels of the head. rank: rank of the head's factorisation. classes: number of
    outputs; those above 18 are never trained. seed: seed of the factorisation's start, as of
    torch.manual_seed.
    """

    widths: tuple[int, ...] = (64, 128, 320, 512)
    depths: tuple[int, ...] = (2, 2, 4, 2)
    ratios: tuple[int, ...] = (8, 8, 4, 4)
    head: int = 256
    rank: int = 16
    classes: int = 19
    seed: int = 0

    def __post_init__(self) -> None:
        check_integers(self)
        counts = (self.widths, self.depths, self.ratios)
        wide = (
            all(len(listed) == STAGES and min(listed) >= 1 for listed in counts) and self.widths[0] % 2 == 0
        )
        inner = [width * ratio for width, ratio in zip(self.widths, self.ratios, strict=False)]
        # Buffers of three channels are pictures.
        if not wide or min(self.widths) < 4 or max(*self.widths, *inner, self.head) > 2 * MAX_CHANNELS:
            raise WeightsError(f"config: impossible SegNeXt (widths {self.widths}, ratios {self.ratios})")
        if max(self.depths) > _MOST_BLOCKS or self.head < GROUPS or self.head % GROUPS:
            raise WeightsError(
                f"config: impossible SegNeXt (depths {self.depths}, {self.head} channels in the head)"
            )
        if not (1 <= self.rank <= 256 and 4 <= self.classes <= 255 and 0 <= self.seed <= _MOST_SEED):
            raise WeightsError(
                f"config: impossible SegNeXt (rank {self.rank}, {self.classes} classes, seed {self.seed})"
            )


# Published sizes. The classes of three are left over from another data set.
SIZES = {
    "tiny": SegNeXtConfig((32, 64, 160, 256), (3, 3, 5, 2), classes=150),
    "small": SegNeXtConfig(),
    "base": SegNeXtConfig(depths=(3, 3, 12, 3), head=512, rank=64, classes=150),
    "large": SegNeXtConfig(depths=(3, 5, 27, 3), head=1024, rank=64, classes=150),
}


def infer_segnext(shapes: Shapes) -> SegNeXtConfig:
    """Infer the config of a SegNeXt state dict from its shapes, and the rank from the head's channels."""
    stages = range(1, STAGES + 1)
    try:
        widths = tuple(shapes[f"backbone.norm{i}.weight"][0] for i in stages)
        inner = [shapes[f"backbone.block{i}.0.mlp.fc1.weight"][0] for i in stages]
        classes, head = shapes["decode_head.conv_seg.weight"][:2]
    except (KeyError, ValueError, IndexError) as error:
        raise WeightsError(f"weights: no SegNeXt state dict, {error} is missing or misshapen") from error
    return SegNeXtConfig(
        widths=widths,
        depths=tuple(_count(shapes, f"backbone.block{i}.") for i in stages),
        ratios=tuple(wide // max(width, 1) for wide, width in zip(inner, widths, strict=True)),
        head=head,
        rank=16 if head == 256 else 64,
        classes=classes,
    )


def _count(shapes: Shapes, prefix: str) -> int:
    return next(i for i in range(_MOST_BLOCKS + 2) if f"{prefix}{i}.layer_scale_1" not in shapes)
