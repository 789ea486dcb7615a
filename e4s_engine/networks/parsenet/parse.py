"""ParseNet: face crop -> class logits, by which the published pipeline pastes a restored face.

Every convolution is 3 x 3 over a map with a mirrored border. Tensors have the official checkpoint's names.
"""

from __future__ import annotations

from e4s_engine.networks.layers import batch_norm
from e4s_engine.networks.parsenet.config import ParseNetConfig
from e4s_engine.ops.ops import Ops, T, Weights

SLOPE = 0.2


def classes(ops: Ops[T], pixels: T, weights: Weights[T], config: ParseNetConfig) -> T:
    """Compute the best class per pixel: uint8 [N,H,W,3] RGB, H and W 512 in practice -> uint8 [N,H,W]."""
    return ops.argmax(logits(ops, pixels, weights, config))


def logits(ops: Ops[T], pixels: T, weights: Weights[T], config: ParseNetConfig) -> T:
    """Compute class logits [N,classes,H,W]. Sides are multiples of 2^halvings, and larger than it."""
    return _conv(ops, features(ops, pixels, weights, config), weights, "out_mask_conv.")


def picture(ops: Ops[T], pixels: T, weights: Weights[T], config: ParseNetConfig) -> T:
    """Compute the picture [N,3,H,W] that the network was trained to draw beside the labels, -1 to 1."""
    return _conv(ops, features(ops, pixels, weights, config), weights, "out_img_conv.")


def features(ops: Ops[T], pixels: T, weights: Weights[T], config: ParseNetConfig) -> T:
    """Compute the features [N,C,H,W] that both outputs read."""
    x = _conv(ops, ops.from_uint8(pixels, -1, 1), weights, "encoder.0.")
    for i in range(config.halvings):
        x = _block(ops, x, weights, f"encoder.{i + 1}.", stride=2)
    y = x
    for i in range(config.blocks):
        y = _block(ops, y, weights, f"body.{i}.", shortcut=False)
    x = ops.add(x, y)
    for i in range(config.halvings):
        height, width = x.shape[2:]
        x = ops.resize(x, 2 * height, 2 * width, "nearest")
        x = _block(ops, x, weights, f"decoder.{i}.")
    return x


def _conv(ops: Ops[T], x: T, weights: Weights[T], prefix: str, stride: int = 1) -> T:
    weight, bias = weights[prefix + "conv2d.weight"], weights[prefix + "conv2d.bias"]
    return ops.conv2d(x, weight, bias=bias, stride=stride, reflect=True)


def _block(ops: Ops[T], x: T, weights: Weights[T], prefix: str, stride: int = 1, shortcut: bool = True) -> T:
    """Run a residual block; its second convolution and the shortcut's have the stride."""
    y = ops.conv2d(x, weights[prefix + "conv1.conv2d.weight"], reflect=True)
    y = ops.activation(batch_norm(ops, y, weights, prefix + "conv1.norm.norm.", relu=False), slope=SLOPE)
    y = ops.conv2d(y, weights[prefix + "conv2.conv2d.weight"], stride=stride, reflect=True)
    y = batch_norm(ops, y, weights, prefix + "conv2.norm.norm.", relu=False)
    return ops.add(_conv(ops, x, weights, prefix + "shortcut_func.", stride) if shortcut else x, y)
