"""Parameters to train: dicts of tensors by official names, with which the package's own networks run."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from e4s_engine import weights
from e4s_engine.errors import ArgumentError, WeightsError
from e4s_engine.networks import registry
from e4s_engine.networks.network import Config, Shape
from e4s_engine.networks.rgi.config import ModelConfig

Parameters = dict[str, Tensor]

_STATISTICS = ("running_mean", "running_var")


def initial(config: Config, seed: int) -> Parameters:
    """Draw initial parameters: N(0, 1) for equalised layers (StyleGAN2), He's initialisation elsewhere."""
    dice = torch.Generator().manual_seed(seed)
    return {name: _initial(name, shape, dice) for name, shape in registry.tensors(config).items()}


def _initial(name: str, shape: Shape, dice: torch.Generator) -> Tensor:
    if name.endswith(("running_var", "modulation.bias")):
        return torch.ones(shape)
    if name == "latent_avg" or name.endswith(("running_mean", "bias", "noise.weight", "outer.weight")):
        return torch.zeros(shape)  # also relighting's last layer, which changes nothing at first
    if name.startswith("encoder.") and len(shape) == 1:
        return torch.full(shape, 0.25)  # PReLU slopes
    if len(shape) == 1:
        return torch.ones(shape)  # batch norms
    return torch.randn(shape, generator=dice) * scale(name, shape)


def scale(name: str, shape: Shape) -> float:
    """Return the standard deviation of a weight's initial values."""
    if name.startswith(("G.", "MLPs.")):
        return 1.0
    return math.sqrt(2 / math.prod(shape[1:]))


def is_trained(name: str) -> bool:
    """Return whether a tensor has gradients: the noise, latent_avg and batch norm statistics do not."""
    return not (name.startswith("G.noises.") or name == "latent_avg" or name.endswith(_STATISTICS))


def is_statistic(name: str) -> bool:
    """Return whether a tensor is a batch norm's running mean or variance."""
    return name.endswith(_STATISTICS)


def shrunk(config: ModelConfig, side: int) -> ModelConfig:
    """Return the config of the model up to a smaller side, whose parameters are the model's first ones."""
    if side == config.size:
        return config
    channels = config.channels[: side.bit_length() - 2]
    encoder_size = min(config.encoder_size, 2 * side)
    return dataclasses.replace(config, size=side, channels=channels, encoder_size=encoder_size)


def still_above(parameters: Parameters, side: int) -> None:
    """Zero the toRGB layers beyond a side, so that outputs do not jump when the pictures grow."""
    level = side.bit_length() - 3
    while (name := f"G.to_rgbs.{level}.conv.weight") in parameters:
        parameters[name] = torch.zeros_like(parameters[name])
        level += 1


def frozen(config: ModelConfig, convs: int, to_rgbs: int, encoder: bool) -> frozenset[str]:
    """Name the tensors of the last `convs` convolutions, the last `to_rgbs` toRGB layers and the encoder."""
    first_conv, first_rgb = 2 * config.doublings - convs, config.doublings - to_rgbs
    prefixes = tuple(
        [f"G.convs.{i}." for i in range(max(first_conv, 0), 2 * config.doublings)]
        + [f"G.to_rgbs.{i}." for i in range(max(first_rgb, 0), config.doublings)]
        + ["encoder."] * encoder
    )
    return frozenset(name for name in registry.tensors(config) if prefixes and name.startswith(prefixes))


def from_file(path: str | os.PathLike[str], config: Config, seed: int) -> Parameters:
    """Load a weight file's parameters, to continue training. Raises WeightsError if its config differs.

    The file may lack the config's relighting layers, or have narrower per-region MLPs: the additional
    parameters do not change the output at first.
    """
    model = weights.load(path, registry.kind_of(config))
    loaded = {name: torch.from_numpy(np.array(tensor)) for name, tensor in model.tensors.items()}
    if model.config == config:
        return loaded
    if not _grows(model.config, config):
        raise WeightsError(f"weights: {path} is {model.config}, the recipe says {config}")
    fresh = initial(config, seed)
    return fresh | {name: _widened(name, tensor, fresh[name]) for name, tensor in loaded.items()}


def _grows(old: Config, new: Config) -> bool:
    """Return whether the old config becomes the new one by adding parameters."""
    if not isinstance(old, ModelConfig) or not isinstance(new, ModelConfig):
        return False
    relight = old.relight or new.relight
    wanted = dataclasses.replace(old, relight=relight, mlp_hidden=new.mlp_hidden)
    return wanted == new and old.mlp_hidden <= new.mlp_hidden


def _widened(name: str, old: Tensor, begun: Tensor) -> Tensor:
    """Widen an MLP's tensor: new hidden units have initial input weights, and output weights of zero."""
    if old.shape == begun.shape:
        return old
    wide = begun.clone()
    if old.ndim == 2 and old.shape[1] < begun.shape[1]:
        # Equalised layers divide by the root of their number of inputs, which has grown.
        wide.zero_()
        old = old * (begun.shape[1] / old.shape[1]) ** 0.5
    wide[tuple(slice(n) for n in old.shape)] = old
    return wide


def load_stylegan2(path: str | os.PathLike[str], parameters: Parameters) -> None:
    """Load the generator of a StyleGAN2 checkpoint in the rosinality format into an RGI model's parameters.

    Its `g_ema` holds the generator's tensors, `latent_avg` the mean latent, every layer's initial value.
    Raises WeightsError for another kind of file, or a generator of another size.
    """
    content = weights.read_tensors(path, "stylegan2")
    state = content.get("g_ema")
    if not isinstance(state, Mapping):
        raise WeightsError(f"stylegan2: {path} has no g_ema; expected a StyleGAN2 in the rosinality format")
    wanted = [name for name in parameters if name.startswith("G.")]
    for name in wanted:
        tensor = state.get(name.removeprefix("G."))
        if not isinstance(tensor, Tensor) or tensor.shape != parameters[name].shape:
            got = list(tensor.shape) if isinstance(tensor, Tensor) else "nothing"
            expected = list(parameters[name].shape)
            raise WeightsError(f"stylegan2: {path}: {name.removeprefix('G.')} is {got}, expected {expected}")
    average = content.get("latent_avg")
    shape = parameters["latent_avg"].shape
    if average is not None and (not isinstance(average, Tensor) or average.shape[-1] != shape[1]):
        raise WeightsError(f"stylegan2: {path}: latent_avg does not fit, expected [{shape[1]}]")
    for name in wanted:
        parameters[name] = state[name.removeprefix("G.")].detach().float().clone()
    if average is not None:
        parameters["latent_avg"] = average.detach().float().reshape(-1, shape[1]).expand(shape).clone()


def to_model(parameters: Mapping[str, Tensor], config: Config) -> weights.Model:
    """Convert parameters to a model that can be saved. Raises ArgumentError if any is not finite."""
    bad = [name for name, tensor in parameters.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise ArgumentError(f"training: {bad[0]} and {len(bad) - 1} more tensors are not finite")
    return weights.Model(config, {n: t.detach().float().cpu().numpy() for n, t in parameters.items()})
