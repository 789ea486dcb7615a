"""Operations of the networks, one file per operation.

A network is a function `network(ops, ...)` that calls nothing but `ops`. Four namespaces exist:

- `ops.reference`: PyTorch, any device, differentiable. A regional convolution runs once, with the style of
  each output pixel's region.
- `ops.published`: the same, except that a regional convolution runs once per region, masked and summed, as
  in the published code: oracle of the tests and baseline of the benchmarks.
- `ops.record`: symbols in place of tensors; yields a plan for the compiled runtime (see plan/recorder.py).
- `ops.training`: `reference`, but batch norms use the batch's statistics and update the stored ones, and
  squeeze-excite, which follows an instance norm in every network here, is its closed form after such a norm.

Tensors are [N, C, H, W]; label maps [N, H, W] of integers. Torch is imported inside the functions, so that
importing the package does not import it.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from e4s_engine.ops import (
    activation,
    add,
    argmax,
    batch_norm,
    blur,
    concat,
    condition,
    constant,
    conv2d,
    conv3d,
    conv_slices,
    cubic_half,
    depthwise,
    equal_conv,
    equal_linear,
    fixed_noise,
    flat_linear,
    from_uint8,
    gate,
    gaussian_quarter,
    gelu,
    global_mean,
    group_norm,
    inject,
    instance_norm,
    latent_codes,
    layer_norm,
    layer_scale,
    linear,
    max_pool,
    modulation,
    multiply,
    nmf,
    normalize,
    part_attention,
    region_linear,
    region_pool,
    regional_conv,
    resize,
    resize_labels,
    rms_norm,
    sigmoid,
    soft_argmax,
    spade,
    sparse_motion,
    spectral_norm,
    split_codes,
    split_slices,
    squeeze_excite,
    subsample,
    to_rgb,
    to_uint8,
    warp,
)

if TYPE_CHECKING:
    from torch import Tensor

    from e4s_engine.ops.ops import Ops

_OPS = (
    activation, add, argmax, batch_norm, blur, concat, condition, constant, conv2d, conv3d, conv_slices,
    cubic_half, depthwise, equal_conv, equal_linear, fixed_noise, flat_linear, from_uint8, gate,
    gaussian_quarter, gelu, global_mean, group_norm, inject, instance_norm, latent_codes, layer_norm,
    layer_scale, linear, max_pool, modulation, multiply, nmf, normalize, part_attention, region_linear,
    region_pool, regional_conv, resize, resize_labels, rms_norm, sigmoid, soft_argmax, spade, sparse_motion,
    spectral_norm, split_codes, split_slices, squeeze_excite, subsample, to_rgb, to_uint8, warp,
)  # fmt: skip


def _namespace(form: str, **others: Any) -> Any:
    """Return every operation in this form, or as in `others`. python_tests/ops checks their signatures."""
    return SimpleNamespace(**{op.__name__.rpartition(".")[2]: getattr(op, form) for op in _OPS} | others)


reference: Ops[Tensor] = _namespace("reference")
published: Ops[Tensor] = _namespace(
    "reference", regional_conv=regional_conv.published, to_rgb=to_rgb.published
)
training: Ops[Tensor] = _namespace(
    "reference", batch_norm=batch_norm.training, squeeze_excite=squeeze_excite.training
)
record: Ops[Any] = _namespace("record")  # symbols, weights and constants
