"""RetinaFace: photo -> scores, boxes and five points of every anchor (Deng et al., over ResNet-50).

Tensors have the names of Pytorch_Retinaface, whose weights the published pipeline uses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e4s_engine.networks.retinaface.config import DetectorConfig
from e4s_engine.networks.retinaface.tensors import CONTEXT, HEADS

Weights = Mapping[str, Any]

MEAN = (104, 117, 123)  # of blue, green and red
LONGEST, SHRUNK = 1500, 1000  # a photo with a longer side above the first is reduced to the second


def size_within(height: int, width: int) -> tuple[int, int]:
    """Return the size at which a photo is searched; large ones are reduced, as published."""
    longest = max(height, width)
    if longest <= LONGEST:
        return height, width
    return max(1, round(height * SHRUNK / longest)), max(1, round(width * SHRUNK / longest))


def heads(ops: Any, pixels: Any, weights: Weights, config: DetectorConfig) -> Any:
    """Compute the raw heads of a batch of photos of any size.

    pixels uint8 [N,H,W,3], channels blue, green, red -> [N,96,h/8,w/8] for the searched size h x w: 4 class
    logits, 8 box and 20 landmark values for each of the levels 1/8, 1/16 and 1/32. The two coarse levels are
    repeated to the first one's size (`decode.py` takes one copy), so that the result is one map.
    """
    picture = ops.from_uint8(pixels, 0, 255)
    height, width = pixels.shape[1:3]
    searched = size_within(height, width)
    if searched != (height, width):
        picture = ops.resize(picture, *searched, "bilinear")
    x = ops.normalize(picture, MEAN, (1, 1, 1))
    levels = _pyramid(ops, _body(ops, x, weights, config), weights)
    size = levels[0].shape[2:]
    maps = []
    for level, feature in enumerate(levels):
        context = _context(ops, feature, weights, f"ssh{level + 1}.")
        found = ops.concat([_head(ops, context, weights, f"{name}.{level}.conv1x1.") for name in HEADS])
        maps.append(ops.resize(found, *size, "nearest") if level else found)
    return ops.concat(maps)


def _head(ops: Any, x: Any, weights: Weights, prefix: str) -> Any:
    return ops.conv2d(x, weights[prefix + "weight"], bias=weights[prefix + "bias"])


def _norm(ops: Any, x: Any, weights: Weights, prefix: str, relu: bool) -> Any:
    leaves = ("weight", "bias", "running_mean", "running_var")
    return ops.batch_norm(x, *(weights[prefix + leaf] for leaf in leaves), relu=relu)


def _conv_norm(ops: Any, x: Any, weights: Weights, prefix: str, relu: bool = True, stride: int = 1) -> Any:
    y = ops.conv2d(x, weights[prefix + "0.weight"], stride=stride)
    return _norm(ops, y, weights, prefix + "1.", relu)


def _body(ops: Any, x: Any, weights: Weights, config: DetectorConfig) -> list[Any]:
    """Run the ResNet; return its features at 1/8, 1/16 and 1/32."""
    x = ops.conv2d(x, weights["body.conv1.weight"], stride=2)
    x = ops.max_pool(_norm(ops, x, weights, "body.bn1.", relu=True))
    features = []
    for layer, count in enumerate(config.blocks, 1):
        for block in range(count):
            stride = 2 if layer > 1 and block == 0 else 1
            x = _bottleneck(ops, x, weights, f"body.layer{layer}.{block}.", stride, block == 0)
        features.append(x)
    return features[1:]


def _bottleneck(ops: Any, x: Any, weights: Weights, prefix: str, stride: int, first: bool) -> Any:
    y = x
    for number in (1, 2, 3):
        y = ops.conv2d(y, weights[f"{prefix}conv{number}.weight"], stride=stride if number == 2 else 1)
        y = _norm(ops, y, weights, f"{prefix}bn{number}.", relu=number < 3)
    if first:
        x = _conv_norm(ops, x, weights, prefix + "downsample.", relu=False, stride=stride)
    return ops.add(x, y, relu=True)


def _pyramid(ops: Any, features: list[Any], weights: Weights) -> list[Any]:
    """Run the feature pyramid: coarse features are added to the next finer ones."""
    fine, middle, coarse = (
        _conv_norm(ops, x, weights, f"fpn.output{level}.") for level, x in enumerate(features, 1)
    )
    middle = ops.add(middle, ops.resize(coarse, *middle.shape[2:], "nearest"))
    middle = _conv_norm(ops, middle, weights, "fpn.merge2.")
    fine = ops.add(fine, ops.resize(middle, *fine.shape[2:], "nearest"))
    return [_conv_norm(ops, fine, weights, "fpn.merge1."), middle, coarse]


def _context(ops: Any, x: Any, weights: Weights, prefix: str) -> Any:
    """Run a context module: fields of 3, 5 and 7 pixels side by side, the wide ones as stacks of 3 x 3.

    Its ReLU comes after the concatenation in the published form; here every branch has its own, which is the
    same and costs no pass over the joint map.
    """
    maps = {"x": x}
    for name, (source, _) in CONTEXT.items():
        maps[name] = _conv_norm(ops, maps[source], weights, f"{prefix}{name}.")
    return ops.concat([maps["conv3X3"], maps["conv5X5_2"], maps["conv7x7_3"]])
