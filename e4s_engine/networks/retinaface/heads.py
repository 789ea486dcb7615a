"""RetinaFace: photo -> scores, boxes and five points of every anchor (Deng et al., over ResNet-50).

Tensors have the names of Pytorch_Retinaface, whose weights the published pipeline uses.
"""

from __future__ import annotations

from e4s_engine.networks.layers import batch_norm
from e4s_engine.networks.retinaface.config import DetectorConfig
from e4s_engine.networks.retinaface.tensors import CONTEXT, HEADS
from e4s_engine.ops.ops import Ops, T, Weights

MEAN = (104, 117, 123)  # of blue, green and red
LONGEST, SHRUNK = 1500, 1000  # a photo with a longer side above the first is reduced to the second


def size_within(height: int, width: int) -> tuple[int, int]:
    """Return the size at which a photo is searched; large ones are reduced, as published."""
    longest = max(height, width)
    if longest <= LONGEST:
        return height, width
    return max(1, round(height * SHRUNK / longest)), max(1, round(width * SHRUNK / longest))


def heads(ops: Ops[T], pixels: T, weights: Weights[T], config: DetectorConfig) -> T:
    """Compute the raw heads of a batch of photos of any size.

    pixels uint8 [N,H,W,3], channels blue, green, red -> [N,96,h/8,w/8] for the searched size h x w: 4 class
    logits, 8 box and 20 landmark values for each of the levels 1/8, 1/16 and 1/32. The two coarse levels are
    repeated to the first one's size (`decode.py` takes one copy), so that the result is one map.
    """
    picture = ops.from_uint8(pixels, 0, 255)
    height, width = pixels.shape[1:3]
    searched = size_within(height, width)
    if searched != (height, width):
        picture = ops.resize(picture, searched[0], searched[1], "bilinear")
    x = ops.normalize(picture, MEAN, (1, 1, 1))
    levels = _pyramid(ops, _body(ops, x, weights, config), weights)
    maps = []
    for level, feature in enumerate(levels):
        context = _context(ops, feature, weights, f"ssh{level + 1}.")
        head = ops.concat([_head(ops, context, weights, f"{name}.{level}.conv1x1.") for name in HEADS])
        maps.append(_enlarge(ops, head, levels[0]) if level else head)
    return ops.concat(maps)


def _enlarge(ops: Ops[T], x: T, like: T) -> T:
    """Repeat pixels to the size of another map."""
    height, width = like.shape[2:]
    return ops.resize(x, height, width, "nearest")


def _head(ops: Ops[T], x: T, weights: Weights[T], prefix: str) -> T:
    return ops.conv2d(x, weights[prefix + "weight"], bias=weights[prefix + "bias"])


def _conv_norm(ops: Ops[T], x: T, weights: Weights[T], prefix: str, relu: bool = True, stride: int = 1) -> T:
    y = ops.conv2d(x, weights[prefix + "0.weight"], stride=stride)
    return batch_norm(ops, y, weights, prefix + "1.", relu)


def _body(ops: Ops[T], x: T, weights: Weights[T], config: DetectorConfig) -> list[T]:
    """Run the ResNet; return its features at 1/8, 1/16 and 1/32."""
    x = ops.conv2d(x, weights["body.conv1.weight"], stride=2)
    x = ops.max_pool(batch_norm(ops, x, weights, "body.bn1.", relu=True))
    features = []
    for layer, count in enumerate(config.blocks, 1):
        for block in range(count):
            stride = 2 if layer > 1 and block == 0 else 1
            x = _bottleneck(ops, x, weights, f"body.layer{layer}.{block}.", stride, block == 0)
        features.append(x)
    return features[1:]


def _bottleneck(ops: Ops[T], x: T, weights: Weights[T], prefix: str, stride: int, first: bool) -> T:
    y = x
    for number in (1, 2, 3):
        y = ops.conv2d(y, weights[f"{prefix}conv{number}.weight"], stride=stride if number == 2 else 1)
        y = batch_norm(ops, y, weights, f"{prefix}bn{number}.", relu=number < 3)
    if first:
        x = _conv_norm(ops, x, weights, prefix + "downsample.", relu=False, stride=stride)
    return ops.add(x, y, relu=True)


def _pyramid(ops: Ops[T], features: list[T], weights: Weights[T]) -> list[T]:
    """Run the feature pyramid: coarse features are added to the next finer ones."""
    fine, middle, coarse = (
        _conv_norm(ops, x, weights, f"fpn.output{level}.") for level, x in enumerate(features, 1)
    )
    middle = ops.add(middle, _enlarge(ops, coarse, middle))
    middle = _conv_norm(ops, middle, weights, "fpn.merge2.")
    fine = ops.add(fine, _enlarge(ops, middle, fine))
    return [_conv_norm(ops, fine, weights, "fpn.merge1."), middle, coarse]


def _context(ops: Ops[T], x: T, weights: Weights[T], prefix: str) -> T:
    """Run a context module: fields of 3, 5 and 7 pixels side by side, the wide ones as stacks of 3 x 3.

    Its ReLU comes after the concatenation in the published form; here every branch has its own, which is the
    same and costs no pass over the joint map.
    """
    maps = {"x": x}
    for name, (source, _) in CONTEXT.items():
        maps[name] = _conv_norm(ops, maps[source], weights, f"{prefix}{name}.")
    return ops.concat([maps["conv3X3"], maps["conv5X5_2"], maps["conv7x7_3"]])
