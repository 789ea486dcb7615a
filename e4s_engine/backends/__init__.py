"""Backends: load networks and run their functions over batches of arrays."""

from __future__ import annotations

import ctypes
import dataclasses
import importlib.util
import logging
import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from e4s_engine.errors import ArgumentError, BackendError
from e4s_engine.networks import registry
from e4s_engine.weights import Model

if TYPE_CHECKING:
    from e4s_engine.backends.cuda.resident import Resident

logger = logging.getLogger("e4s_engine")

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Boxes = npt.NDArray[np.int64]  # parts of maps [N,4]: top, left, bottom, right

BACKENDS = ("auto", "native", "reference")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
BackendName = Literal["auto", "native", "reference"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


class Given(NamedTuple):
    """A person who gives regions to a swap. Compares by identity where it must: it is encoded once per call.

    pixels: aligned crop uint8 [1024,1024,3], or a `Resident`; None for a person who was encoded before.
    styles: style vectors float32 [12,D] of such a person.
    """

    labels: Bytes  # [512,512]
    pixels: Any = None
    styles: Floats | None = None


# What a fused swap can return, by name: the face blended into the target's crop [1024,1024,3], the face
# [S,S,3], which may hold anything beyond the `reach` of an `Ask`, its style vectors [12,D], labels, holes (0
# or 1) and foreground (0 or 1) [512,512], and the face's opacity [1024,1024].
PASTED = ("pasted", "styles", "labels", "holes")
APART = ("picture", "styles", "labels", "holes", "foreground", "opacity")
WHOLE = 1024  # a reach that takes the whole face


@dataclasses.dataclass(frozen=True, eq=False)
class Ask:
    """A swap that is asked of a `Swapper`.

    target: aligned crop uint8 [1024,1024,3], or a `Resident`: then pictures of the result stay on the device.
    chosen: swap flags uint8 [P,12], a row per source (see `compose.request`). settings: options as floats, in
    the order of `compose.SETTINGS`. relight: whether by the model's relighting layers. outputs: names of what
    to return. reach: pixels of the crop beyond the face's opacity that the caller reads of the face.
    target_styles: style vectors float32 [12,D] of a target that was encoded before.
    """

    sources: tuple[Given, ...]
    target: Any
    target_labels: Bytes
    chosen: Bytes
    settings: Floats
    relight: bool = False
    outputs: tuple[str, ...] = PASTED
    reach: int = 0
    target_styles: Floats | None = None


class Swapper(Protocol):
    """Fused swap, from 8-bit pictures to 8-bit pictures: encodes, relighting, composition, decode, paste."""

    def swap(self, asks: Sequence[Ask]) -> list[dict[str, Any]]:
        """Swap; return for each an array of its own per output that it asked for.

        For a target on the device "pasted" and "picture" are arrays there, as is "target_pixels", a copy of
        the target: the caller may write over its own at any time.
        """

    def resident(self, image: Any) -> Resident | None:
        """Return the picture as a `Resident`; None if it is not on this device, or no aligned crop."""


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

    def share(self, network: str, function: str, box: Sequence[int]) -> float:
        """Return the part of a function's work that a box of its map takes: top, left, bottom, right."""


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
    if backend == "native":
        return _native(device if device.startswith("cuda") else "cpu", precision)
    if backend == "auto":
        card = "cuda" if device == "auto" else device
        if card.startswith("cuda") and _kernels_at_hand(card):
            return _native(card, precision)
        if device == "cpu" or (device == "auto" and not _gpu_at_hand()):
            return _native("cpu", precision)
    if importlib.util.find_spec("torch") is None:
        raise BackendError(
            "backend: the reference backend needs PyTorch; install it with `pip install e4s_engine[torch]`"
        )
    from e4s_engine.backends.reference import Reference

    return Reference(device, precision)


def _kernels_at_hand(device: str) -> bool:
    """Return whether the CUDA engine runs on a device: it exists, and has kernels or a compiler of them."""
    if importlib.util.find_spec("e4s_engine._native") is None:
        return False
    check_extension()
    from e4s_engine import _native

    try:
        cards = _native.cuda_architectures()
    except BackendError:  # no driver
        return False
    number = int(device.partition(":")[2] or 0)
    if number >= len(cards):
        return False
    from e4s_engine.backends.cuda import compile as compiling

    if cards[number] >= min(compiling.ARCHITECTURES) and (
        importlib.util.find_spec("triton") is not None or compiling.has_kernels(cards[number])
    ):
        return True
    logger.info(
        "engine: cuda:%d (sm_%d) without the engine's kernels, PyTorch runs there; `pip install "
        "e4s_engine[cuda]` brings their compiler, which needs sm_80 or newer",
        number,
        cards[number],
    )
    return False


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


# What Python uses of the compiled extension.
_EXTENSION = (
    "CudaArray", "CudaDevice", "CudaGraph", "Plan", "Weights", "conv_form", "cpu_features",
    "cuda_architectures", "cuda_device_of", "cuda_nodes", "dlpack_seen", "kernels", "paste", "threads",
)  # fmt: skip


def check_extension() -> None:
    """Raise BackendError if the compiled extension is missing or does not fit this package."""
    if importlib.util.find_spec("e4s_engine._native") is None:
        raise BackendError(
            "backend: the compiled extension is missing; install the package with `pip install .` "
            "(backend='reference' runs the networks without it, but pastes into no photo)"
        )
    extension = importlib.import_module("e4s_engine._native")
    missing = [name for name in _EXTENSION if not hasattr(extension, name)]
    if missing:
        raise BackendError(
            f"backend: the compiled extension {extension.__file__} is older than the package (it has no "
            f"{missing[0]}); build it again with `pip install .`, or `make install` in a checkout"
        )


def _native(device: str, precision: str) -> Backend:
    check_extension()
    if device != "cpu":
        from e4s_engine.backends.cuda.backend import Cuda

        return Cuda(device, precision)
    from e4s_engine.backends.native import Native

    return Native(precision)
