"""The operations as networks see them: every namespace of this package offers exactly these.

A network annotates `ops: Ops[T]` and its tensors `T`. T is PyTorch's tensor or a symbol of the recorder.
"""

# The formulas and shapes are in the docstrings of each operation's own file.
# ruff: noqa: D102

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

Self = TypeVar("Self", bound="Value")


class Value(Protocol):
    """Part of a tensor that networks use themselves; everything else is an operation."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self: Self, index: int, /) -> Self: ...


T = TypeVar("T", bound=Value)
Weights = Mapping[str, T]  # a network's tensors by name


class Ops(Protocol[T]):
    """Namespace of operations over tensors T: one method per file of this package."""

    def activation(self, x: T, *, prelu: T | None = None, slope: float = 0.0) -> T: ...

    def add(self, x: T, y: T, *, relu: bool = False, gain: float = 1.0) -> T: ...

    def argmax(self, logits: T) -> T: ...

    def batch_norm(self, x: T, weight: T, bias: T, mean: T, var: T, *, relu: bool = False) -> T: ...

    def blur(self, x: T) -> T: ...

    def concat(self, tensors: Sequence[T], axis: int = 1) -> T: ...

    def condition(
        self,
        x: T,
        shift: T,
        share: T,
        scale1: T,
        bias1: T,
        scale2: T,
        bias2: T,
        bias: T,
    ) -> T: ...

    def constant(self, value: T, batch: int) -> T: ...

    def conv2d(
        self,
        x: T,
        weight: T,
        *,
        bias: T | None = None,
        stride: int = 1,
        reflect: bool = False,
        prelu: T | None = None,
        relu: bool = False,
        slope: float = 0.0,
    ) -> T: ...

    def conv3d(self, x: T, weight: T, bias: T, *, depth: int) -> T: ...

    def conv_slices(self, x: T, weight: T, bias: T, *, depth: int) -> T: ...

    def cubic_half(self, x: T) -> T: ...

    def depthwise(self, x: T, weight: T, bias: T) -> T: ...

    def equal_conv(
        self, x: T, weight: T, bias: T, *, stride: int = 1, pad: int = 0, activated: bool = True
    ) -> T: ...

    def equal_linear(self, x: T, weight: T, bias: T, *, rate: float = 1.0, activated: bool = False) -> T: ...

    def fixed_noise(self, like: T, number: int, side: int) -> T: ...

    def flat_linear(self, x: T, weight: T, bias: T) -> T: ...

    def from_uint8(self, image: T, low: float, high: float) -> T: ...

    def gaussian_quarter(self, x: T) -> T: ...

    def gate(self, x: T, logits: T, *, residual: bool = False) -> T: ...

    def gelu(self, x: T) -> T: ...

    def global_mean(self, x: T) -> T: ...

    def group_norm(self, x: T, weight: T, bias: T, groups: int, *, relu: bool = False) -> T: ...

    def inject(self, x: T, skip: T, gain: T, bias: T) -> T: ...

    def instance_norm(self, x: T, *, prelu: T | None = None) -> T: ...

    def latent_codes(self, offsets: T, latent_avg: T) -> T: ...

    def layer_norm(self, x: T, weight: T, bias: T) -> T: ...

    def layer_scale(self, x: T, factors: T) -> T: ...

    def linear(self, x: T, weights: Sequence[T], biases: Sequence[T]) -> T: ...

    def max_pool(self, x: T) -> T: ...

    def modulation(self, codes: T, layer: int, weight: T, bias: T, *, regional: bool = True) -> T: ...

    def multiply(self, x: T, other: T) -> T: ...

    def nmf(self, x: T, *, rank: int, seed: int) -> T: ...

    def normalize(self, x: T, mean: tuple[float, ...], std: tuple[float, ...]) -> T: ...

    def part_attention(self, x: T, y: T, x_parts: T, y_parts: T, colours: T, temperature: T) -> T: ...

    def region_linear(
        self, x: T, weights: Sequence[T], biases: Sequence[T], *, slope: float | None = None
    ) -> T: ...

    def region_pool(self, x: T, labels: T, regions: int) -> T: ...

    def regional_conv(
        self,
        x: T,
        weight: T,
        styles: T,
        labels: T | None = None,
        *,
        upsample: bool = False,
        noise: T | None = None,
        noise_gain: T | None = None,
        bias: T | None = None,
    ) -> T: ...

    def resize(self, x: T, height: int, width: int, mode: str) -> T: ...

    def resize_labels(self, labels: T, height: int, width: int) -> T: ...

    def rms_norm(self, x: T) -> T: ...

    def sigmoid(self, x: T) -> T: ...

    def soft_argmax(self, x: T, *, depth: int, temperature: float) -> T: ...

    def spade(
        self,
        x: T,
        style: T,
        gamma: T,
        gamma_bias: T,
        beta: T,
        beta_bias: T,
        *,
        slope: float = 1.0,
        reflect: bool = False,
    ) -> T: ...

    def sparse_motion(self, x: T, source: T, driving: T, *, depth: int) -> T: ...

    def spectral_norm(self, weight: T, u: T, v: T) -> T: ...

    def split_codes(self, x: T, layers: int) -> T: ...

    def split_slices(self, x: T, depth: int) -> T: ...

    def squeeze_excite(self, x: T, squeeze: T, excite: T, shortcut: T) -> T: ...

    def subsample(self, x: T, stride: int) -> T: ...

    def to_rgb(self, x: T, weight: T, styles: T, labels: T | None, bias: T, skip: T | None = None) -> T: ...

    def to_uint8(self, x: T) -> T: ...

    def warp(self, x: T, logits: T, source: T, driving: T, *, depth: int) -> T: ...
