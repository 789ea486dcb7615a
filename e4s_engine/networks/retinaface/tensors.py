"""Tensors of a RetinaFace detector: key -> shape, by the official checkpoint's names."""

from __future__ import annotations

from collections.abc import Iterator

from e4s_engine.networks import network
from e4s_engine.networks.layers import batch_norm_tensors
from e4s_engine.networks.network import Entry, Shape
from e4s_engine.networks.retinaface.config import DetectorConfig

HEADS = {"ClassHead": 4, "BboxHead": 8, "LandmarkHead": 20}  # channels: two anchors of 2, 4 and 10 values
# Convolutions of a context module: name -> (source, share of the pyramid's channels as 1 / n).
CONTEXT = {
    "conv3X3": ("x", 2),
    "conv5X5_1": ("x", 4),
    "conv5X5_2": ("conv5X5_1", 4),
    "conv7X7_2": ("conv5X5_1", 4),
    "conv7x7_3": ("conv7X7_2", 4),
}


def tensors(config: DetectorConfig) -> dict[str, Shape]:
    """Return every tensor that the network reads, key -> shape."""
    return dict(_detector(config))


def scale(name: str, shape: Shape) -> tuple[float, float]:
    """Return mean and deviation of a random tensor; residual branches and heads are weak, norms about 1."""
    if len(shape) == 1 and name.endswith("weight"):
        return (0.2, 0.02) if ".bn3." in name else (1, 0.1)
    mean, deviation = network.scale(name, shape)
    return mean, 0.05 * deviation if "Head." in name else deviation


def _conv_norm(prefix: str, inner: int, outer: int, kernel: int) -> Iterator[Entry]:
    yield prefix + "0.weight", (outer, inner, kernel, kernel)
    yield from batch_norm_tensors(prefix + "1.", outer)


def _detector(config: DetectorConfig) -> Iterator[Entry]:
    features = config.features
    yield "body.conv1.weight", (config.width, 3, 7, 7)
    yield from batch_norm_tensors("body.bn1.", config.width)
    inner = config.width
    for layer, count in enumerate(config.blocks, 1):
        middle = config.width << (layer - 1)
        for block in range(count):
            yield from _bottleneck(f"body.layer{layer}.{block}.", inner, middle, block == 0)
            inner = 4 * middle
    for level in (1, 2, 3):
        yield from _conv_norm(f"fpn.output{level}.", config.width << (level + 2), features, 1)
    for level in (1, 2):
        yield from _conv_norm(f"fpn.merge{level}.", features, features, 3)
    for level in (1, 2, 3):
        for name, (source, share) in CONTEXT.items():
            before = features if source == "x" else features // CONTEXT[source][1]
            yield from _conv_norm(f"ssh{level}.{name}.", before, features // share, 3)
    for head, channels in HEADS.items():
        for level in range(3):
            yield f"{head}.{level}.conv1x1.weight", (channels, features, 1, 1)
            yield f"{head}.{level}.conv1x1.bias", (channels,)


def _bottleneck(prefix: str, inner: int, middle: int, first: bool) -> Iterator[Entry]:
    outer = 4 * middle
    for number, (before, after, kernel) in enumerate(
        ((inner, middle, 1), (middle, middle, 3), (middle, outer, 1)), 1
    ):
        yield f"{prefix}conv{number}.weight", (after, before, kernel, kernel)
        yield from batch_norm_tensors(f"{prefix}bn{number}.", after)
    if first:
        yield from _conv_norm(prefix + "downsample.", inner, outer, 1)
