"""SegNeXt face parser: face crop -> class logits (Guo et al., 2022; SegNeXt-FaceParser's weights).

Tensors have the official checkpoint's names.
"""

from __future__ import annotations

from e4s_engine.networks.layers import batch_norm
from e4s_engine.networks.segnext.config import GROUPS, STAGES, SegNeXtConfig
from e4s_engine.networks.segnext.tensors import STRIPS
from e4s_engine.ops.ops import Ops, T, Weights

MEAN = (123.675 / 255, 116.28 / 255, 103.53 / 255)
STD = (58.395 / 255, 57.12 / 255, 57.375 / 255)


def classes(ops: Ops[T], pixels: T, weights: Weights[T], config: SegNeXtConfig) -> T:
    """Compute the best class per pixel: uint8 [N,H,W,3] RGB, H and W 512 in practice -> uint8 [N,H,W]."""
    height, width = pixels.shape[1:3]
    return ops.argmax(ops.resize(logits(ops, pixels, weights, config), height, width, "bilinear"))


def logits(ops: Ops[T], pixels: T, weights: Weights[T], config: SegNeXtConfig) -> T:
    """Compute class logits [N,classes,H/8,W/8] of pictures uint8 [N,H,W,3]."""
    image = ops.normalize(ops.from_uint8(pixels, 0, 1), MEAN, STD)
    return classify(ops, stages(ops, image, weights, config), weights, config)


def stages(ops: Ops[T], image: T, weights: Weights[T], config: SegNeXtConfig) -> list[T]:
    """Compute the features of the four stages, at 1/4, 1/8, 1/16 and 1/32, of pictures [N,3,H,W]."""
    x, features = image, []
    for stage in range(1, STAGES + 1):
        x = _embed(ops, x, weights, f"backbone.patch_embed{stage}.")
        for i in range(config.depths[stage - 1]):
            x = _block(ops, x, weights, f"backbone.block{stage}.{i}.")
        norm = f"backbone.norm{stage}."
        x = ops.layer_norm(x, weights[norm + "weight"], weights[norm + "bias"])
        features.append(x)
    return features


def squeeze(ops: Ops[T], features: list[T], weights: Weights[T]) -> T:
    """Join the features of the last three stages at 1/8 and reduce their channels, [N,head,H/8,W/8]."""
    height, width = features[1].shape[2:]
    joined = [features[1], *(ops.resize(x, height, width, "bilinear") for x in features[2:])]
    return _conv_norm(ops, ops.concat(joined), weights, "decode_head.squeeze.", relu=True)


def factorised(ops: Ops[T], x: T, weights: Weights[T], config: SegNeXtConfig) -> T:
    """Compute the head's factorisation of its squeezed features."""
    x = _conv(ops, x, weights, "decode_head.hamburger.ham_in.conv.", relu=True)
    return ops.nmf(x, rank=config.rank, seed=config.seed)


def classify(ops: Ops[T], features: list[T], weights: Weights[T], config: SegNeXtConfig) -> T:
    """Compute class logits at 1/8 from the stages' features."""
    x = squeeze(ops, features, weights)
    y = factorised(ops, x, weights, config)
    y = _conv_norm(ops, y, weights, "decode_head.hamburger.ham_out.")
    y = _conv_norm(ops, ops.add(x, y, relu=True), weights, "decode_head.align.", relu=True)
    return _conv(ops, y, weights, "decode_head.conv_seg.")


def _conv(ops: Ops[T], x: T, weights: Weights[T], prefix: str, stride: int = 1, relu: bool = False) -> T:
    weight, bias = weights[prefix + "weight"], weights[prefix + "bias"]
    return ops.conv2d(x, weight, bias=bias, stride=stride, relu=relu)


def _depthwise(ops: Ops[T], x: T, weights: Weights[T], prefix: str) -> T:
    return ops.depthwise(x, weights[prefix + "weight"], weights[prefix + "bias"])


def _conv_norm(ops: Ops[T], x: T, weights: Weights[T], prefix: str, relu: bool = False) -> T:
    y = ops.conv2d(x, weights[prefix + "conv.weight"])
    return ops.group_norm(y, weights[prefix + "gn.weight"], weights[prefix + "gn.bias"], GROUPS, relu=relu)


def _embed(ops: Ops[T], x: T, weights: Weights[T], prefix: str) -> T:
    """Halve the sides of a map; those of the picture twice."""
    if prefix + "proj.weight" in weights:
        y = _conv(ops, x, weights, prefix + "proj.", stride=2)
        return batch_norm(ops, y, weights, prefix + "norm.", relu=False)
    y = _conv(ops, x, weights, prefix + "proj.0.", stride=2)
    y = ops.gelu(batch_norm(ops, y, weights, prefix + "proj.1.", relu=False))
    y = _conv(ops, y, weights, prefix + "proj.3.", stride=2)
    return batch_norm(ops, y, weights, prefix + "proj.4.", relu=False)


def _block(ops: Ops[T], x: T, weights: Weights[T], prefix: str) -> T:
    x = _attend(ops, x, weights, prefix)
    y = batch_norm(ops, x, weights, prefix + "norm2.", relu=False)
    y = _conv(ops, y, weights, prefix + "mlp.fc1.")
    y = ops.gelu(_depthwise(ops, y, weights, prefix + "mlp.dwconv.dwconv."))
    y = _conv(ops, y, weights, prefix + "mlp.fc2.")
    return ops.add(x, ops.layer_scale(y, weights[prefix + "layer_scale_2"]))


def _attend(ops: Ops[T], x: T, weights: Weights[T], prefix: str) -> T:
    """Return x + scale * (attention(norm(x)) + norm(x)). The norm's share comes first."""
    attn, unit, factors = (
        prefix + "attn.",
        prefix + "attn.spatial_gating_unit.",
        weights[prefix + "layer_scale_1"],
    )
    y = batch_norm(ops, x, weights, prefix + "norm1.", relu=False)
    x = ops.add(x, ops.layer_scale(y, factors))
    u = ops.gelu(_conv(ops, y, weights, attn + "proj_1."))
    near = total = _depthwise(ops, u, weights, unit + "conv0.")
    for i in range(len(STRIPS)):
        row = _depthwise(ops, near, weights, f"{unit}conv{i}_1.")
        total = ops.add(total, _depthwise(ops, row, weights, f"{unit}conv{i}_2."))
    gate = ops.multiply(_conv(ops, total, weights, unit + "conv3."), u)
    return ops.add(x, ops.layer_scale(_conv(ops, gate, weights, attn + "proj_2."), factors))
