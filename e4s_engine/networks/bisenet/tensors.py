"""Tensors of a BiSeNet face parser: key -> shape, by the official checkpoint's names."""

from __future__ import annotations

from collections.abc import Iterator

from e4s_engine.networks import network
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.layers import batch_norm_tensors
from e4s_engine.networks.network import Entry, Shape


def tensors(config: ParserConfig) -> dict[str, Shape]:
    """Return every tensor that the network reads, key -> shape."""
    return dict(_parser(config))


def scale(name: str, shape: Shape) -> tuple[float, float]:
    """Return mean and deviation of a random tensor; gains of batch norms are about 1."""
    if len(shape) == 1 and ".bn" in name and name.endswith("weight"):
        return 1, 0.1
    return network.scale(name, shape)


def _conv_norm(prefix: str, inner: int, outer: int, kernel: int) -> Iterator[Entry]:
    yield prefix + "conv.weight", (outer, inner, kernel, kernel)
    yield from batch_norm_tensors(prefix + "bn.", outer)


def _parser(config: ParserConfig) -> Iterator[Entry]:
    widths, context, fusion = config.widths, config.context, config.fusion
    yield "cp.resnet.conv1.weight", (widths[0], 3, 7, 7)
    yield from batch_norm_tensors("cp.resnet.bn1.", widths[0])
    for layer in range(1, 5):
        yield from _resnet_layer(layer, widths[layer - 1], widths[layer])
    for name, inner in (("arm16", widths[3]), ("arm32", widths[4])):
        yield from _conv_norm(f"cp.{name}.conv.", inner, context, 3)
        yield f"cp.{name}.conv_atten.weight", (context, context, 1, 1)
        yield from batch_norm_tensors(f"cp.{name}.bn_atten.", context)
    yield from _conv_norm("cp.conv_head32.", context, context, 3)
    yield from _conv_norm("cp.conv_head16.", context, context, 3)
    yield from _conv_norm("cp.conv_avg.", widths[4], context, 1)
    yield from _conv_norm("ffm.convblk.", widths[2] + context, fusion, 1)
    yield "ffm.conv1.weight", (fusion // 4, fusion, 1, 1)
    yield "ffm.conv2.weight", (fusion, fusion // 4, 1, 1)
    yield from _conv_norm("conv_out.conv.", fusion, fusion, 3)
    yield "conv_out.conv_out.weight", (config.classes, fusion, 1, 1)


def _resnet_layer(layer: int, inner: int, outer: int) -> Iterator[Entry]:
    for block in (0, 1):
        prefix = f"cp.resnet.layer{layer}.{block}."
        block_in = inner if block == 0 else outer
        yield prefix + "conv1.weight", (outer, block_in, 3, 3)
        yield from batch_norm_tensors(prefix + "bn1.", outer)
        yield prefix + "conv2.weight", (outer, outer, 3, 3)
        yield from batch_norm_tensors(prefix + "bn2.", outer)
        if block == 0 and layer > 1:
            yield prefix + "downsample.0.weight", (outer, inner, 1, 1)
            yield from batch_norm_tensors(prefix + "downsample.1.", outer)
