"""face-vid2vid's generator: face + key points, its own and wanted ones -> the face moved to these.

(Wang et al., "One-Shot Free-View Neural Talking-Head Synthesis", CVPR 2021.) An encoder lifts the picture to
a volume of features; a U-Net over volumes mixes the motions of the key points into one; the moved volume is
drawn by a decoder of SPADE blocks. Tensors have the official checkpoint's names.
"""

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
from e4s_engine.networks.facevid2vid.tensors import RESIDUALS
from e4s_engine.networks.layers import SPECTRAL, batch_norm
from e4s_engine.ops.ops import Ops, T, Weights

SLOPE = 0.2
_THIRD_SLOPE = 0.01


def reenact(
    ops: Ops[T], picture: T, source: T, driving: T, weights: Weights[T], config: FaceVid2VidConfig
) -> T:
    """Move faces: [N,3,S,S] RGB in 0..1, key points of theirs and wanted [N,K,3] -> [N,3,S,S], 0 to 1."""
    x = appearance(ops, picture, weights, config)
    y = motion_features(ops, x, source, driving, weights, config)
    logits, occlusion = mixture(ops, y, weights, config), occlusion_logits(ops, y, weights, config)
    x = ops.warp(x, logits, source, driving, depth=config.depth)
    x = _flatten(ops, x, weights, config)
    return decode(ops, ops.gate(x, occlusion), weights, config)


def appearance(ops: Ops[T], picture: T, weights: Weights[T], config: FaceVid2VidConfig) -> T:
    """Compute the volume of features [N*D,C,S/4,S/4] of pictures [N,3,S,S] in 0..1."""
    x = conv_norm(ops, picture, weights, "generator.first.")
    for i in range(len(config.first) - 1):
        x = halved(ops, conv_norm(ops, x, weights, f"generator.down_blocks.{i}."))
    x = ops.split_slices(conv(ops, x, weights, "generator.second."), config.depth)
    for i in range(RESIDUALS):
        y, prefix = x, f"generator.resblocks_3d.3dr{i}."
        for number in (1, 2):
            y = batch_norm(ops, y, weights, f"{prefix}norm{number}.", True)
            y = deep_conv(ops, y, weights, f"{prefix}conv{number}.", config.depth)
        x = ops.add(y, x)
    return x


def motion_features(
    ops: Ops[T], x: T, source: T, driving: T, weights: Weights[T], config: FaceVid2VidConfig
) -> T:
    """Compute the volume of features that the motion is read from."""
    prefix, depth = "generator.dense_motion_network.", config.depth
    x = batch_norm(
        ops, deep_conv(ops, x, weights, f"{prefix}compress.", depth), weights, f"{prefix}norm.", True
    )
    maps = [ops.sparse_motion(x, source, driving, depth=depth)]
    for i in range(config.levels):
        name = f"{prefix}hourglass.encoder.down_blocks.{i}."
        maps.append(halved(ops, deep_conv_norm(ops, maps[-1], weights, name, depth)))
    x = maps.pop()
    for i in range(config.levels):
        name = f"{prefix}hourglass.decoder.up_blocks.{i}."
        x = ops.concat([deep_conv_norm(ops, doubled(ops, x), weights, name, depth), maps.pop()])
    return deep_conv_norm(ops, x, weights, f"{prefix}hourglass.decoder.", depth)


def mixture(ops: Ops[T], x: T, weights: Weights[T], config: FaceVid2VidConfig) -> T:
    """Return the logits [N*D,K+1,h,w] of the share of each motion."""
    return deep_conv(ops, x, weights, "generator.dense_motion_network.mask.", config.depth)


def occlusion_logits(ops: Ops[T], x: T, weights: Weights[T], config: FaceVid2VidConfig) -> T:
    """Return the logits [N,1,h,w] of what the source shows."""
    prefix = "generator.dense_motion_network.occlusion."
    return ops.conv_slices(x, weights[prefix + "weight"], weights[prefix + "bias"], depth=config.depth)


def _flatten(ops: Ops[T], x: T, weights: Weights[T], config: FaceVid2VidConfig) -> T:
    """Return the map that the decoder draws from a moved volume."""
    prefix = "generator.third."
    weight, bias = weights[f"{prefix}conv.weight"], weights[f"{prefix}conv.bias"]
    x = ops.conv_slices(x, weight, bias, depth=config.depth)
    x = ops.activation(batch_norm(ops, x, weights, f"{prefix}norm.", False), slope=_THIRD_SLOPE)
    return conv(ops, x, weights, "generator.fourth.")


def decode(ops: Ops[T], style: T, weights: Weights[T], config: FaceVid2VidConfig) -> T:
    """Draw maps [N,C,S/4,S/4] as pictures [N,3,S,S]."""
    prefix = "generator.decoder."
    x = conv(ops, style, weights, f"{prefix}fc.")
    for i in range(config.middle):
        x = _spade_block(ops, x, style, weights, f"{prefix}G_middle_{i}.")
    for name in ("up_0.", "up_1."):
        x, style = doubled(ops, x), doubled(ops, style)
        x = _spade_block(ops, x, style, weights, prefix + name)
    x = conv(ops, ops.activation(x, slope=SLOPE), weights, f"{prefix}conv_img.")
    return ops.sigmoid(x)


def _spade_block(ops: Ops[T], x: T, style: T, weights: Weights[T], prefix: str) -> T:
    y = x
    for number in "01":
        y = _spade(ops, y, style, weights, f"{prefix}norm_{number}.", SLOPE)
        y = ops.conv2d(
            y, _kernel(ops, weights, f"{prefix}conv_{number}."), bias=weights[f"{prefix}conv_{number}.bias"]
        )
    if f"{prefix}conv_s.{SPECTRAL[0]}" in weights:
        x = _spade(ops, x, style, weights, f"{prefix}norm_s.", 1.0)
        x = ops.conv2d(x, _kernel(ops, weights, f"{prefix}conv_s."))
    return ops.add(y, x)


def _spade(ops: Ops[T], x: T, style: T, weights: Weights[T], prefix: str, slope: float) -> T:
    shared = f"{prefix}mlp_shared.0."
    style = ops.conv2d(style, weights[f"{shared}weight"], bias=weights[f"{shared}bias"], relu=True)
    names = ("mlp_gamma.weight", "mlp_gamma.bias", "mlp_beta.weight", "mlp_beta.bias")
    return ops.spade(x, style, *(weights[prefix + name] for name in names), slope=slope)


def _kernel(ops: Ops[T], weights: Weights[T], prefix: str) -> T:
    return ops.spectral_norm(*(weights[prefix + leaf] for leaf in SPECTRAL))
