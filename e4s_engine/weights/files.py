"""Weight files by path: reading and converting, whichever form they have."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from e4s_engine.errors import WeightsError
from e4s_engine.networks import registry
from e4s_engine.photo.files import check_writable, impostor, is_url, url_of
from e4s_engine.weights.converted import open_converted, save
from e4s_engine.weights.model import Model, progress
from e4s_engine.weights.official import kind_of_official, load_official, unpickle
from e4s_engine.weights.tensorfile import TensorFile

MAX_FILE_BYTES = 16 << 30
SUFFIXES = {".safetensors", ".pt", ".pth", ".tar"}  # .pth.tar: face-vid2vid's


def load(path: str | os.PathLike[str], kind: str, argument: str = "weights") -> Model:
    """Read a converted or an official weight file. kind: the network's. Raises WeightsError."""
    model = open_model(path, kind, argument)
    if not isinstance(model.tensors, TensorFile):
        return model
    read = {name: model.tensors[name] for name in progress(list(model.tensors), f"Loading {Path(path).name}")}
    return dataclasses.replace(model, tensors=read)


def open_model(path: str | os.PathLike[str], kind: str, argument: str = "weights") -> Model:
    """Open a weight file like `load`, but read a converted file's tensors at each access and keep none.

    Call `Model.check` after the last access: only reading finds values that are not finite.
    """
    file = _check_file(path, argument)
    model = open_converted(file, argument) if file.suffix == ".safetensors" else load_official(file, argument)
    actual = registry.kind_of(model.config)
    if actual != kind:
        raise WeightsError(f"{argument}: {file} holds a model of kind {actual!r}, expected {kind!r}")
    return model


def kind_of_file(path: str | os.PathLike[str], argument: str) -> str:
    """Return the kind of network whose weights a file holds, by its content. Raises WeightsError."""
    file = _check_file(path, argument)
    if file.suffix == ".safetensors":
        return registry.kind_of(open_converted(file, argument).config)
    return kind_of_official(file, argument)


def convert(
    official_pt: str | os.PathLike[str],
    out_safetensors: str | os.PathLike[str],
    *,
    ema: bool = False,
) -> Model:
    """Convert an official checkpoint (RGI `.pt` or BiSeNet `.pth`) to safetensors; needs PyTorch.

    ema selects the averaged weights ("state_dict_ema") if the file holds both; the published results use
    "state_dict". Returns the converted model; `extra` names the keys left out. Raises WeightsError for a
    file that is no such checkpoint, OutputError if the result cannot be written.
    """
    file = _check_file(official_pt, "official_pt")
    if file.suffix == ".safetensors":
        raise WeightsError(f"official_pt: {file} is a safetensors file already")
    check_writable(out_safetensors, "out_safetensors")  # before the slow reading
    if Path(out_safetensors).suffix != ".safetensors":
        raise WeightsError(f"out_safetensors: {out_safetensors} must end in .safetensors")
    model = load_official(file, "official_pt", ema=ema)
    save(model, out_safetensors)
    return model


def read_tensors(path: str | os.PathLike[str], argument: str) -> Mapping[str, Any]:
    """Read a file of torch.save, tensors and plain values only; nothing is executed. Raises WeightsError."""
    file = _check_file(path, argument)
    content = unpickle(file, argument)
    if not isinstance(content, Mapping):
        raise WeightsError(f"{argument}: {file} holds {type(content).__name__}, expected a dict of tensors")
    return content


def find_parser(weights: str | os.PathLike[str]) -> Path | None:
    """Find the parser of a weight file: a file in the same folder with one of the expected names, if any."""
    here, there = Path(weights).absolute(), Path(weights).resolve()  # there: target of a symbolic link
    for file in dict.fromkeys((here, there)):
        for name in (f"{file.stem}.parser.safetensors", "parser.safetensors", "79999_iter.pth"):
            if (file.parent / name).is_file():
                return file.parent / name
    return None


def _check_file(path: str | os.PathLike[str], argument: str) -> Path:
    if is_url(path):
        raise WeightsError(
            f"{argument}: {url_of(path)} is a URL, nothing is downloaded; fetch it and give the file"
        )
    try:
        file = Path(path)
        exists, size = file.is_file(), file.stat().st_size if file.is_file() else 0
    except (TypeError, ValueError, OSError) as error:
        raise WeightsError(f"{argument}: expected a path to a weight file, got {path!r}") from error
    if not exists:
        folder = file.is_dir()
        raise WeightsError(
            f"{argument}: {file} is a folder, expected a file"
            if folder
            else f"{argument}: no such file: {file}"
        )
    if file.suffix not in SUFFIXES:
        raise WeightsError(f"{argument}: {file} must end in one of {', '.join(sorted(SUFFIXES))}")
    if wrong := _impostor(file, argument):
        raise WeightsError(f"{argument}: {file} is {wrong}")
    if not 0 < size <= MAX_FILE_BYTES:
        raise WeightsError(f"{argument}: {file} has {size} bytes; no such checkpoint has")
    return file


def _impostor(file: Path, argument: str) -> str:
    try:
        with file.open("rb") as opened:
            return impostor(opened.read(1024))
    except OSError as error:
        raise WeightsError(f"{argument}: {file} cannot be read ({error.strerror or error})") from error
