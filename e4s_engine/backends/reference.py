"""Reference backend: networks in PyTorch, on any of its devices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from e4s_engine import ops
from e4s_engine.backends import Boxes, Bytes, Floats, Swapper, check_device
from e4s_engine.errors import BackendError
from e4s_engine.networks import registry
from e4s_engine.networks.network import Config, Function, Input, Network
from e4s_engine.networks.rgi import invert
from e4s_engine.ops.ops import Ops
from e4s_engine.weights import Model

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_MOST_AT_ONCE = {"cpu": 1, "cuda": 8}  # a decode at 1024 takes about 1 GB each


class Reference:
    """Networks over an `ops` namespace, by default the one-pass reference operations."""

    name = "reference"
    in_boxes = False
    swapper: Swapper | None = None

    def __init__(self, device: str, precision: str, operations: Ops[torch.Tensor] = ops.reference) -> None:
        self.device = choose_device(device)
        self.precision = _choose_precision(precision, self.device)
        self._ops = operations
        self._loaded: dict[str, tuple[Network, Config, dict[str, Any]]] = {}
        self._step = _MOST_AT_ONCE[self.device.partition(":")[0]]

    def load(self, network: str, model: Model) -> None:
        """Place a model's tensors on the device."""
        placed = {name: torch.from_numpy(tensor).to(self.device) for name, tensor in model.tensors.items()}
        self._loaded[network] = registry.get(network), model.config, placed

    def run(
        self, network: str, function: str, *arrays: npt.NDArray[Any], boxes: Boxes | None = None
    ) -> npt.NDArray[Any]:
        """See `Backend`; everything is computed."""
        declared, config, weights = self._loaded[network]
        called = declared.function(function)
        with self._running():
            batches = (_channels_first(called, batch) for batch in self._batches(*arrays))
            results = [called.call(self._ops, *batch, weights, config) for batch in batches]
            return np.concatenate([_as_array(result) for result in results])

    def invert(self, pictures: Bytes, labels: Bytes, styles: Floats, steps: int, rate: float) -> Floats:
        """Optimise style vectors [N,12,D] towards pictures [N,S,S,3]."""
        results = []
        _, config, weights = self._loaded["rgi"]
        with self._running(gradients=True):
            for picture, mask, style in self._batches(pictures, labels, styles):
                image = self._ops.from_uint8(picture, -1, 1)
                inputs = (image, mask, style, weights, config)
                results.append(invert.descend(self._ops, *inputs, steps, rate).cpu().numpy())
        return np.concatenate(results)

    def share(self, network: str, function: str, box: Sequence[int]) -> float:
        """Return 1: PyTorch computes whole maps."""
        return 1.0

    def describe(self) -> str:
        """Raise BackendError: PyTorch runs no recorded plan."""
        raise BackendError("backend: the reference backend runs no recorded plan; the native one does")

    def _batches(self, *arrays: npt.NDArray[Any]) -> Iterator[tuple[torch.Tensor, ...]]:
        for start in range(0, len(arrays[0]), self._step):
            parts = (np.ascontiguousarray(array[start : start + self._step]) for array in arrays)
            yield tuple(torch.from_numpy(part).to(self.device) for part in parts)

    @contextmanager
    def _running(self, gradients: bool = False) -> Iterator[None]:
        dtype = _DTYPES.get(self.precision, torch.bfloat16)
        kind = self.device.partition(":")[0]
        try:
            with (
                torch.inference_mode(not gradients),
                torch.set_grad_enabled(gradients),
                torch.autocast(kind, dtype, enabled=self.precision != "fp32"),
            ):
                yield
        except torch.OutOfMemoryError as error:
            raise BackendError(
                f"device: {self.device} has too little memory for this model: {error}"
            ) from error


def _channels_first(function: Function, batch: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Return a function's inputs with feature maps as [N,C,H,W]."""
    pairs = zip(batch, function.inputs, strict=True)
    return tuple(array.permute(0, 3, 1, 2) if kind is Input.MAPS else array for array, kind in pairs)


def _as_array(result: torch.Tensor) -> npt.NDArray[Any]:
    """Convert a result to NumPy: maps as floats [N,H,W,C], vectors and bytes in their own shape."""
    if result.dtype == torch.uint8:
        return result.cpu().numpy()
    floats = result.float()
    return (floats.permute(0, 2, 3, 1) if floats.ndim == 4 else floats).cpu().numpy()


def choose_device(device: str) -> str:
    """Resolve "auto", "cpu", "cuda" or "cuda:N" on this machine. Raises ArgumentError, BackendError."""
    check_device(device)
    if device == "cpu":
        return device
    if not torch.cuda.is_available():
        if device == "auto":
            return "cpu"
        raise BackendError(f"device: {device!r} was asked for, but PyTorch finds no CUDA GPU; use 'cpu'")
    if device == "auto":
        return "cuda:0"
    index = int(device.partition(":")[2] or 0)
    if index >= torch.cuda.device_count():
        raise BackendError(
            f"device: {device!r} was asked for, but there are {torch.cuda.device_count()} GPUs"
        )
    return f"cuda:{index}"


def _choose_precision(precision: str, device: str) -> str:
    if precision == "auto":
        return "fp32"
    if precision == "fp16" and device == "cpu":
        raise BackendError("precision: fp16 needs a GPU; on the CPU use 'fp32' or 'bf16'")
    return precision
