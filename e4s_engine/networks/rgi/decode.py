"""Decoder: style vectors + labels -> image (paper, sections 3.2 and 3.3).

Per-region MLPs lift the style vectors to codes in W^r+; a StyleGAN2 renders them with mask-guided injection.
"""

from __future__ import annotations

from e4s_engine import regions
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.ops.ops import Ops, T, Weights

MLP_SLOPE = 0.01


def style_codes(ops: Ops[T], styles: T, weights: Weights[T]) -> T:
    """Lift style vectors [N,12,D] to style codes [N,12,L,512]."""

    def layer(x: T, index: int, slope: float | None) -> T:
        names = [f"MLPs.{r}.mlp.{index}." for r in range(regions.COUNT)]
        matrices, biases = [weights[n + "weight"] for n in names], [weights[n + "bias"] for n in names]
        return ops.region_linear(x, matrices, biases, slope=slope)

    return ops.latent_codes(layer(layer(styles, 0, MLP_SLOPE), 2, None), weights["latent_avg"])


def generate(ops: Ops[T], codes: T, labels: T, weights: Weights[T], config: ModelConfig) -> T:
    """Render style codes and labels as an image.

    codes [N,12,L,512], labels [N,512,512] in 0..11 -> [N,3,S,S] RGB, in [-1, 1] but not clamped.
    """
    x = ops.constant(weights["G.input.input"], codes.shape[0])
    masks: T | None = ops.resize_labels(labels, 4, 4)
    x = _styled_conv(ops, x, codes, masks, weights, config, "G.conv1.", layer=0)
    skip = _to_rgb(ops, x, codes, masks, weights, config, "G.to_rgb1.", layer=1)
    for n in range(config.doublings):
        side, layer = 8 << n, 2 * n + 1
        masks = ops.resize_labels(labels, side, side) if layer < config.injected else None
        x = _styled_conv(ops, x, codes, masks, weights, config, f"G.convs.{2 * n}.", layer, upsample=True)
        x = _styled_conv(ops, x, codes, masks, weights, config, f"G.convs.{2 * n + 1}.", layer + 1)
        skip = _to_rgb(ops, x, codes, masks, weights, config, f"G.to_rgbs.{n}.", layer + 2, skip)
    return skip


def decode(ops: Ops[T], styles: T, labels: T, weights: Weights[T], config: ModelConfig) -> T:
    """Render style vectors and labels: styles [N,12,D], labels [N,512,512] -> image [N,3,S,S]."""
    return generate(ops, style_codes(ops, styles, weights), labels, weights, config)


def decode_pixels(ops: Ops[T], styles: T, labels: T, weights: Weights[T], config: ModelConfig) -> T:
    """Run `decode` and convert to 8-bit pictures [N,S,S,3]."""
    return ops.to_uint8(decode(ops, styles, labels, weights, config))


def _modulation(
    ops: Ops[T], codes: T, weights: Weights[T], config: ModelConfig, prefix: str, layer: int
) -> tuple[T, bool]:
    """Return the layer's channel scales, and whether every region has its own (layer < K)."""
    regional = layer < config.injected
    matrix, bias = weights[prefix + "conv.modulation.weight"], weights[prefix + "conv.modulation.bias"]
    return ops.modulation(codes, layer, matrix, bias, regional=regional), regional


def _styled_conv(
    ops: Ops[T],
    x: T,
    codes: T,
    masks: T | None,
    weights: Weights[T],
    config: ModelConfig,
    prefix: str,
    layer: int,
    upsample: bool = False,
) -> T:
    styles, regional = _modulation(ops, codes, weights, config, prefix, layer)
    return ops.regional_conv(
        x,
        weights[prefix + "conv.weight"][0],
        styles,
        masks if regional else None,
        upsample=upsample,
        noise=weights[f"G.noises.noise_{layer}"],
        noise_gain=weights[prefix + "noise.weight"],
        bias=weights[prefix + "activate.bias"],
    )


def _to_rgb(
    ops: Ops[T],
    x: T,
    codes: T,
    masks: T | None,
    weights: Weights[T],
    config: ModelConfig,
    prefix: str,
    layer: int,
    skip: T | None = None,
) -> T:
    styles, regional = _modulation(ops, codes, weights, config, prefix, layer)
    labels = masks if regional else None
    return ops.to_rgb(x, weights[prefix + "conv.weight"][0], styles, labels, weights[prefix + "bias"], skip)
