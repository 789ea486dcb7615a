"""Declaration of a network: one object per network, which weights, plans, backends and tools read.

The runtime knows nothing of any network. A network lives in a folder of its own: its config, its tensors, its
functions over an `ops` namespace, and `network.py` with the object that declares them. The registry lists it.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Mapping
from typing import Any

from e4s_engine.errors import WeightsError

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape]
Entry = tuple[str, Shape]
Config = Any  # one of the frozen dataclasses that the registry's networks declare

MAX_CHANNELS = 4096

# Where the authors of GPEN offer its files, and what they say about their use.
GPEN_FILES = "https://public-vigen-video.oss-cn-shanghai.aliyuncs.com/robin/models"
GPEN_LICENCE = "for academic and non-commercial use only (https://github.com/yangxy/GPEN)"


class Input(enum.Enum):
    """Kinds of a function's input arrays, each with a leading axis of samples."""

    PIXELS = "uint8 [N,H,W,3]"
    LABELS = "uint8 [N,h,w], regions below 12"
    VECTORS = "float32 [N,R,C]"
    MAPS = "float32 [N,H,W,C]"


@dataclasses.dataclass(frozen=True)
class Function:
    """A function of a network that backends run.

    call: function (ops, inputs..., weights, config) -> result, over any `ops` namespace: feature maps
        [N,C,H,W], vectors [N,R,C] or classes [N,H,W].
    inputs: kinds of its inputs, in order.
    examples: function config -> shapes of its inputs without the samples, at the sizes of the published
        pipeline; weights are packed for these when a model is loaded.
    at_once: number of samples per batch on a CPU; larger batches only cost memory.
    cpu_half: precision on CPUs where the backend's is bf16; None: bf16. "fp32_wide" is fp32 with larger tiles
        of Winograd's form: as fast as bf16 on many networks, with a thousandth of its rounding.
    half: precision of the CUDA engine where that is bf16; None: bf16.
    free: flag of a function that takes pictures of any size, so that a convolution may need its weights in
        another form than the examples do; backends then keep the tensors.
    """

    call: Callable[..., Any]
    inputs: tuple[Input, ...]
    examples: Callable[[Any], tuple[Shape, ...]]
    at_once: int = 1
    cpu_half: str | None = None
    half: str | None = None
    free: bool = False

    def on_cpu(self, precision: str) -> str:
        """Return the precision that the function runs in by a CPU's engine of a precision."""
        return self.cpu_half if self.cpu_half and precision == "bf16" else precision

    def on_cuda(self, precision: str) -> str:
        """Return the precision that the function runs in by a CUDA engine of a precision."""
        return self.half if self.half and precision == "bf16" else precision


@dataclasses.dataclass(frozen=True)
class Published:
    """The weights of a network as its authors offer them.

    file: name that the published pipeline expects. purpose: what the file enables. source: page or address
    where the authors offer it. licence: what they say about its use.
    """

    file: str
    purpose: str
    source: str
    licence: str


def scale(name: str, shape: Shape) -> tuple[float, float]:
    """Return mean and deviation of a random tensor: variances about 1, vectors small, kernels as by He."""
    if name.endswith("running_var"):
        return 1, 0.1
    return 0, 0.1 if len(shape) == 1 else (2 / math.prod(shape[1:])) ** 0.5


@dataclasses.dataclass(frozen=True)
class Network:
    """A network: the content of its files, and its functions.

    kind: name in the registry and in the header of weight files.
    title: name for people.
    config: class of its config, a frozen dataclass of integers, tuples and names.
    tensors: function config -> every tensor that it reads, key -> shape.
    infer: function shapes of an official state dict -> config. Raises WeightsError if it is not one.
    recognise: function shapes of an official state dict -> whether it belongs to this network.
    functions: functions by name.
    published: the authors' weights; None: nobody publishes any.
    scale: function (tensor, shape) -> mean and deviation of random weights that keep activations in range.
    """

    kind: str
    title: str
    config: type[Any]
    tensors: Callable[[Any], dict[str, Shape]]
    infer: Callable[[Shapes], Any]
    recognise: Callable[[Shapes], bool]
    functions: Mapping[str, Function]
    published: Published | None = None
    scale: Callable[[str, Shape], tuple[float, float]] = scale

    def function(self, name: str) -> Function:
        """Return a function by name. Raises KeyError for a name that the network does not have."""
        return self.functions[name]


def check_integers(config: Any) -> None:
    """Raise WeightsError unless every number of a config is an integer: files may hold anything."""
    pending = [(f.name, getattr(config, f.name)) for f in dataclasses.fields(config) if f.name != "table"]
    while pending:
        name, value = pending.pop()
        if isinstance(value, tuple):
            pending += [(name, inner) for inner in value]
        elif not isinstance(value, int) or isinstance(value, bool):
            raise WeightsError(f"config: {name} must hold integers, got {value!r:.40}")
