"""Official checkpoints, `.pt` and `.pth`: tensors and plain values only; nothing in them is executed."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.errors import WeightsError
from e4s_engine.networks import registry
from e4s_engine.weights.model import Model, check_shapes, log_unused, progress
from e4s_engine.weights.tensorfile import not_finite

_OTHERS = ("params_ema", "params")  # where BasicSR keeps the tensors of its networks
_PARTS = ("generator", "kp_detector", "he_estimator")  # face-vid2vid's networks, each a dict of tensors


def load_official(file: Path, argument: str, ema: bool = False) -> Model:
    """Read an official checkpoint; needs PyTorch.

    ema: whether to read the averaged weights of a file that holds both.
    """
    state = _state_dict(unpickle(file, argument), file, argument, ema)
    shapes = {name: tuple(t.shape) for name, t in state.items()}
    try:
        config = registry.recognise(shapes)
    except WeightsError as error:
        raise WeightsError(f"{argument}: {file} is neither {registry.titles()} ({error})") from error
    wanted = registry.tensors(config)
    check_shapes(shapes, wanted, file, argument)
    for name in wanted:
        tensor = state[name]
        # A tensor may claim more than its file holds (strides of 0), any size at all: it is never copied.
        if (
            not tensor.is_floating_point()
            or tensor.is_sparse
            or tensor.is_meta
            or (tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size())
        ):
            raise WeightsError(
                f"{argument}: {file}: {name} is no plain floating-point tensor ({tensor.dtype})"
            )

    def to_float32(name: str) -> npt.NDArray[np.float32]:
        return np.asarray(state[name].detach().float().numpy(), order="C")  # () stays ()

    read = {name: to_float32(name) for name in progress(list(wanted), f"Reading {file.name}")}
    bad = [name for name, tensor in read.items() if not np.isfinite(tensor).all()]
    if bad:
        raise not_finite(bad, file, argument)
    # Filters, counters, and noise that is drawn afresh (of inpainting): not learned.
    constant = re.compile(r"\.kernel$|^kp_detector\.down\.weight$|num_batches_tracked$|^noises\.noise\d+$")
    extra = {name for name in shapes if name not in wanted and not constant.search(name)}
    return Model(config, read, log_unused(extra, file))


def kind_of_official(file: Path, argument: str) -> str:
    """Return the kind of network that a checkpoint belongs to, by the names and shapes of its tensors."""
    state = _state_dict(unpickle(file, argument, mapped=zipfile.is_zipfile(file)), file, argument, ema=False)
    return registry.kind_of(registry.recognise({name: tuple(t.shape) for name, t in state.items()}))


def unpickle(file: Path, argument: str, *, mapped: bool = False) -> Any:
    """Read a file of torch.save as tensors and plain containers; anything else is refused, not run.

    mapped: whether the tensors stay in the file, to be looked at only.
    """
    try:
        import torch
    except ImportError as error:
        raise WeightsError(
            f"{argument}: reading {file.suffix} files needs PyTorch; install e4s_engine[torch], or convert "
            "the file on a machine that has it"
        ) from error
    try:
        _check_archive(file)
        return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch raises many kinds on damaged or hostile files
        # From None: a traceback would show PyTorch's advice to read the file with weights_only=False.
        raise WeightsError(
            f"{argument}: {file} cannot be read as plain tensors: {_reason(error)}; download it again from "
            "its authors"
        ) from None


def _reason(error: Exception) -> str:
    """Return why a file cannot be read, without PyTorch's words: they advise to execute what is in it."""
    foreign = re.search(r"GLOBAL ([\w.]+)", str(error))
    if foreign:
        return f"it holds code or objects ({foreign.group(1)}), which are never executed"
    own = f" ({error})" if isinstance(error, ValueError) and "weights_only" not in str(error) else ""
    return f"it is damaged, or holds code, which is never executed{own}"


def _check_archive(file: Path) -> None:
    """Raise ValueError for an archive whose members are larger than it: torch.save never compresses."""
    if not zipfile.is_zipfile(file):
        return  # the older format
    with zipfile.ZipFile(file) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > file.stat().st_size:
        raise ValueError(f"its members claim {size} bytes, more than the file has")


def _state_dict(content: Any, file: Path, argument: str, ema: bool) -> dict[str, Any]:
    """Return a checkpoint's tensors under their plain names, latent_avg among them if it is stored."""
    import torch

    if not isinstance(content, Mapping):
        raise WeightsError(f"{argument}: {file} holds {type(content).__name__}, expected a dict of tensors")
    order = ("state_dict_ema", "state_dict") if ema else ("state_dict", "state_dict_ema")
    chosen = next((name for name in (*order, *_OTHERS) if isinstance(content.get(name), Mapping)), None)
    if ema and chosen != "state_dict_ema":
        raise WeightsError(f"{argument}: {file} holds no averaged weights (state_dict_ema); use ema=False")
    tensors = content[chosen] if chosen else _joined(content)
    state = {str(n).removeprefix("module."): t for n, t in tensors.items() if isinstance(t, torch.Tensor)}
    if isinstance(content.get("latent_avg"), torch.Tensor):
        state["latent_avg"] = content["latent_avg"]
    if not state:
        raise WeightsError(f"{argument}: {file} holds no tensors")
    return state


def _joined(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the tensors of a file of several networks under one roof, each name after its network's."""
    if not all(isinstance(content.get(part), Mapping) for part in _PARTS):
        return content
    return {f"{part}.{name}": tensor for part in _PARTS for name, tensor in content[part].items()}
