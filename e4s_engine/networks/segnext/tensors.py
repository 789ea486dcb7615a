"""Tensors of a SegNeXt face parser: key -> shape, by the official checkpoint's names."""

from __future__ import annotations

from collections.abc import Iterator

from e4s_engine.networks import network
from e4s_engine.networks.layers import batch_norm_tensors
from e4s_engine.networks.network import Entry, Shape
from e4s_engine.networks.segnext.config import SegNeXtConfig

STRIPS = (7, 11, 21)  # lengths of a block's pairs of strips


def tensors(config: SegNeXtConfig) -> dict[str, Shape]:
    """Return every tensor that the network reads, key -> shape."""
    return dict(_layers(config))


def scale(name: str, shape: Shape) -> tuple[float, float]:
    """Return mean and deviation of a random tensor; gains of norms are about 1, branches weak."""
    if len(shape) == 1 and name.endswith("weight"):
        return 1, 0.1
    return (0, 0.1) if "layer_scale" in name else network.scale(name, shape)


def _layers(config: SegNeXtConfig) -> Iterator[Entry]:
    widths = config.widths
    yield from _conv("backbone.patch_embed1.proj.0.", 3, widths[0] // 2, 3)
    yield from batch_norm_tensors("backbone.patch_embed1.proj.1.", widths[0] // 2)
    yield from _conv("backbone.patch_embed1.proj.3.", widths[0] // 2, widths[0], 3)
    yield from batch_norm_tensors("backbone.patch_embed1.proj.4.", widths[0])
    for stage, width in enumerate(widths, 1):
        if stage > 1:
            yield from _conv(f"backbone.patch_embed{stage}.proj.", widths[stage - 2], width, 3)
            yield from batch_norm_tensors(f"backbone.patch_embed{stage}.norm.", width)
        for i in range(config.depths[stage - 1]):
            yield from _block(f"backbone.block{stage}.{i}.", width, config.ratios[stage - 1] * width)
        yield from _affine(f"backbone.norm{stage}.", width)
    yield from _head(config)


def _conv(prefix: str, inner: int, outer: int, size: int = 1) -> Iterator[Entry]:
    yield prefix + "weight", (outer, inner, size, size)
    yield prefix + "bias", (outer,)


def _depthwise(prefix: str, width: int, *size: int) -> Iterator[Entry]:
    yield prefix + "weight", (width, 1, *size)
    yield prefix + "bias", (width,)


def _affine(prefix: str, width: int) -> Iterator[Entry]:
    yield prefix + "weight", (width,)
    yield prefix + "bias", (width,)


def _block(prefix: str, width: int, inner: int) -> Iterator[Entry]:
    yield prefix + "layer_scale_1", (width,)
    yield prefix + "layer_scale_2", (width,)
    yield from batch_norm_tensors(prefix + "norm1.", width)
    yield from _conv(prefix + "attn.proj_1.", width, width)
    gate = prefix + "attn.spatial_gating_unit."
    yield from _depthwise(gate + "conv0.", width, 5, 5)
    for i, length in enumerate(STRIPS):
        yield from _depthwise(f"{gate}conv{i}_1.", width, 1, length)
        yield from _depthwise(f"{gate}conv{i}_2.", width, length, 1)
    yield from _conv(gate + "conv3.", width, width)
    yield from _conv(prefix + "attn.proj_2.", width, width)
    yield from batch_norm_tensors(prefix + "norm2.", width)
    yield from _conv(prefix + "mlp.fc1.", width, inner)
    yield from _depthwise(prefix + "mlp.dwconv.dwconv.", inner, 3, 3)
    yield from _conv(prefix + "mlp.fc2.", inner, width)


def _head(config: SegNeXtConfig) -> Iterator[Entry]:
    head = config.head
    for name, inner in (("squeeze", sum(config.widths[1:])), ("hamburger.ham_out", head), ("align", head)):
        yield f"decode_head.{name}.conv.weight", (head, inner, 1, 1)
        yield from _affine(f"decode_head.{name}.gn.", head)
    yield from _conv("decode_head.hamburger.ham_in.conv.", head, head)
    yield from _conv("decode_head.conv_seg.", head, config.classes)
