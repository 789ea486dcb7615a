"""Weight files: official .pt / .pth checkpoints, and the safetensors files they convert to.

A converted file holds the networks' tensors under the official names, and a header: format,
format_version, kind ("rgi" or "parser") and config (JSON). Official files are read as tensors and plain
values only; nothing in them is ever executed.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
from tqdm import tqdm

from e4s_engine.errors import OutputError, WeightsError
from e4s_engine.networks import registry
from e4s_engine.networks.network import Config, Shape
from e4s_engine.photo.files import check_writable, replacing
from e4s_engine.weights.tensorfile import DTYPES, TensorFile, damaged, not_finite, some

logger = logging.getLogger("e4s_engine")

FORMAT = "e4s_engine"
FORMAT_VERSION = 1
MAX_FILE_BYTES = 16 << 30
_SUFFIXES = {".safetensors", ".pt", ".pth"}
Item = TypeVar("Item")

_LARGEST_HALF = float(np.finfo(np.float16).max)

Tensors = Mapping[str, npt.NDArray[np.float32]]


@dataclasses.dataclass(frozen=True)
class Model:
    """A model's config and its tensors, float32 by official name. extra: unused keys of the file."""

    config: Config
    tensors: Tensors
    extra: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise WeightsError for NaN or infinity in tensors of an opened file that are not read yet."""
        if isinstance(self.tensors, TensorFile):
            self.tensors.check()


def load(path: str | os.PathLike[str], kind: str, argument: str = "weights") -> Model:
    """Read a converted or an official weight file. kind: "rgi" or "parser". Raises WeightsError."""
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
    model = (
        _open_converted(file, argument) if file.suffix == ".safetensors" else _load_official(file, argument)
    )
    actual = registry.kind_of(model.config)
    if actual != kind:
        raise WeightsError(f"{argument}: {file} holds a model of kind {actual!r}, expected {kind!r}")
    return model


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
    model = _load_official(file, "official_pt", ema=ema)
    save(model, out_safetensors)
    return model


def read_tensors(path: str | os.PathLike[str], argument: str) -> Mapping[str, Any]:
    """Read a file of torch.save, tensors and plain values only; nothing is executed. Raises WeightsError."""
    file = _check_file(path, argument)
    content = _unpickle(file, argument)
    if not isinstance(content, Mapping):
        raise WeightsError(f"{argument}: {file} holds {type(content).__name__}, expected a dict of tensors")
    return content


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


def random_model(config: Config, seed: int = 0) -> Model:
    """Make a model with random weights of sane scales, for timing and tests, not for pictures."""
    rng = np.random.default_rng(seed)

    def tensor(name: str, shape: Shape) -> npt.NDArray[np.float32]:
        values = rng.standard_normal(shape, dtype=np.float32)
        if name.endswith("running_var"):
            return np.asarray(1 + 0.1 * np.abs(values), np.float32)
        if name.endswith("modulation.bias") or (
            len(shape) == 1 and ".bn" in name and name.endswith("weight")
        ):
            return np.asarray(1 + 0.1 * values, np.float32)
        if len(shape) == 1:
            return np.asarray(0.1 * values, np.float32)
        if name.startswith("G.to_rgb") and ".modulation." not in name:
            return np.asarray(0.1 * values, np.float32)  # keeps most colours in range
        equalized = name.startswith(("G.", "MLPs."))  # scaled by the layers themselves
        return values if equalized else values * np.float32((2 / np.prod(shape[1:])) ** 0.5)

    return Model(config, {name: tensor(name, shape) for name, shape in registry.tensors(config).items()})


def find_parser(weights: str | os.PathLike[str]) -> Path | None:
    """Find the parser of a weight file: a file in the same folder with one of the expected names, if any."""
    here, there = Path(weights).absolute(), Path(weights).resolve()  # there: target of a symbolic link
    for file in dict.fromkeys((here, there)):
        for name in (f"{file.stem}.parser.safetensors", "parser.safetensors", "79999_iter.pth"):
            if (file.parent / name).is_file():
                return file.parent / name
    return None


def _check_file(path: str | os.PathLike[str], argument: str) -> Path:
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
    if file.suffix not in _SUFFIXES:
        raise WeightsError(f"{argument}: {file} must end in one of {', '.join(sorted(_SUFFIXES))}")
    if not 0 < size <= MAX_FILE_BYTES:
        raise WeightsError(f"{argument}: {file} has {size} bytes; no such checkpoint has")
    return file


def _open_converted(file: Path, argument: str) -> Model:
    try:
        with safetensors.safe_open(file, framework="numpy") as opened:
            config = _read_header(opened.metadata() or {}, file, argument)
            slices = {name: opened.get_slice(name) for name in list(opened.keys())}
            shapes = {name: tuple(s.get_shape()) for name, s in slices.items()}
            wanted = registry.tensors(config)
            _check_shapes(shapes, wanted, file, argument)
            for name in wanted:
                if slices[name].get_dtype() not in DTYPES:
                    dtype = slices[name].get_dtype()
                    raise WeightsError(f"{argument}: {file}: {name} is {dtype}, expected F32 or F16")
    except (safetensors.SafetensorError, OSError) as error:
        raise damaged(file, argument, error) from error
    return Model(config, TensorFile(file, wanted, argument), _named(set(slices) - set(wanted), file))


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


def _load_official(file: Path, argument: str, ema: bool = False) -> Model:
    state = _state_dict(_unpickle(file, argument), file, argument, ema)
    shapes = {name: tuple(t.shape) for name, t in state.items()}
    try:
        config = registry.recognise(shapes)
    except WeightsError as error:
        raise WeightsError(f"{argument}: {file} is neither {registry.titles()} ({error})") from error
    wanted = registry.tensors(config)
    _check_shapes(shapes, wanted, file, argument)
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
        return np.ascontiguousarray(state[name].detach().float().numpy())

    read = {name: to_float32(name) for name in progress(list(wanted), f"Reading {file.name}")}
    bad = [name for name, tensor in read.items() if not np.isfinite(tensor).all()]
    if bad:
        raise not_finite(bad, file, argument)
    constant = re.compile(r"\.kernel$|num_batches_tracked$")  # FIR taps and counters: not learned
    extra = {name for name in shapes if name not in wanted and not constant.search(name)}
    return Model(config, read, _named(extra, file))


def _unpickle(file: Path, argument: str) -> Any:
    """Read a file of torch.save as tensors and plain containers; anything else is refused, not run."""
    try:
        import torch
    except ImportError as error:
        raise WeightsError(
            f"{argument}: reading {file.suffix} files needs PyTorch; install e4s_engine[torch], or convert "
            "the file on a machine that has it"
        ) from error
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on damaged or hostile files
        first = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise WeightsError(
            f"{argument}: {file} cannot be read as plain tensors: it is damaged, or holds code, which is "
            f"never executed ({first})"
        ) from error


def _state_dict(content: Any, file: Path, argument: str, ema: bool) -> dict[str, Any]:
    """Return a checkpoint's tensors under their plain names, latent_avg among them if it is stored."""
    import torch

    if not isinstance(content, Mapping):
        raise WeightsError(f"{argument}: {file} holds {type(content).__name__}, expected a dict of tensors")
    order = ("state_dict_ema", "state_dict") if ema else ("state_dict", "state_dict_ema")
    chosen = next((name for name in order if isinstance(content.get(name), Mapping)), None)
    if ema and chosen != "state_dict_ema":
        raise WeightsError(f"{argument}: {file} holds no averaged weights (state_dict_ema); use ema=False")
    tensors = content[chosen] if chosen else content
    state = {str(n).removeprefix("module."): t for n, t in tensors.items() if isinstance(t, torch.Tensor)}
    if isinstance(content.get("latent_avg"), torch.Tensor):
        state["latent_avg"] = content["latent_avg"]
    if not state:
        raise WeightsError(f"{argument}: {file} holds no tensors")
    return state


def _check_shapes(
    shapes: Mapping[str, Sequence[int]], wanted: Mapping[str, Shape], file: Path, argument: str
) -> None:
    missing = [name for name in wanted if name not in shapes]
    if missing:
        raise WeightsError(f"{argument}: {file} lacks {len(missing)} tensors: {some(missing)}")
    wrong = [
        f"{name} is {list(shapes[name])}, expected {list(shape)}"
        for name, shape in wanted.items()
        if tuple(shapes[name]) != shape
    ]
    if wrong:
        raise WeightsError(f"{argument}: {file} has {len(wrong)} misshapen tensors: {some(wrong)}")


def _named(extra: Iterable[str], file: Path) -> tuple[str, ...]:
    """Sort the names of unused tensors and log them."""
    named = tuple(sorted(extra))
    if named:
        logger.info("%s: %d tensors are not used: %s", file.name, len(named), some(named))
    return named


def progress(items: Sequence[Item], title: str) -> Iterable[Item]:
    """Iterate over items, with a progress bar if they take more than a second."""
    return tqdm(items, desc=title, unit="tensor", delay=1, leave=False, disable=None)
