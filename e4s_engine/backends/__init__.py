"""Backends: load networks and run their functions over batches of arrays."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from e4s_engine.errors import ArgumentError, BackendError
from e4s_engine.networks import registry
from e4s_engine.weights import Model

if TYPE_CHECKING:
    from e4s_engine.backends.cuda.resident import Resident

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Boxes = npt.NDArray[np.int64]  # parts of maps [N,4]: top, left, bottom, right

BACKENDS = ("auto", "native", "reference")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
BackendName = Literal["auto", "native", "reference"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


class Swapped(NamedTuple):
    """Swaps of aligned crops, as `Swapper.swap` returns them."""

    pasted: Any  # the faces blended into the target crops, [N,1024,1024,3]
    faces: Any  # [N,1024,1024,3]
    labels: Bytes  # [N,512,512]
    holes: Bytes  # [N,512,512], 0 or 1


class Swapper(Protocol):
    """Fused swap with the published options, composition and feathered paste included.

    chosen: swap flags, one per region (see `compose.request`).
    """

    def swap(
        self, sources: Bytes, source_labels: Bytes, targets: Bytes, target_labels: Bytes, chosen: Bytes
    ) -> Swapped:
        """Swap aligned crops [N,1024,1024,3], labels [N,512,512], chosen [N,12]; returns arrays of bytes."""

    def swap_resident(
        self,
        source: Resident,
        source_labels: Bytes,
        target: Resident,
        target_labels: Bytes,
        chosen: Bytes,
    ) -> tuple[Swapped, Any]:
        """Swap two pictures on the device, labels [512,512], chosen [12].

        Returns the swap, whose `pasted` and `faces` stay there, and a copy of the target there: the caller
        may write over its own at any time.
        """

    def resident(self, image: Any) -> Resident | None:
        """Return the picture for `swap_resident`; None if it is not on this device, or no aligned crop."""


class Backend(Protocol):
    """The networks of one model on one device. Safe to call from many threads."""

    device: str
    precision: str
    name: str
    in_boxes: bool  # whether it computes boxes alone

    @property
    def swapper(self) -> Swapper | None:
        """Fused swap of this backend; None if it has none."""

    def load(self, network: str, model: Model) -> None:
        """Take a model of a network, by its kind in the registry. Raises WeightsError for damaged tensors."""

    def run(
        self, network: str, function: str, *arrays: npt.NDArray[Any], boxes: Boxes | None = None
    ) -> npt.NDArray[Any]:
        """Run a function of a loaded network over inputs [N,...] as it declares them (networks/network.py).

        boxes: the pixels of each sample's map that the caller reads, the same as without boxes; the others
        may be anything. None: all.

        Returns maps as floats [N,H,W,C], vectors [N,R,C], or bytes [N,H,W].
        """

    def invert(self, pictures: Bytes, labels: Bytes, styles: Floats, steps: int, rate: float) -> Floats:
        """Optimise style vectors [N,12,D] towards pictures [N,S,S,3]. BackendError without gradients."""

    def describe(self) -> str:
        """Return its plans as readable tables. Raises BackendError if it runs none."""


def check(backend: str, device: str, precision: str) -> None:
    """Raise ArgumentError for a choice that no machine supports, before any weights are read."""
    if not isinstance(backend, str) or backend not in BACKENDS:
        raise ArgumentError(f"backend: expected one of {', '.join(BACKENDS)}, got {backend!r}")
    if not isinstance(precision, str) or precision not in PRECISIONS:
        raise ArgumentError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}")
    check_device(device)


def check_device(device: str) -> None:
    """Raise ArgumentError for an unknown device name."""
    if not isinstance(device, str) or not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise ArgumentError(f"device: expected 'auto', 'cpu', 'cuda' or 'cuda:N', got {device!r}")


def create(models: Iterable[Model], backend: str, device: str, precision: str) -> Backend:
    """Choose a backend by the arguments and by what this machine has, and load models into it.

    Raises BackendError.
    """
    check(backend, device, precision)
    chosen = _choose(backend, device, precision)
    for model in models:
        chosen.load(registry.kind_of(model.config), model)
    return chosen


def _choose(backend: str, device: str, precision: str) -> Backend:
    on_gpu = device.startswith("cuda") or (device == "auto" and backend != "native" and _gpu_at_hand())
    if backend == "native" or (backend == "auto" and not on_gpu):
        return _native(device if on_gpu else "cpu", precision)
    if importlib.util.find_spec("torch") is None:
        raise BackendError(
            "backend: the reference backend needs PyTorch; install it with `pip install e4s_engine[torch]`"
        )
    from e4s_engine.backends.reference import Reference

    return Reference(device, precision)


def _gpu_at_hand() -> bool:
    """Return whether PyTorch can use a GPU. Importing it takes a second: only done if there is a driver."""
    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _native(device: str, precision: str) -> Backend:
    if importlib.util.find_spec("e4s_engine._native") is None:
        raise BackendError(
            "backend: the compiled extension is missing; install the package with `pip install .`, "
            "or use backend='reference' (PyTorch)"
        )
    if device != "cpu":
        from e4s_engine.backends.cuda.backend import Cuda

        return Cuda(device, precision)
    from e4s_engine.backends.native import Native

    return Native(precision)
