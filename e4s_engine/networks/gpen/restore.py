"""GPEN: degraded face -> restored face (Yang et al., "GAN Prior Embedded Network", CVPR 2021).

An encoder halves the picture down to 4 x 4. Its coarsest features become the style of a StyleGAN2; those of
each size stand beside the generator's features of that size, where StyleGAN2 adds noise. Tensors have the
official checkpoint's names.
"""

from __future__ import annotations

from e4s_engine.networks.gpen.config import GPENConfig
from e4s_engine.ops.ops import Ops, T, Weights

RATE = 0.01  # learning-rate multiplier of the mapping network


def restore(ops: Ops[T], pixels: T, weights: Weights[T], config: GPENConfig) -> T:
    """Restore face crops: uint8 [N,S,S,3] RGB -> [N,3,S,S], -1 to 1 but not clamped."""
    maps = _encode(ops, ops.from_uint8(pixels, -1, 1), weights, config)
    style = ops.rms_norm(
        ops.flat_linear(maps[0], weights["final_linear.0.weight"], weights["final_linear.0.bias"])
    )
    for i in range(1, config.mapping + 1):
        weight, bias = weights[f"generator.style.{i}.weight"], weights[f"generator.style.{i}.bias"]
        style = ops.equal_linear(style, weight, bias, rate=RATE, activated=True)
    return _generate(ops, style, maps, weights, config)


def _encode(ops: Ops[T], image: T, weights: Weights[T], config: GPENConfig) -> list[T]:
    """Return the encoder's features from 4 x 4 to the size of the picture."""
    x = ops.equal_conv(image, weights["ecd0.0.0.weight"], weights["ecd0.0.1.bias"])
    maps = [x]
    for i in range(1, config.doublings + 1):
        x = ops.equal_conv(ops.blur(x), weights[f"ecd{i}.0.1.weight"], weights[f"ecd{i}.0.2.bias"], stride=2)
        maps.append(x)
    return maps[::-1]


def _generate(ops: Ops[T], style: T, maps: list[T], weights: Weights[T], config: GPENConfig) -> T:
    """Render a style [N,1,D] beside the encoder's features."""
    x = ops.constant(weights["generator.input.input"], style.shape[0])
    x = _styled_conv(ops, x, style, maps[0], weights, "generator.conv1.")
    skip = _to_rgb(ops, x, style, weights, "generator.to_rgb1.")
    for n, features in enumerate(maps[1:]):
        x = _styled_conv(ops, x, style, features, weights, f"generator.convs.{2 * n}.", upsample=True)
        x = _styled_conv(ops, x, style, features, weights, f"generator.convs.{2 * n + 1}.")
        skip = _to_rgb(ops, x, style, weights, f"generator.to_rgbs.{n}.", skip)
    return skip


def _modulation(ops: Ops[T], style: T, weights: Weights[T], prefix: str) -> T:
    """Return the scales [N,1,I] of a layer's input channels."""
    matrix, bias = weights[prefix + "conv.modulation.weight"], weights[prefix + "conv.modulation.bias"]
    return ops.equal_linear(style, matrix, bias)


def _styled_conv(
    ops: Ops[T], x: T, style: T, features: T, weights: Weights[T], prefix: str, upsample: bool = False
) -> T:
    scales = _modulation(ops, style, weights, prefix)
    x = ops.regional_conv(x, weights[prefix + "conv.weight"][0], scales, upsample=upsample)
    return ops.inject(x, features, weights[prefix + "noise.weight"], weights[prefix + "activate.bias"])


def _to_rgb(ops: Ops[T], x: T, style: T, weights: Weights[T], prefix: str, skip: T | None = None) -> T:
    scales, weight = _modulation(ops, style, weights, prefix), weights[prefix + "conv.weight"][0]
    return ops.to_rgb(x, weight, scales, None, weights[prefix + "bias"], skip)
