"""Inpainting: a face with a hole -> the face (a GCFSR generator, He et al., CVPR 2022, trained on holes).

An encoder halves the picture down to 16 x 16, and twice more for the styles of a StyleGAN2 decoder. At every
size the encoder's features shift the decoder's, by how much depends on the hole's share of the picture.
Tensors have the official checkpoint's names.
"""

from __future__ import annotations

from e4s_engine.networks.inpaint.config import InpaintConfig
from e4s_engine.ops.ops import Ops, T, Weights


def fill(ops: Ops[T], picture: T, share: T, weights: Weights[T], config: InpaintConfig) -> T:
    """Fill holes: [N,4,S,S] (RGB in 0..1, 0 in the hole; the mask) -> RGB [N,3,S,S], not clamped.

    share: share of the picture that the hole takes [N,1,1].
    """
    maps = encode(ops, picture, weights, config)
    styles = latent(ops, maps[0], weights, config)
    return _generate(ops, maps, styles, share, weights, config)


def encode(ops: Ops[T], picture: T, weights: Weights[T], config: InpaintConfig) -> list[T]:
    """Return the encoder's features, from 16 x 16 to the size of the picture."""
    x = _conv(ops, picture, weights, "conv_body_first")
    maps = [x]
    for i in range(len(config.channels) - 1):
        x = _down(ops, x, weights, f"conv_body_down.{i}")
        maps.append(x)
    return maps[::-1]


def latent(ops: Ops[T], x: T, weights: Weights[T], config: InpaintConfig) -> T:
    """Compute the styles of the decoder's layers [N,1,L,D] from the encoder's features at 16 x 16."""
    x = _down(ops, _down(ops, x, weights, "final_down1"), weights, "final_down2")
    flat = ops.flat_linear(x, weights["final_linear.weight"], weights["final_linear.bias"])
    return ops.split_codes(flat, config.styles)


def _generate(
    ops: Ops[T], maps: list[T], styles: T, share: T, weights: Weights[T], config: InpaintConfig
) -> T:
    last = len(maps) - 1
    noise = [_noise(ops, weights, i, side) for i, side in enumerate(config.noise_sides())]
    x = _conv(ops, maps[0], weights, "final_conv")
    x = _conditioned(ops, x, maps[0], styles, 0, share, noise[0], weights, "style_conv1.", last)
    skip = _to_rgb(ops, x, styles, 1, weights, "to_rgb1.")
    for n, features in enumerate(maps[1:]):
        first, second = f"style_convs.{2 * n}.", f"style_convs.{2 * n + 1}."
        x = _doubled(ops, x, styles, 2 * n + 1, noise[2 * n + 1], weights, first)
        x = _conditioned(
            ops, x, features, styles, 2 * n + 2, share, noise[2 * n + 2], weights, second, last - n - 1
        )
        skip = _to_rgb(ops, x, styles, 2 * n + 3, weights, f"to_rgbs.{n}.", skip)
    return skip


def _noise(ops: Ops[T], weights: Weights[T], number: int, side: int) -> T:
    own = f"noise.{number}"
    return weights[own] if own in weights else ops.fixed_noise(weights["final_linear.bias"], number, side)


def _conv(ops: Ops[T], x: T, weights: Weights[T], prefix: str) -> T:
    return ops.equal_conv(x, weights[f"{prefix}.0.weight"], weights[f"{prefix}.1.bias"], pad=1)


def _down(ops: Ops[T], x: T, weights: Weights[T], prefix: str) -> T:
    return ops.equal_conv(ops.blur(x), weights[f"{prefix}.1.weight"], weights[f"{prefix}.2.bias"], stride=2)


def _scales(ops: Ops[T], styles: T, layer: int, weights: Weights[T], prefix: str) -> T:
    name = f"{prefix}modulated_conv.modulation."
    return ops.modulation(styles, layer, weights[name + "weight"], weights[name + "bias"])


def _doubled(ops: Ops[T], x: T, styles: T, layer: int, noise: T, weights: Weights[T], prefix: str) -> T:
    return ops.regional_conv(
        x,
        weights[prefix + "modulated_conv.weight"][0],
        _scales(ops, styles, layer, weights, prefix),
        upsample=True,
        noise=noise,
        noise_gain=weights[prefix + "weight"],
        bias=weights[prefix + "activate.bias"],
    )


def _conditioned(
    ops: Ops[T],
    x: T,
    features: T,
    styles: T,
    layer: int,
    share: T,
    noise: T,
    weights: Weights[T],
    prefix: str,
    condition: int,
) -> T:
    """Convolve, then mix with the encoder's features as the hole's share says. condition: its number."""
    shift = f"condition_shift.{condition}.0."
    moved = ops.equal_conv(
        features, weights[shift + "weight"], weights[shift + "bias"], pad=1, activated=False
    )
    x = ops.regional_conv(
        x,
        weights[prefix + "modulated_conv.weight"][0],
        _scales(ops, styles, layer, weights, prefix),
        noise=noise,
        noise_gain=weights[prefix + "weight"],
    )
    first, second = (f"condition_scale{k}.{condition}." for k in (1, 2))
    return ops.condition(
        x,
        moved,
        share,
        weights[first + "weight"],
        weights[first + "bias"],
        weights[second + "weight"],
        weights[second + "bias"],
        weights[prefix + "activate.bias"],
    )


def _to_rgb(
    ops: Ops[T], x: T, styles: T, layer: int, weights: Weights[T], prefix: str, skip: T | None = None
) -> T:
    scales = _scales(ops, styles, layer, weights, prefix)
    return ops.to_rgb(
        x, weights[prefix + "modulated_conv.weight"][0], scales, None, weights[prefix + "bias"], skip
    )
