"""Which tensors a model consists of: key -> shape, by the official checkpoints' names."""

from __future__ import annotations

from collections.abc import Iterator

from e4s_engine import regions
from e4s_engine.networks.config import Config, ModelConfig, ParserConfig
from e4s_engine.networks.rgi import relight

Shape = tuple[int, ...]
Entry = tuple[str, Shape]

SQUEEZE = 16  # reduction of the squeeze-excite blocks


def tensors(config: Config) -> dict[str, Shape]:
    """Every tensor the networks read, key -> shape."""
    if isinstance(config, ModelConfig):
        return dict([*_encoder(config), *_mlps(config), *_generator(config), *_relight(config)])
    return dict(_parser(config))


def _encoder(config: ModelConfig) -> Iterator[Entry]:
    yield "encoder.input_layer.0.weight", (config.stem, 3, 3, 3)
    yield "encoder.input_layer.2.weight", (config.stem,)
    for i, (inner, depth, _) in enumerate(config.units()):
        unit = f"encoder.body.{i}."
        if inner != depth:
            yield unit + "shortcut_layer.0.weight", (depth, inner, 1, 1)
        yield unit + "res_layer.1.weight", (depth, inner, 3, 3)
        yield unit + "res_layer.2.weight", (depth,)
        yield unit + "res_layer.3.weight", (depth, depth, 3, 3)
        yield unit + "res_layer.5.fc1.weight", (depth // SQUEEZE, depth, 1, 1)
        yield unit + "res_layer.5.fc2.weight", (depth, depth // SQUEEZE, 1, 1)


def _mlps(config: ModelConfig) -> Iterator[Entry]:
    out = config.injected * config.latent_dim
    for region in range(regions.COUNT):
        mlp = f"MLPs.{region}.mlp."
        yield mlp + "0.weight", (config.mlp_hidden, config.style_dim)
        yield mlp + "0.bias", (config.mlp_hidden,)
        yield mlp + "2.weight", (out, config.mlp_hidden)
        yield mlp + "2.bias", (out,)
    yield "latent_avg", (config.latents, config.latent_dim)


def _generator(config: ModelConfig) -> Iterator[Entry]:
    first = config.channels[0]
    yield "G.input.input", (1, first, 4, 4)
    yield from _styled_conv("G.conv1.", first, first, config.latent_dim)
    yield from _to_rgb("G.to_rgb1.", first, config.latent_dim)
    yield "G.noises.noise_0", (1, 1, 4, 4)
    for n in range(config.doublings):
        inner, outer, side = config.channels[n], config.channels[n + 1], 8 << n
        yield from _styled_conv(f"G.convs.{2 * n}.", inner, outer, config.latent_dim)
        yield from _styled_conv(f"G.convs.{2 * n + 1}.", outer, outer, config.latent_dim)
        yield from _to_rgb(f"G.to_rgbs.{n}.", outer, config.latent_dim)
        yield f"G.noises.noise_{2 * n + 1}", (1, 1, side, side)
        yield f"G.noises.noise_{2 * n + 2}", (1, 1, side, side)


def _styled_conv(prefix: str, inner: int, outer: int, latent_dim: int) -> Iterator[Entry]:
    yield prefix + "conv.weight", (1, outer, inner, 3, 3)
    yield prefix + "conv.modulation.weight", (inner, latent_dim)
    yield prefix + "conv.modulation.bias", (inner,)
    yield prefix + "noise.weight", (1,)
    yield prefix + "activate.bias", (outer,)


def _to_rgb(prefix: str, inner: int, latent_dim: int) -> Iterator[Entry]:
    yield prefix + "bias", (1, 3, 1, 1)
    yield prefix + "conv.weight", (1, 3, inner, 1, 1)
    yield prefix + "conv.modulation.weight", (inner, latent_dim)
    yield prefix + "conv.modulation.bias", (inner,)


def _relight(config: ModelConfig) -> Iterator[Entry]:
    hidden, depth = config.relight, config.style_dim
    if not hidden:
        return
    yield relight.PREFIX + "light.bias", (hidden,)
    for region in range(regions.COUNT):
        prefix = f"{relight.PREFIX}{region}."
        yield prefix + "light.weight", (hidden, depth)
        yield prefix + "inner.weight", (hidden, depth)
        yield prefix + "inner.bias", (hidden,)
        yield prefix + "shift.weight", (hidden, hidden)
        yield prefix + "outer.weight", (depth, hidden)


def _norm(prefix: str, width: int) -> Iterator[Entry]:
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        yield prefix + leaf, (width,)


def _conv_norm(prefix: str, inner: int, outer: int, kernel: int) -> Iterator[Entry]:
    yield prefix + "conv.weight", (outer, inner, kernel, kernel)
    yield from _norm(prefix + "bn.", outer)


def _parser(config: ParserConfig) -> Iterator[Entry]:
    widths, context, fusion = config.widths, config.context, config.fusion
    yield "cp.resnet.conv1.weight", (widths[0], 3, 7, 7)
    yield from _norm("cp.resnet.bn1.", widths[0])
    for layer in range(1, 5):
        yield from _resnet_layer(layer, widths[layer - 1], widths[layer])
    for name, inner in (("arm16", widths[3]), ("arm32", widths[4])):
        yield from _conv_norm(f"cp.{name}.conv.", inner, context, 3)
        yield f"cp.{name}.conv_atten.weight", (context, context, 1, 1)
        yield from _norm(f"cp.{name}.bn_atten.", context)
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
        yield from _norm(prefix + "bn1.", outer)
        yield prefix + "conv2.weight", (outer, outer, 3, 3)
        yield from _norm(prefix + "bn2.", outer)
        if block == 0 and layer > 1:
            yield prefix + "downsample.0.weight", (outer, inner, 1, 1)
            yield from _norm(prefix + "downsample.1.", outer)
