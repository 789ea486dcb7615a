"""Encoder: image + labels -> one style vector per region (paper, section 3.1).

An IR-SE-50 with instance norms, tapped after three stages; each tap is averaged over every region's pixels.
"""

from __future__ import annotations

from e4s_engine import regions
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.ops.ops import Ops, T, Weights


def encode_pixels(ops: Ops[T], pixels: T, labels: T, weights: Weights[T], config: ModelConfig) -> T:
    """Run `encode` on 8-bit pictures [N,H,W,3]."""
    return encode(ops, ops.from_uint8(pixels, -1, 1), labels, weights, config)


def encode(ops: Ops[T], image: T, labels: T, weights: Weights[T], config: ModelConfig) -> T:
    """Compute the style vectors of a batch of aligned pictures.

    image [N,3,H,W] in [-1, 1], labels [N,512,512] in 0..11 -> [N,12,D].
    """
    side = config.encoder_size
    x = ops.resize(image, side, side, "bilinear")
    x = ops.conv2d(x, weights["encoder.input_layer.0.weight"])
    x = ops.instance_norm(x, prelu=weights["encoder.input_layer.2.weight"])
    pooled = []
    for i, (inner, depth, stride) in enumerate(config.units()):
        x = _unit(ops, x, weights, f"encoder.body.{i}.", inner != depth, stride)
        side = -(-side // stride)
        if i in config.taps():
            pooled.append(ops.region_pool(x, ops.resize_labels(labels, side, side), regions.COUNT))
    return ops.concat(pooled, axis=2)


def _unit(ops: Ops[T], x: T, weights: Weights[T], unit: str, widens: bool, stride: int) -> T:
    """Run a squeeze-excite residual unit; its norm comes before the first convolution."""
    if widens:
        shortcut = ops.conv2d(x, weights[unit + "shortcut_layer.0.weight"], stride=stride)
        shortcut = ops.instance_norm(shortcut)
    else:
        shortcut = ops.subsample(x, stride) if stride > 1 else x
    y = ops.instance_norm(x)
    y = ops.conv2d(y, weights[unit + "res_layer.1.weight"], prelu=weights[unit + "res_layer.2.weight"])
    y = ops.conv2d(y, weights[unit + "res_layer.3.weight"], stride=stride)
    y = ops.instance_norm(y)
    squeeze, excite = weights[unit + "res_layer.5.fc1.weight"], weights[unit + "res_layer.5.fc2.weight"]
    return ops.squeeze_excite(y, squeeze, excite, shortcut)
