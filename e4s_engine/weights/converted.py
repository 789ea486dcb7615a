"""Converted weight files: safetensors under the official names, with a header.

The header holds format, format_version, kind (the network's, see networks/registry.py) and config (JSON).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from e4s_engine.errors import OutputError, WeightsError
from e4s_engine.networks import registry
from e4s_engine.networks.network import Config
from e4s_engine.photo.files import replacing
from e4s_engine.weights.model import Model, check_shapes, log_unused
from e4s_engine.weights.tensorfile import DTYPES, TensorFile, check_header, damaged, some

FORMAT = "e4s_engine"
FORMAT_VERSION = 1
_LARGEST_HALF = float(np.finfo(np.float16).max)


def open_converted(file: Path, argument: str) -> Model:
    """Open a converted file; its tensors are read at each access."""
    try:
        check_header(file)
        with safetensors.safe_open(file, framework="numpy") as opened:
            config = _read_header(opened.metadata() or {}, file, argument)
            slices = {name: opened.get_slice(name) for name in list(opened.keys())}
            shapes = {name: tuple(s.get_shape()) for name, s in slices.items()}
            wanted = registry.tensors(config)
            check_shapes(shapes, wanted, file, argument)
            for name in wanted:
                if slices[name].get_dtype() not in DTYPES:
                    dtype = slices[name].get_dtype()
                    raise WeightsError(f"{argument}: {file}: {name} is {dtype}, expected F32 or F16")
    except (safetensors.SafetensorError, OSError) as error:
        raise damaged(file, argument, error) from error
    return Model(config, TensorFile(file, wanted, argument), log_unused(set(slices) - set(wanted), file))


def _read_header(metadata: Mapping[str, str], file: Path, argument: str) -> Config:
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{argument}: {file} has no {FORMAT} header; make it with `e4s convert OFFICIAL.pt {file.name}`"
        )
    version = metadata.get("format_version", "")
    if not version.isdecimal() or len(version) > 9 or int(version) > FORMAT_VERSION:
        raise WeightsError(
            f"{argument}: {file} has format version {version!r:.20}, this package reads up to "
            f"{FORMAT_VERSION}; upgrade e4s_engine"
        )
    return registry.from_json(metadata.get("kind", ""), metadata.get("config", ""))


def save(model: Model, path: str | os.PathLike[str], *, half: bool = False) -> None:
    """Write a model as safetensors with its header; an existing file is replaced only when writing has ended.

    half stores float16, half the size; it is read back as float32. Raises WeightsError for values that
    float16 cannot hold.
    """
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "kind": registry.kind_of(model.config),
        "config": registry.to_json(model.config),
    }
    tensors: dict[str, npt.NDArray[Any]] = dict(model.tensors)
    if half:
        large = [name for name, tensor in tensors.items() if np.abs(tensor).max(initial=0) > _LARGEST_HALF]
        if large:
            raise WeightsError(f"half: float16 cannot hold {some(large)}; save as float32")
        tensors = {name: tensor.astype(np.float16) for name, tensor in tensors.items()}
    with replacing(path, "out_safetensors") as temporary:
        try:
            safetensors.numpy.save_file(tensors, temporary, metadata)
        except safetensors.SafetensorError as error:  # a full disk, among others
            raise OutputError(f"out_safetensors: cannot write {path}: {error}") from error
