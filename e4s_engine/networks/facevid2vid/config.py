"""Sizes and counts of a face-vid2vid, as data."""

from __future__ import annotations

import dataclasses

from e4s_engine.errors import WeightsError
from e4s_engine.networks.network import MAX_CHANNELS, Shapes, check_integers

_MOST = 64  # points, slices, blocks
_STAGES = 4  # of the head pose's ResNet


@dataclasses.dataclass(frozen=True)
class FaceVid2VidConfig:
    """face-vid2vid: key points of a head in space, and a generator that moves a picture by them.

    points: number of key points. depth: number of slices of a volume. features: channels of the appearance's
    slices. widest: most channels of the key points' and the motion's networks, which double them `levels`
    times. mixed: channels that a motion is predicted from. first: channels of the picture's encoder, from
    the picture's size to a quarter of it. width, out: channels of the decoder, first at a quarter of the
    size, last at the picture's. middle: number of its blocks before it doubles the size. hidden: channels of
    its norms. bins: of an angle. pose: channels of the head pose's first layer. blocks: number of its blocks
    per stage.
    """

    points: int = 15
    depth: int = 16
    features: int = 32
    widest: int = 1024
    levels: int = 5
    mixed: int = 4
    first: tuple[int, ...] = (64, 128, 256)
    width: int = 256
    out: int = 64
    middle: int = 6
    hidden: int = 128
    bins: int = 66
    pose: int = 64
    blocks: tuple[int, ...] = (3, 3, 5, 2)

    def __post_init__(self) -> None:
        check_integers(self)
        counts = (self.points, self.depth, self.middle, self.levels, self.mixed, self.bins // 2, *self.blocks)
        channels = (self.features, self.width, self.out, self.hidden, self.pose, *self.first)
        sane = all(1 <= count <= _MOST for count in counts) and self.levels <= 6 and len(self.first) == 3
        wide = (
            min(*channels, self.mixed) >= 4
            and max(2 * self.width, 32 * self.pose, self.widest) <= MAX_CHANNELS
        )
        volume = self.features * self.depth <= MAX_CHANNELS and max(self.first) <= MAX_CHANNELS
        if not (sane and wide and volume and len(self.blocks) == _STAGES and self.widest >= self.features):
            raise WeightsError(f"config: impossible face-vid2vid ({self})")

    @property
    def side(self) -> int:
        """Side of its pictures: the motion's maps have a quarter of it and are halved `levels` times."""
        return 8 << self.levels

    @property
    def motions(self) -> int:
        """Number of motions: one per point, and none."""
        return self.points + 1

    def widths(self) -> list[int]:
        """Return the channels of the key points' and the motion's maps, from a quarter of the size down."""
        return [min(self.widest, self.features << i) for i in range(self.levels + 1)]


def infer_facevid2vid(shapes: Shapes) -> FaceVid2VidConfig:
    """Infer the config of a face-vid2vid state dict from its shapes."""
    decoder, points = "generator.decoder.", "kp_detector.predictor."
    try:
        features = shapes["generator.resblocks_3d.3dr0.conv1.weight"][0]
        return FaceVid2VidConfig(
            points=shapes["kp_detector.kp.weight"][0],
            depth=shapes["generator.second.weight"][0] // features,
            features=features,
            widest=shapes[f"{points}conv.weight"][1],
            levels=_count(shapes, f"{points}down_blocks.down{{}}.conv.weight"),
            mixed=shapes["generator.dense_motion_network.compress.weight"][0],
            first=tuple(
                shapes[f"generator.{name}.conv.weight"][0]
                for name in ("first", "down_blocks.0", "down_blocks.1")
            ),
            width=shapes["generator.fourth.weight"][0],
            out=shapes[f"{decoder}conv_img.weight"][1],
            middle=_count(shapes, f"{decoder}G_middle_{{}}.conv_0.weight_orig"),
            hidden=shapes[f"{decoder}up_0.norm_0.mlp_shared.0.weight"][0],
            bins=shapes["he_estimator.fc_yaw.weight"][0],
            pose=shapes["he_estimator.conv1.weight"][0],
            blocks=tuple(
                _count(shapes, f"he_estimator.block{stage}.b{stage}_{{}}.conv1.weight")
                for stage in range(1, 2 * _STAGES, 2)
            ),
        )
    except (KeyError, IndexError, ZeroDivisionError) as error:
        raise WeightsError(f"weights: no face-vid2vid state dict, {error} is missing or misshapen") from error


def _count(shapes: Shapes, name: str) -> int:
    return next(i for i in range(_MOST + 2) if name.format(i) not in shapes)
