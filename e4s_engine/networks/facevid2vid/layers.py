"""Layers of face-vid2vid: convolutions with their norms, and those that halve or double a map.

A volume is kept as its slices, samples of a map: what works on maps works on each slice.
"""

from __future__ import annotations

from e4s_engine.networks.layers import batch_norm
from e4s_engine.ops.ops import Ops, T, Weights


def conv(ops: Ops[T], x: T, weights: Weights[T], prefix: str, stride: int = 1) -> T:
    """Convolve a map and add the bias."""
    return ops.conv2d(x, weights[prefix + "weight"], bias=weights[prefix + "bias"], stride=stride)


def deep_conv(ops: Ops[T], x: T, weights: Weights[T], prefix: str, depth: int) -> T:
    """Convolve a volume and add the bias."""
    return ops.conv3d(x, weights[prefix + "weight"], weights[prefix + "bias"], depth=depth)


def conv_norm(ops: Ops[T], x: T, weights: Weights[T], prefix: str) -> T:
    """Convolve a map, then batch norm and ReLU."""
    return batch_norm(ops, conv(ops, x, weights, prefix + "conv."), weights, prefix + "norm.", True)


def deep_conv_norm(ops: Ops[T], x: T, weights: Weights[T], prefix: str, depth: int) -> T:
    """Convolve a volume, then batch norm and ReLU."""
    return batch_norm(
        ops, deep_conv(ops, x, weights, prefix + "conv.", depth), weights, prefix + "norm.", True
    )


def halved(ops: Ops[T], x: T) -> T:
    """Return the means of 2 x 2 pixels: a bilinear resize to half the size takes just these."""
    return ops.resize(x, x.shape[2] // 2, x.shape[3] // 2, "bilinear")


def doubled(ops: Ops[T], x: T) -> T:
    """Repeat every pixel 2 x 2."""
    return ops.resize(x, 2 * x.shape[2], 2 * x.shape[3], "nearest")
