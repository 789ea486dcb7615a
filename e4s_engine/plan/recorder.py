"""Recorder: the networks' own functions, run once over symbols, become a static plan.

    plan = Plan("bf16")
    image = plan.pixels(1, 1024, 1024)
    labels = plan.labels(1, 512, 512, regions.COUNT)
    weights = plan.weights(registry.tensors(config), "rgi")
    styles = encode.encode_pixels(ops.record, image, labels, weights, config)
    plan.output(styles)
    print(fuse.fuse(plan))

A plan is a list of steps over buffers. The `record` functions of the ops append one step or a few per op;
`fuse.fuse` then turns them into steps of the runtime.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine.errors import BackendError

Array = npt.NDArray[np.float32]
Arrays = Mapping[str, Array]
Shape = tuple[int, ...]

VECTOR = 16  # channels that the kernels load and store together
# fp32 whose convolutions may take larger tiles of Winograd's form: faster, with some ten times the rounding.
WIDE = "fp32_wide"
TYPES = {"fp32": "f32", WIDE: "f32", "bf16": "bf16", "fp16": "f16"}
_BYTES = {"f32": 4, "bf16": 2, "f16": 2, "u8": 1}


@dataclasses.dataclass
class Buffer:
    """A tensor [N,H,W,C] in the arena, or the caller's memory where external >= 0."""

    shape: tuple[int, int, int, int]
    type: str
    halo: int = 0
    external: int = -1
    limit: int = 0

    @property
    def bytes(self) -> int:
        """Size in bytes: pixels are padded to 4 or a multiple of 16 channels, samples have a halo."""
        n, h, w, c = self.shape
        padded = c if self.external >= 0 or self.type == "u8" else 4 if c == 3 else -(-c // 16) * 16
        return n * (h + 2 * self.halo) * (w + 2 * self.halo) * padded * _BYTES[self.type]


@dataclasses.dataclass(frozen=True)
class Weight:
    """A tensor of a network, by name. `weight[0]` drops a leading axis of one."""

    plan: Plan
    network: str
    name: str
    shape: Shape

    @property
    def key(self) -> str:
        """Name that is unique among the tensors of all networks, which may share names."""
        return f"{self.network}/{self.name}"

    def __getitem__(self, index: int) -> Weight:
        if index != 0 or self.shape[0] != 1:
            raise IndexError(f"{self.name}: only [0] of a leading axis of one can be taken")
        return Weight(self.plan, self.network, self.name, self.shape[1:])

    def read(self, arrays: Arrays) -> Array:
        """Return its values."""
        return arrays[self.name].reshape(self.shape)


@dataclasses.dataclass(frozen=True)
class Conv:
    """Weights of a convolution, in the kernels' layout: kernel [O,I,k,k] times out_scale [O], in_scale [I].

    A kernel over volumes is [O,I,d,k,k].
    make: function arrays -> (kernel, out_scale or None, in_scale or None). form: name of the runtime's form
    that they are packed for.
    """

    key: tuple[str, ...]
    shape: Shape
    type: str
    make: Callable[[Arrays], tuple[Array, Array | None, Array | None]] = dataclasses.field(compare=False)
    form: str = "direct"


@dataclasses.dataclass(frozen=True)
class Vector:
    """Plain values for the kernels. make: function arrays -> values of any shape."""

    key: tuple[str, ...]
    make: Callable[[Arrays], Any] = dataclasses.field(compare=False)


@dataclasses.dataclass(frozen=True)
class Constant:
    """A value that is the same in every run; it becomes part of a step's weights and has no buffer."""

    key: tuple[str, ...]
    shape: Shape
    make: Callable[[Arrays], Array] = dataclasses.field(compare=False)


@dataclasses.dataclass
class Step:
    """Step of a plan: buffers, weights and numbers by the runtime's names."""

    kind: str
    buffers: dict[str, int]
    weights: dict[str, list[Conv | Vector]] = dataclasses.field(default_factory=dict)
    numbers: dict[str, float] = dataclasses.field(default_factory=dict)
    flop: float = 0


@dataclasses.dataclass(eq=False)
class Symbol:
    """A value of the network during recording: its shape in the network, and its buffer."""

    plan: Plan
    shape: Shape
    buffer: int

    @property
    def type(self) -> str:
        """Type of its values: "f32", "bf16", "f16" or "u8"."""
        return self.plan.buffers[self.buffer].type


@dataclasses.dataclass(eq=False, kw_only=True)
class Codes(Symbol):
    """Style codes [N,R,L,D]: the buffer holds the first `injected` layers, latent_avg the others.

    latent_avg: None where the buffer holds all layers.
    """

    injected: int
    latent_avg: Weight | None


class Plan:
    """Buffers and steps of one function of a network, for one batch size and precision."""

    def __init__(self, precision: str) -> None:
        self.precision, self.type = precision, TYPES[precision]
        self.buffers: list[Buffer] = []
        self.steps: list[Step] = []
        self.result: Shape = ()  # shape of the caller's result
        self._externals = 0

    def pixels(self, batch: int, height: int, width: int) -> Symbol:
        """Add an input of 8-bit pictures [N,H,W,3]."""
        buffer = self.external((batch, height, width, 3), "u8")
        return Symbol(self, (batch, height, width, 3), buffer)

    def labels(self, batch: int, height: int, width: int, regions: int) -> Symbol:
        """Add an input of label maps [N,H,W] with values below `regions`."""
        buffer = self.external((batch, height, width, 1), "u8", limit=regions)
        return Symbol(self, (batch, height, width), buffer)

    def vectors(self, batch: int, regions: int, length: int) -> Symbol:
        """Add an input of vectors per region [N,R,C]."""
        buffer = self.external((batch, 1, regions, length), "f32")
        return Symbol(self, (batch, regions, length), buffer)

    def maps(self, batch: int, height: int, width: int, channels: int) -> Symbol:
        """Add an input of feature maps [N,H,W,C], and a step that brings them into the arena."""
        buffer = self.external((batch, height, width, channels), "f32")
        shape = (batch, channels, height, width)
        return self.emit("copy", shape, {"x": Symbol(self, shape, buffer)}, stride=1, first=0)

    def weights(self, shapes: Mapping[str, Shape], network: str) -> dict[str, Weight]:
        """Return a network's tensors as symbols."""
        return {name: Weight(self, network, name, shape) for name, shape in shapes.items()}

    def external(self, shape: tuple[int, int, int, int], kind: str, limit: int = 0) -> int:
        """Add a buffer in the caller's memory and return its number; the caller passes them in this order."""
        self.buffers.append(Buffer(shape, kind, external=self._externals, limit=limit))
        self._externals += 1
        return len(self.buffers) - 1

    def output(self, x: Symbol) -> None:
        """Return x to the caller: maps as floats [N,H,W,C], vectors [N,R,C], bytes unchanged."""
        if self.buffers[x.buffer].external >= 0:
            self.result = x.shape
            return
        y = self.external(self.buffers[x.buffer].shape, "f32")
        self.result = self.buffers[y].shape if len(x.shape) == 4 else x.shape
        self.append(Step("copy", {"x": self.use(x), "y": y}, numbers={"stride": 1, "first": 0}))

    def emit(
        self,
        kind: str,
        shape: Shape,
        inputs: Mapping[str, Symbol],
        *,
        type: str = "",  # noqa: A002
        limit: int = 0,
        weights: Mapping[str, Conv | Vector | list[Conv | Vector] | None] | None = None,
        flop: float = 0,
        **numbers: float,
    ) -> Symbol:
        """Append a step that writes a new buffer; weights that are None are left out."""
        y = self.add_buffer(_layout(shape), type or self.type, limit)
        buffers = {name: self.use(symbol) for name, symbol in inputs.items()}
        listed = {n: w if isinstance(w, list) else [w] for n, w in (weights or {}).items() if w is not None}
        self.append(Step(kind, {**buffers, "y": y}, listed, dict(numbers), flop))
        return Symbol(self, shape, y)

    def add_buffer(self, shape: tuple[int, int, int, int], type_name: str, limit: int = 0) -> int:
        """Add a buffer in the arena and return its number."""
        self.buffers.append(Buffer(shape, type_name, limit=limit))
        return len(self.buffers) - 1

    def append(self, step: Step) -> Step:
        """Append a step and return it."""
        self.steps.append(step)
        return step

    def use(self, x: Symbol | Constant) -> int:
        """Return the buffer of a symbol that a step reads."""
        if isinstance(x, Constant):
            raise BackendError("plan: a constant was used where only a value can be")
        return x.buffer

    @property
    def flop(self) -> float:
        """Number of floating-point operations of its convolutions and linear layers."""
        return sum(step.flop for step in self.steps)

    def table(
        self, offset: Callable[[int], int] | None = None, form: Callable[[Step], str] | None = None
    ) -> str:
        """Format one line per step: kind, shape, type, GFLOP, bytes, and its offset in the arena if known.

        form: function step -> name of its form, for steps that have several.
        """
        lines = [f"{'step':<15}{'makes [N,H,W,C]':<24}{'type':<6}{'GFLOP':>8}{'MB':>9}{'offset':>12}"]
        for step in self.steps:
            index = step.buffers["y"]
            buffer = self.buffers[index]
            external = buffer.external >= 0
            where = "caller's" if external else str(offset(index)) if offset else ""
            shape = "x".join(map(str, buffer.shape))
            size = f"{buffer.bytes / 1e6:9.2f}"
            line = f"{step.kind:<15}{shape:<24}{buffer.type:<6}{step.flop / 1e9:8.2f}{size}{where:>12}"
            lines.append(f"{line}  {form(step) if form else ''}".rstrip())
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.table()


def _layout(shape: Shape) -> tuple[int, int, int, int]:
    """Convert a shape [N,C,H,W] to [N,H,W,C], or [N,R,C] to [N,1,R,C]."""
    if len(shape) == 4:
        n, c, h, w = shape
        return (n, h, w, c)
    n, r, c = shape
    return (n, 1, r, c)


def filled(value: float, count: int) -> Vector:
    """Return a vector of equal values."""
    return Vector(("filled", str(value), str(count)), lambda _: np.full(count, value, np.float32))


def conv_numbers(
    stride: int = 1,  # pixels of the input from one output pixel to the next
    pad: int = 0,  # width of the border around the input
    first: int = 0,  # first channel of the input
    to: int = 0,  # first channel of the output
    relu: bool = False,
    reflect: bool = False,  # whether the border mirrors the input; else it is zero
    depth: int = 1,  # slices of a volume, which are neighbouring samples of the input
    depth_pad: int = 0,  # slices of zeros before and after them
) -> dict[str, Any]:
    """Return the numbers of a conv2d step."""
    numbers = {"stride": stride, "pad": pad, "first": first, "to": to, "relu": relu, "reflect": reflect}
    return numbers | {"depth": depth, "depth_pad": depth_pad}


def vector(weight: Weight | None, *suffix: str) -> Vector | None:
    """Return the unchanged values of a weight, or None for None."""
    return None if weight is None else Vector((weight.key, *suffix), weight.read)


def unfoldable(what: str) -> BackendError:
    """Return the error for an op that the runtime has no step for."""
    return BackendError(f"plan: the native backend has no step for {what}")
