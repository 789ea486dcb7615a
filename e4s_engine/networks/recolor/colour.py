"""Re-colouring: features of two faces, colours of one by the other's features, and a U-Net that applies them.

(The longer E4S paper, arXiv 2310.15081, after the Head2Scene blending of HeSer, CVPR 2022.) Tensors have the
official checkpoint's names.
"""

from __future__ import annotations

from e4s_engine.networks.layers import SPECTRAL, batch_norm
from e4s_engine.networks.recolor.config import RecolorConfig
from e4s_engine.ops.ops import Ops, T, Weights

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SLOPE = 0.2
STRIDES = (1, 2, 1, 2, 1)  # of the features' convolutions
COARSE = 4  # pixels of a picture from one of its features to the next


def features(ops: Ops[T], picture: T, weights: Weights[T], config: RecolorConfig) -> T:
    """Compute the features of a normalised RGB picture: [N,3,S,S] -> [N,C,S/4,S/4]."""
    prefix, x = "referencer.FPN.", picture
    for i, stride in enumerate(STRIDES, 1):
        if i > 1:
            x = ops.activation(x, slope=SLOPE)
        x = ops.instance_norm(ops.conv2d(x, _kernel(ops, weights, f"{prefix}layer{i}.0."), stride=stride))
    small = ops.subsample(picture, COARSE)
    for name, _, _ in config.blocks:
        x = _block(ops, x, small, weights, prefix + name)
    return x


def references(
    ops: Ops[T], x: T, y: T, x_parts: T, y_parts: T, colours: T, weights: Weights[T], config: RecolorConfig
) -> T:
    """Return each pixel's colour by the pixels of the same part of another face whose features are close.

    x, y: features [N,C,h,w] of the face to be coloured and of the one whose colours are taken; x_parts,
    y_parts: their parts [N,h,w], 0 none; colours: the other's [N,3,h,w] in 0..1 -> [N,3,h,w].
    """
    return ops.part_attention(x, y, x_parts, y_parts, colours, weights["referencer.trainable_tao"])


def colour(ops: Ops[T], package: T, weights: Weights[T], config: RecolorConfig) -> T:
    """Draw the coloured face from colours, masks and grey picture: [N,12,S,S] -> RGB [N,3,S,S] in 0..1."""
    first = _first(ops, package, weights, "unet.input_encoder_layer.")
    second = _residual(ops, first, weights, "unet.res_en_layer2.", 2)
    third = _residual(ops, second, weights, "unet.res_en_layer3.", 2)
    x = _residual(ops, third, weights, "unet.res_bridge_layer.", 2)
    for name, skip in (("res_de_layer3.", third), ("res_de_layer2.", second), ("res_de_layer1.", first)):
        large = ops.resize(x, 2 * x.shape[2], 2 * x.shape[3], "bilinear_corners")
        x = _residual(ops, ops.concat([large, skip]), weights, f"unet.{name}", 1)
    return ops.sigmoid(_conv(ops, x, weights, "unet.output_decoder_layer.0."))


def _conv(ops: Ops[T], x: T, weights: Weights[T], prefix: str, stride: int = 1) -> T:
    return ops.conv2d(x, weights[prefix + "weight"], bias=weights[prefix + "bias"], stride=stride)


def _first(ops: Ops[T], x: T, weights: Weights[T], prefix: str) -> T:
    y = batch_norm(ops, _conv(ops, x, weights, f"{prefix}conv1."), weights, f"{prefix}bn1.", True)
    return ops.add(_conv(ops, y, weights, f"{prefix}conv2."), _conv(ops, x, weights, f"{prefix}sqz_layer."))


def _residual(ops: Ops[T], x: T, weights: Weights[T], prefix: str, stride: int) -> T:
    y = batch_norm(ops, x, weights, f"{prefix}bn1.", True)
    y = batch_norm(ops, _conv(ops, y, weights, f"{prefix}conv1.", stride), weights, f"{prefix}bn2.", True)
    shortcut = _conv(ops, x, weights, f"{prefix}sqz_layer.", stride)
    return ops.add(_conv(ops, y, weights, f"{prefix}conv2."), shortcut)


def _block(ops: Ops[T], x: T, picture: T, weights: Weights[T], prefix: str) -> T:
    y = x
    for number in "01":
        y = _spade(ops, y, picture, weights, f"{prefix}norm_{number}.", SLOPE)
        kernel, bias = (
            _kernel(ops, weights, f"{prefix}conv_{number}."),
            weights[f"{prefix}conv_{number}.bias"],
        )
        y = ops.conv2d(y, kernel, bias=bias, reflect=True)
    if f"{prefix}conv_s.{SPECTRAL[0]}" in weights:
        x = _spade(ops, x, picture, weights, f"{prefix}norm_s.", 1.0)
        x = ops.conv2d(x, _kernel(ops, weights, f"{prefix}conv_s."))
    return ops.add(y, x)


def _spade(ops: Ops[T], x: T, picture: T, weights: Weights[T], prefix: str, slope: float) -> T:
    shared = f"{prefix}mlp_shared.1."
    style = ops.conv2d(
        picture, weights[f"{shared}weight"], bias=weights[f"{shared}bias"], relu=True, reflect=True
    )
    names = ("mlp_gamma.weight", "mlp_gamma.bias", "mlp_beta.weight", "mlp_beta.bias")
    return ops.spade(x, style, *(weights[prefix + name] for name in names), slope=slope, reflect=True)


def _kernel(ops: Ops[T], weights: Weights[T], prefix: str) -> T:
    return ops.spectral_norm(*(weights[prefix + leaf] for leaf in SPECTRAL))
