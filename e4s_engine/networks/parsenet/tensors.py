"""Tensors of a ParseNet: key -> shape, by the official checkpoint's names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from e4s_engine.networks import network
from e4s_engine.networks.layers import batch_norm_tensors
from e4s_engine.networks.network import Entry, Shape
from e4s_engine.networks.parsenet.config import ParseNetConfig


def tensors(config: ParseNetConfig) -> dict[str, Shape]:
    """Return every tensor that the network reads, key -> shape."""
    return dict(_layers(config))


def scale(name: str, shape: Shape) -> tuple[float, float]:
    """Return mean and deviation of a random tensor; residual branches are weak, norms about 1."""
    if name.endswith("norm.norm.weight"):
        return (0.3, 0.03) if ".conv2." in name else (1, 0.1)
    return network.scale(name, shape)


def _layers(config: ParseNetConfig) -> Iterator[Entry]:
    widths = config.widths
    yield from _conv("encoder.0.", 3, widths[0])
    for i, (inner, outer) in enumerate(pairwise(widths), 1):
        yield from _block(f"encoder.{i}.", inner, outer, shortcut=True)
    for i in range(config.blocks):
        yield from _block(f"body.{i}.", widths[-1], widths[-1], shortcut=False)
    for i, (inner, outer) in enumerate(pairwise(widths[::-1])):
        yield from _block(f"decoder.{i}.", inner, outer, shortcut=True)
    yield from _conv("out_mask_conv.", widths[0], config.classes)
    yield from _conv("out_img_conv.", widths[0], 3)


def _conv(prefix: str, inner: int, outer: int) -> Iterator[Entry]:
    yield prefix + "conv2d.weight", (outer, inner, 3, 3)
    yield prefix + "conv2d.bias", (outer,)


def _block(prefix: str, inner: int, outer: int, shortcut: bool) -> Iterator[Entry]:
    if shortcut:
        yield from _conv(prefix + "shortcut_func.", inner, outer)
    for name, before in (("conv1.", inner), ("conv2.", outer)):
        yield prefix + name + "conv2d.weight", (outer, before, 3, 3)
        yield from batch_norm_tensors(prefix + name + "norm.norm.", outer)
