"""Tensors of a face-vid2vid: key -> shape, by the official checkpoint's parts and names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from e4s_engine.networks import network
from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig
from e4s_engine.networks.layers import SPECTRAL, batch_norm_tensors
from e4s_engine.networks.network import Entry, Shape

HEADS = ("fc_roll", "fc_pitch", "fc_yaw", "fc_t", "fc_exp")  # yaw, pitch, roll: the names are swapped


def tensors(config: FaceVid2VidConfig) -> dict[str, Shape]:
    """Return every tensor that the network reads, key -> shape; `down.weight` is a constant."""
    parts = (_generator(config), _decoder(config), _points(config), _pose(config))
    return dict(entry for part in parts for entry in part)


def scale(name: str, shape: Shape) -> tuple[float, float]:
    """Return mean and deviation of a random tensor; norms are about 1, points lie near the centre."""
    if name.endswith(("weight_u", "weight_v")):
        return 0, shape[0] ** -0.5
    if len(shape) == 1 and name.endswith("weight"):
        return 1, 0.1
    mean, deviation = network.scale(name, shape)
    weak = "kp_detector.kp." in name or ".fc_" in name
    return mean, 0.02 * deviation if weak else deviation


def head_sizes(config: FaceVid2VidConfig) -> tuple[int, ...]:
    """Return the length of every head's result."""
    return (config.bins, config.bins, config.bins, 3, 3 * config.points)


def _conv(prefix: str, inner: int, outer: int, *kernel: int) -> Iterator[Entry]:
    yield prefix + "weight", (outer, inner, *kernel)
    yield prefix + "bias", (outer,)


def _conv_norm(prefix: str, inner: int, outer: int, *kernel: int) -> Iterator[Entry]:
    yield from _conv(prefix + "conv.", inner, outer, *kernel)
    yield from batch_norm_tensors(prefix + "norm.", outer)


def _points(config: FaceVid2VidConfig) -> Iterator[Entry]:
    prefix, widths = "kp_detector.predictor.", config.widths()
    for i, (inner, outer) in enumerate(pairwise([3, *widths[1:]])):
        yield from _conv_norm(f"{prefix}down_blocks.down{i}.", inner, outer, 3, 3)
    yield from _conv(f"{prefix}conv.", widths[-1], widths[-1] * config.depth, 1, 1)
    for i, (inner, outer) in enumerate(pairwise(widths[::-1])):
        yield from _conv_norm(f"{prefix}up_blocks.up{i}.", inner, outer, 3, 3, 3)
    yield from _conv("kp_detector.kp.", widths[0], config.points, 3, 3, 3)


def _generator(config: FaceVid2VidConfig) -> Iterator[Entry]:
    features, flat = config.features, config.features * config.depth
    names = ("first.", "down_blocks.0.", "down_blocks.1.")
    for name, (inner, outer) in zip(names, pairwise([3, *config.first]), strict=True):
        yield from _conv_norm(f"generator.{name}", inner, outer, 3, 3)
    yield from _conv("generator.second.", config.first[-1], flat, 1, 1)
    for i in range(RESIDUALS):
        for number in (1, 2):
            prefix = f"generator.resblocks_3d.3dr{i}."
            yield from _conv(f"{prefix}conv{number}.", features, features, 3, 3, 3)
            yield from batch_norm_tensors(f"{prefix}norm{number}.", features)
    yield from _motion("generator.dense_motion_network.", config)
    yield from _conv_norm("generator.third.", flat, config.width, 3, 3)
    yield from _conv("generator.fourth.", config.width, config.width, 1, 1)


RESIDUALS = 6  # blocks of the appearance


def _motion(prefix: str, config: FaceVid2VidConfig) -> Iterator[Entry]:
    widths = config.widths()
    moved = config.motions * (1 + config.mixed)
    down = [moved, *widths[1:]]
    yield from _conv(prefix + "compress.", config.features, config.mixed, 1, 1, 1)
    yield from batch_norm_tensors(prefix + "norm.", config.mixed)
    for i, (inner, outer) in enumerate(pairwise(down)):
        yield from _conv_norm(f"{prefix}hourglass.encoder.down_blocks.{i}.", inner, outer, 3, 3, 3)
    inner = widths[-1]
    for i, (outer, skip) in enumerate(zip(widths[-2::-1], down[-2::-1], strict=True)):
        yield from _conv_norm(f"{prefix}hourglass.decoder.up_blocks.{i}.", inner, outer, 3, 3, 3)
        inner = outer + skip
    yield from _conv_norm(f"{prefix}hourglass.decoder.", inner, inner, 3, 3, 3)
    yield from _conv(prefix + "mask.", inner, config.motions, 7, 7, 7)
    yield from _conv(prefix + "occlusion.", inner * config.depth, 1, 7, 7)


def _decoder(config: FaceVid2VidConfig) -> Iterator[Entry]:
    prefix, wide = "generator.decoder.", 2 * config.width
    yield from _conv(prefix + "fc.", config.width, wide, 3, 3)
    for i in range(config.middle):
        yield from _block(f"{prefix}G_middle_{i}.", wide, wide, config)
    yield from _block(prefix + "up_0.", wide, config.width, config)
    yield from _block(prefix + "up_1.", config.width, config.out, config)
    yield from _conv(prefix + "conv_img.", config.out, 3, 3, 3)


def _block(prefix: str, inner: int, outer: int, config: FaceVid2VidConfig) -> Iterator[Entry]:
    middle = min(inner, outer)
    layers = [("0", inner, middle, 3), ("1", middle, outer, 3)]
    for number, before, after, kernel in [*layers, *([("s", inner, outer, 1)] if inner != outer else [])]:
        for leaf, shape in zip(
            SPECTRAL, ((after, before, kernel, kernel), (after,), (before * kernel**2,)), strict=True
        ):
            yield f"{prefix}conv_{number}.{leaf}", shape
        if number != "s":
            yield f"{prefix}conv_{number}.bias", (after,)
        norm = f"{prefix}norm_{number}."
        yield from _conv(norm + "mlp_shared.0.", config.width, config.hidden, 3, 3)
        yield from _conv(norm + "mlp_gamma.", config.hidden, before, 3, 3)
        yield from _conv(norm + "mlp_beta.", config.hidden, before, 3, 3)


def _pose(config: FaceVid2VidConfig) -> Iterator[Entry]:
    prefix = "he_estimator."
    yield from _pose_layer(prefix, 1, 3, config.pose, 7)
    inner = config.pose
    for stage, count in enumerate(config.blocks):
        outer = 4 * config.pose << stage
        yield from _pose_layer(prefix, stage + 2, inner, outer, 1)
        if stage:
            yield from _bottleneck(f"{prefix}block{2 * stage}.", outer, True)
        for i in range(count):
            yield from _bottleneck(f"{prefix}block{2 * stage + 1}.b{2 * stage + 1}_{i}.", outer, False)
        inner = outer
    for head, size in zip(HEADS, head_sizes(config), strict=True):
        yield from _conv(f"{prefix}{head}.", inner, size)


def _pose_layer(prefix: str, number: int, inner: int, outer: int, kernel: int) -> Iterator[Entry]:
    yield from _conv(f"{prefix}conv{number}.", inner, outer, kernel, kernel)
    yield from batch_norm_tensors(f"{prefix}norm{number}.", outer)


def _bottleneck(prefix: str, width: int, halves: bool) -> Iterator[Entry]:
    inner = width // 4
    yield from _pose_layer(prefix, 1, width, inner, 1)
    yield from _pose_layer(prefix, 2, inner, inner, 3)
    yield from _pose_layer(prefix, 3, inner, width, 1)
    if halves:
        yield from _conv(prefix + "skip.", width, width, 1, 1)
        yield from batch_norm_tensors(prefix + "norm4.", width)
