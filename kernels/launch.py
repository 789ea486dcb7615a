"""A plan's steps as launches (kernel, grid, arguments), for the graph builder and the tests.

A launch has one fixed shape: every size is a constant of the kernel, so its arguments are pointers (and the
number of samples where a tile holds several). On the GPU, feature maps have no halo, since kernels mask
accesses outside the map; pixels keep the plan's padding to 16 channels (pictures: 4), so loads stay aligned.

The file is longer than others, as it is all that a kernel's launches import, and no part works alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from e4s_engine.plan import Arrays, Buffer, Conv, Plan, Step, Vector

if TYPE_CHECKING:
    from .tiles import Problem, Table

SIZES = {"f32": 4, "bf16": 2, "f16": 2, "u8": 1, "i32": 4}


@dataclasses.dataclass(frozen=True)
class View:
    """Layout of a buffer in a kernel: [N,H,W,C] with `pixel` elements from one pixel to the next."""

    n: int
    h: int
    w: int
    c: int
    pixel: int
    type: str

    @property
    def pixels(self) -> int:
        """Return the number of pixels of one sample."""
        return self.h * self.w

    @property
    def bytes(self) -> int:
        """Return the size in bytes."""
        return self.n * self.pixels * self.pixel * SIZES[self.type]


def view(buffer: Buffer) -> View:
    """Return the layout of a plan's buffer on the GPU."""
    n, h, w, c = buffer.shape
    dense = buffer.external >= 0 or buffer.type == "u8"
    return View(n, h, w, c, c if dense else 4 if c == 3 else padded(c), buffer.type)


def padded(channels: int) -> int:
    """Round a number of channels up to a multiple of 16."""
    return -(-channels // 16) * 16


def power(count: int, low: int = 1, high: int = 1 << 30) -> int:
    """Return the smallest power of two >= `count`, clamped to bounds that are powers of two themselves."""
    return min(max(1 << (count - 1).bit_length(), low), high)


def blocks(count: int, block: int) -> int:
    """Return the number of blocks that cover `count`."""
    return -(-count // block)


@dataclasses.dataclass(frozen=True)
class Packed:
    """Weights in a kernel's layout.

    type: storage type. make: function from the model's arrays to float values.
    """

    key: tuple[str, ...]
    type: str
    make: Callable[[Arrays], Any] = dataclasses.field(compare=False)

    def values(self, arrays: Arrays) -> np.ndarray:
        """Return the stored values: float32, float16, or the upper halves of float32 (bf16) as uint16."""
        floats = np.ascontiguousarray(self.make(arrays), np.float32)
        if self.type == "f32":
            return floats
        if self.type == "f16":
            return floats.astype(np.float16)
        bits = floats.view(np.uint32)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


@dataclasses.dataclass(frozen=True)
class Operand:
    """A block of the arena (or of the caller's memory), starting at element `offset`."""

    block: int
    type: str
    offset: int = 0


Argument = Operand | Packed | None


@dataclasses.dataclass(frozen=True)
class Tile:
    """Warps of a program, its loads in flight (pipeline stages), and use of the first-level cache.

    cached: load a product's left operand through that cache, for kernels that read a pixel several times.
    """

    warps: int = 4
    stages: int = 3
    cached: bool = False


@dataclasses.dataclass
class Launch:
    """One kernel call.

    kernel: "module.function" in this package. pointers: arguments by parameter, in order; parameters that are
    None are compiled out. writes: pointers that the kernel writes. constants: all other parameters. grid:
    programs over x and y; z covers the batch, `samples` to a program. count: whether the kernel takes the
    number of samples as `count`.
    """

    kernel: str
    pointers: dict[str, Argument]
    writes: tuple[str, ...]
    constants: dict[str, Any]
    grid: tuple[int, int]
    batch: int
    samples: int = 1
    count: bool = False
    tile: Tile = dataclasses.field(default_factory=Tile)
    problem: Problem | None = None  # the product whose tile the tuner may replace

    @property
    def programs(self) -> tuple[int, int, int]:
        """Return the whole grid (x, y, z)."""
        return (*self.grid, blocks(self.batch, self.samples))


class Program:
    """A plan's launches and the memory blocks they share: the plan's buffers, then temporaries."""

    def __init__(
        self, plan: Plan, precision: str = "", table: Table | None = None, boxed: bool = False
    ) -> None:
        """Build the launches of every step.

        precision: arithmetic of 32-bit products, "ieee" or "tf32"; "" is ieee in fp32 plans, else tf32.
        table: measured tiles. boxed: whether only a box of the picture is computed, see box.py; it lies in
        the block `box`, int32 [N,4].
        """
        from . import module

        self.plan = plan
        self.table = table or {}
        self.precision = precision or ("ieee" if plan.type == "f32" else "tf32")
        self.views = [view(buffer) for buffer in plan.buffers]
        self.bytes = [v.bytes for v in self.views]
        self.launches: list[Launch] = []
        self.steps: list[Step] = []  # the step of each launch
        self.sums: dict[int, Sums] = {}  # by the buffer whose channels they describe
        self.partial: dict[int, Partial] = {}  # by the buffer that they replace
        self.planes: dict[int, Operand] = {}  # Winograd's, by the buffer that they stand beside
        self.absorbed: set[int] = set()  # steps computed by the launches of an earlier step
        self.box: Operand | None = None
        if boxed:
            self.box = Operand(len(self.bytes), "i32")
            self.bytes.append(self.views[-1].n * 4 * SIZES["i32"])
        for index in order(plan):
            step = plan.steps[index]
            if index in self.absorbed:
                continue
            launches = getattr(module(step.kind), f"launch_{step.kind}")(Context(self, step))
            self.launches += launches
            self.steps += [step] * len(launches)

    def insert(self, launches: list[Launch], step: Step) -> None:
        """Add a step's launches as early as what they read is written: see `order`."""
        read = {
            p.block
            for launch in launches
            for name, p in launch.pointers.items()
            if isinstance(p, Operand) and name not in launch.writes
        }
        written = [
            any(isinstance(p := launch.pointers[name], Operand) and p.block in read for name in launch.writes)
            for launch in self.launches
        ]
        at = max((i + 1 for i, yes in enumerate(written) if yes), default=0)
        self.launches[at:at] = launches
        self.steps[at:at] = [step] * len(launches)

    def moved(self, launch: Launch, arrays: Arrays) -> int:
        """Return the bytes that a launch moves if it touches each operand once."""
        operands = {p.block for p in launch.pointers.values() if isinstance(p, Operand)}
        weights = [p.values(arrays).nbytes for p in launch.pointers.values() if isinstance(p, Packed)]
        return sum(self.bytes[block] for block in operands) + sum(weights)

    def packed(self) -> dict[Packed, None]:
        """Return every weight that the launches read, once each, in order (the dict's keys)."""
        pointers = (p for launch in self.launches for p in launch.pointers.values())
        return dict.fromkeys(p for p in pointers if isinstance(p, Packed))


@dataclasses.dataclass(frozen=True)
class Sums:
    """Mean and squared deviations of each channel per part of a feature map: [n, parts, 2, padded].

    length: pixels of a part; the last one may have fewer.
    """

    operand: Operand
    parts: int
    length: int


@dataclasses.dataclass(frozen=True)
class Partial:
    """Sums over parts of a product's depth that replace a buffer: [n, parts, pixels, padded].

    parts: their number, or `partial.PLANES` for sums of Winograd's planes, [n, planes, tiles, padded].
    """

    operand: Operand
    parts: int


def order(plan: Plan) -> list[int]:
    """Return the launch order of the steps: those on styles and labels alone go as early as possible.

    Memory is placed by this order, and launches wait for each other where they share memory: a small step
    right before the layer that needs it would reuse the previous layer's memory and wait for that layer.
    """
    writers: dict[int, list[int]] = {}
    for index, step in enumerate(plan.steps):
        writers.setdefault(step.buffers["y"], []).append(index)
    waiting = [index for index, step in enumerate(plan.steps) if _is_small(plan, step)]
    large = [index for index in range(len(plan.steps)) if index not in set(waiting)]
    sequence: list[int] = []

    def needs(index: int) -> set[int]:
        read = (b for role, b in plan.steps[index].buffers.items() if role != "y")
        return {w for b in read for w in writers.get(b, []) if w != index}

    def release() -> None:
        for small in list(waiting):
            if needs(small) <= set(sequence):
                sequence.append(small)
                waiting.remove(small)

    release()
    for index in large:
        sequence.append(index)
        release()
    return sequence


def _is_small(plan: Plan, step: Step) -> bool:
    """Return whether a step works on vectors or labels alone."""
    buffers = [plan.buffers[b] for b in step.buffers.values()]
    return all(b.shape[1] == 1 or b.type == "u8" for b in buffers) and step.kind != "to_uint8"


class Context:
    """A step's view for the functions that build its launches."""

    def __init__(self, program: Program, step: Step) -> None:
        self.step = step
        self.precision = program.precision
        self._program = program

    @property
    def table(self) -> Table:
        """Return the measured tiles."""
        return self._program.table

    def readers(self, name: str) -> list[tuple[int, Step, str]] | None:
        """Return the readers of a buffer as (index, step, role); None if the caller reads it too."""
        plan, buffer = self._program.plan, self.step.buffers[name]
        if plan.buffers[buffer].external >= 0:
            return None
        return [
            (index, step, role)
            for index, step in enumerate(plan.steps)
            for role, read in step.buffers.items()
            if read == buffer and role != "y"
        ]

    def sums(self, name: str) -> Sums | None:
        """Return the channel sums of a buffer that an earlier step computed, or None."""
        return self._program.sums.get(self.step.buffers[name])

    def add_sums(self, name: str, parts: int, length: int) -> Operand:
        """Allocate memory for the channel sums of a buffer that this step writes."""
        y = self.view(name)
        operand = self.temporary(y.n * parts * 2 * padded(y.c))
        self._program.sums[self.step.buffers[name]] = Sums(operand, parts, length)
        return operand

    def partial(self, name: str) -> Partial | None:
        """Return the partial sums that replace a buffer, or None."""
        return self._program.partial.get(self.step.buffers[name])

    def add_partial(self, name: str, parts: int, operand: Operand | None = None) -> Operand:
        """Let partial sums replace a buffer, which nothing writes then; operand: their memory, or new one."""
        operand = operand or self.partials(name, parts)
        self._program.partial[self.step.buffers[name]] = Partial(operand, parts)
        return operand

    def partials(self, name: str, parts: int) -> Operand:
        """Allocate memory for partial sums of a buffer."""
        y = self.view(name)
        return self.temporary(y.n * parts * y.pixels * padded(y.c))

    def planes(self, name: str) -> Operand | None:
        """Return Winograd's planes of a buffer, or None."""
        return self._program.planes.get(self.step.buffers[name])

    def add_planes(self, name: str) -> Operand:
        """Allocate memory for Winograd's planes of a buffer, four times its size."""
        y = self.view(name)
        operand = self.temporary(4 * y.n * y.pixels * y.c, y.type)
        self._program.planes[self.step.buffers[name]] = operand
        return operand

    def reader(self, index: int) -> Context:
        """Return the context of a later step."""
        return Context(self._program, self._program.plan.steps[index])

    def absorb(self, index: int) -> Context:
        """Return the context of a later step that this step's launches compute as well."""
        self._program.absorbed.add(index)
        return self.reader(index)

    def early(self, launches: list[Launch]) -> None:
        """Add launches on small operands that earlier steps made: see `order`."""
        self._program.insert(launches, self.step)

    def has(self, name: str) -> bool:
        """Return whether the step has this buffer or weight."""
        return name in self.step.buffers or name in self.step.weights

    def view(self, name: str) -> View:
        """Return a buffer's layout."""
        return self._program.views[self.step.buffers[name]]

    def buffer(self, name: str, offset: int = 0) -> Operand | None:
        """Return a buffer as an argument; None if the step has none of that name."""
        if name not in self.step.buffers:
            return None
        return Operand(self.step.buffers[name], self.view(name).type, offset)

    @property
    def box(self) -> Operand | None:
        """Return the block of the box that is computed; None: everything is."""
        return self._program.box

    def limit(self, name: str) -> int:
        """Return the exclusive upper bound of a buffer's labels."""
        return self._program.plan.buffers[self.step.buffers[name]].limit

    def flag(self, name: str) -> bool:
        """Return a number of the step that is 0 or 1 as a bool; False if it is absent."""
        return bool(self.step.numbers.get(name, 0))

    def integer(self, name: str) -> int:
        """Return a number of the step as an int."""
        return int(self.step.numbers[name])

    def real(self, name: str) -> float:
        """Return a number of the step as a float."""
        return float(self.step.numbers[name])

    def vector(self, name: str) -> Packed | None:
        """Return plain values in fp32; None if the step has none of that name."""
        if name not in self.step.weights:
            return None
        values = self.step.weights[name][0]
        assert isinstance(values, Vector)
        return Packed((*values.key, "plain"), "f32", values.make)

    def vectors(self, name: str) -> Packed:
        """Return a list of vectors as one stacked array."""
        listed = self.step.weights[name]
        key = tuple(part for values in listed for part in values.key)
        return Packed(
            (*key, "plain"), "f32", lambda arrays: np.stack([np.asarray(v.make(arrays)) for v in listed])
        )

    def conv(self, name: str, depth: int, index: int = 0) -> Packed:
        """Return a convolution's weights as [taps, depth, outputs padded to 16]: the GEMM's right operand."""
        conv = self.step.weights[name][index]
        assert isinstance(conv, Conv)
        return Packed((*conv.key, f"taps{depth}"), conv.type, lambda arrays: taps(conv, arrays, depth))

    def temporary(self, count: int, kind: str = "f32") -> Operand:
        """Allocate memory that lives from the first launch that uses it to the last one."""
        self._program.bytes.append(count * SIZES[kind])
        return Operand(len(self._program.bytes) - 1, kind)


def kernel_of(conv: Conv, arrays: Arrays) -> np.ndarray:
    """Return a convolution's weights [O,I,k,k] or [O,I,d,k,k] with its scales multiplied in."""
    kernel, out_scale, in_scale = conv.make(arrays)
    rest = (1,) * (kernel.ndim - 2)
    if out_scale is not None:
        kernel = kernel * np.asarray(out_scale).reshape(-1, 1, *rest)
    return kernel if in_scale is None else kernel * np.asarray(in_scale).reshape(1, -1, *rest)


def taps(conv: Conv, arrays: Arrays, depth: int) -> np.ndarray:
    """Return a convolution's scaled weights as [taps, depth, O padded], zero in the padding."""
    return gemm_layout(kernel_of(conv, arrays), depth)


def gemm_layout(kernel: np.ndarray, depth: int) -> np.ndarray:
    """Lay out [O,I,k,k] or [O,I,d,k,k] as [taps, depth, O padded], zero in the padding."""
    outputs, inputs = kernel.shape[:2]
    by_tap = kernel.reshape(outputs, inputs, -1).transpose(2, 1, 0)
    laid_out = np.zeros((len(by_tap), depth, padded(outputs)), np.float32)
    laid_out[:, :inputs, :outputs] = by_tap
    return laid_out


def constants(**values: Any) -> dict[str, Any]:
    """Return a kernel's constants by their upper-case parameter names."""
    return {name.upper(): value for name, value in values.items()}
