"""Face parser: photo -> class logits (BiSeNet over ResNet-18, face-parsing.PyTorch's weights)."""

from __future__ import annotations

from e4s_engine.networks.layers import batch_norm
from e4s_engine.ops.ops import Ops, T, Weights

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


SIDE = 512  # side of the network's input


def classes(ops: Ops[T], pixels: T, weights: Weights[T]) -> T:
    """Compute the best class per pixel of a batch of 8-bit pictures.

    pixels [N,1024,1024,3], reduced with the published antialiasing filter, or [N,512,512,3] ->
    uint8 [N,512,512].
    """
    image = ops.from_uint8(pixels, 0, 1)
    if pixels.shape[1] != SIDE:
        image = ops.cubic_half(image)
    return ops.argmax(logits(ops, image, weights))


def logits(ops: Ops[T], image: T, weights: Weights[T]) -> T:
    """Compute class logits of a batch of pictures at their own size.

    image [N,3,H,W] in [0, 1], H and W 512 in practice -> [N,classes,H,W].
    """
    height, width = image.shape[2:]
    return classify(ops, features(ops, image, weights), height, width, weights)


def features(ops: Ops[T], image: T, weights: Weights[T]) -> tuple[T, T, T]:
    """Compute the backbone's features at 1/8, 1/16 and 1/32. image [N,3,H,W] in [0, 1]."""
    return _resnet(ops, ops.normalize(image, MEAN, STD), weights)


def classify(ops: Ops[T], taps: tuple[T, T, T], height: int, width: int, weights: Weights[T]) -> T:
    """Compute class logits [N,classes,height,width] from the backbone's features."""
    eighth, sixteenth, thirtysecond = taps
    context = _context(ops, eighth, sixteenth, thirtysecond, weights)
    x = _fuse(ops, eighth, context, weights)
    x = _conv_norm(ops, x, weights, "conv_out.conv.")
    x = ops.conv2d(x, weights["conv_out.conv_out.weight"])
    return ops.resize(x, height, width, "bilinear_corners")


def _conv_norm(ops: Ops[T], x: T, weights: Weights[T], prefix: str) -> T:
    return batch_norm(ops, ops.conv2d(x, weights[prefix + "conv.weight"]), weights, prefix + "bn.", relu=True)


def _resnet(ops: Ops[T], x: T, weights: Weights[T]) -> tuple[T, T, T]:
    """Run ResNet-18; returns its features at 1/8, 1/16 and 1/32."""
    prefix = "cp.resnet."
    x = ops.conv2d(x, weights[prefix + "conv1.weight"], stride=2)
    x = ops.max_pool(batch_norm(ops, x, weights, prefix + "bn1.", relu=True))
    features = []
    for layer in range(1, 5):
        for block in (0, 1):
            stride = 2 if layer > 1 and block == 0 else 1
            x = _basic_block(ops, x, weights, f"{prefix}layer{layer}.{block}.", stride)
        features.append(x)
    return features[1], features[2], features[3]


def _basic_block(ops: Ops[T], x: T, weights: Weights[T], prefix: str, stride: int) -> T:
    y = ops.conv2d(x, weights[prefix + "conv1.weight"], stride=stride)
    y = batch_norm(ops, y, weights, prefix + "bn1.", relu=True)
    y = ops.conv2d(y, weights[prefix + "conv2.weight"])
    y = batch_norm(ops, y, weights, prefix + "bn2.", relu=False)
    if stride > 1:
        x = ops.conv2d(x, weights[prefix + "downsample.0.weight"], stride=stride)
        x = batch_norm(ops, x, weights, prefix + "downsample.1.", relu=False)
    return ops.add(x, y, relu=True)


def _context(ops: Ops[T], eighth: T, sixteenth: T, thirtysecond: T, weights: Weights[T]) -> T:
    """Run the context path: coarse features refined by attention, up to 1/8."""
    mean = _conv_norm(ops, ops.global_mean(thirtysecond), weights, "cp.conv_avg.")
    x = ops.add(_refine(ops, thirtysecond, weights, "cp.arm32."), mean)
    height, width = sixteenth.shape[2:]
    x = ops.resize(x, height, width, "nearest")
    x = _conv_norm(ops, x, weights, "cp.conv_head32.")
    x = ops.add(_refine(ops, sixteenth, weights, "cp.arm16."), x)
    height, width = eighth.shape[2:]
    x = ops.resize(x, height, width, "nearest")
    return _conv_norm(ops, x, weights, "cp.conv_head16.")


def _refine(ops: Ops[T], x: T, weights: Weights[T], prefix: str) -> T:
    """Refine by attention: 3 x 3 features gated by their own global mean."""
    x = _conv_norm(ops, x, weights, prefix + "conv.")
    logits = ops.conv2d(ops.global_mean(x), weights[prefix + "conv_atten.weight"])
    return ops.gate(x, batch_norm(ops, logits, weights, prefix + "bn_atten.", relu=False))


def _fuse(ops: Ops[T], eighth: T, context: T, weights: Weights[T]) -> T:
    """Fuse the features of the spatial and the context path, with a gated residual."""
    x = _conv_norm(ops, ops.concat([eighth, context]), weights, "ffm.convblk.")
    logits = ops.conv2d(ops.global_mean(x), weights["ffm.conv1.weight"], relu=True)
    return ops.gate(x, ops.conv2d(logits, weights["ffm.conv2.weight"]), residual=True)
