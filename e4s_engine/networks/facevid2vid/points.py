"""Key points of a head in space, for a neutral pose and expression (face-vid2vid's `kp_detector`)."""

from __future__ import annotations

from e4s_engine.networks.facevid2vid.config import FaceVid2VidConfig
from e4s_engine.networks.facevid2vid.layers import (
    conv,
    conv_norm,
    deep_conv,
    deep_conv_norm,
    doubled,
    halved,
)
from e4s_engine.ops.ops import Ops, T, Weights

TEMPERATURE = 0.1


def key_points(ops: Ops[T], picture: T, weights: Weights[T], config: FaceVid2VidConfig) -> T:
    """Find key points: [N,3,S,S] RGB in 0..1 -> [N,K,3], (x, y, z) in -1..1."""
    prefix, depth = "kp_detector.predictor.", config.depth
    x = ops.gaussian_quarter(picture)
    for i in range(config.levels):
        x = halved(ops, conv_norm(ops, x, weights, f"{prefix}down_blocks.down{i}."))
    x = ops.split_slices(conv(ops, x, weights, f"{prefix}conv."), depth)
    for i in range(config.levels):
        x = deep_conv_norm(ops, doubled(ops, x), weights, f"{prefix}up_blocks.up{i}.", depth)
    heat = deep_conv(ops, x, weights, "kp_detector.kp.", depth)
    return ops.soft_argmax(heat, depth=depth, temperature=TEMPERATURE)
