"""Backend for NVIDIA GPUs: recorded plans, Triton kernels as cubins, one CUDA graph per call.

No Python runs between the kernels, and PyTorch is not used. Kernels come from the cache on disk, or all cores
compile them for the installed card at the first call that needs them, which may take minutes
(`python -m e4s_engine.backends.cuda.ahead` does it before).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine import _native
from e4s_engine.backends import Swapper
from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.backends.cuda import graph as graphs
from e4s_engine.backends.cuda import measured, workers
from e4s_engine.backends.cuda import swap as swaps
from e4s_engine.backends.cuda.instances import Instances
from e4s_engine.backends.cuda.memory import Memory
from e4s_engine.backends.cuda.swap import Recipe
from e4s_engine.backends.cuda.swapper import IN_FLIGHT, MOST_AT_ONCE, GraphSwapper
from e4s_engine.backends.plans import Loaded, Planned, result_of, unpacked
from e4s_engine.kernels.launch import Program
from e4s_engine.networks.network import Function, Shape
from e4s_engine.plan import Array, Plan
from e4s_engine.weights import Model

logger = logging.getLogger("e4s_engine")

_IDLE_BYTES = 256 << 20  # of main memory that wait for the next results: 32 swaps


class Linker:
    """Numbers of a device's kernels and weights, each loaded once."""

    def __init__(self, device: _native.CudaDevice) -> None:
        self.device = device
        self._kernels: dict[str, int] = {}
        self._weights: dict[Any, int] = {}

    def ready(self, launches: list[Any]) -> None:
        """Compile the kernels of launches that are neither on the device nor on disk."""
        arch = self.device.arch
        workers.ready([one for one in launches if compiling.key(one, arch) not in self._kernels], arch)

    def kernel(self, launch: Any) -> int:
        """Return the number of a launch's kernel; compile and load it if needed."""
        key = compiling.key(launch, self.device.arch)
        if key not in self._kernels:
            manifest, cubin = compiling.get(launch, self.device.arch)
            sizes = {name: manifest[name] for name in ("shared", "warps", "scratch")}
            self._kernels[key] = self.device.add_kernel(manifest["entry"], cubin, **sizes)
        return self._kernels[key]

    def weight(self, packed: Any) -> int:
        """Return the number of weights that `add` has loaded."""
        return self._weights[packed]

    def add(self, program: Any, arrays: Mapping[str, Array]) -> None:
        """Load the weights of a program that are not on the device yet."""
        for packed in program.packed():
            if packed not in self._weights:
                try:
                    self._weights[packed] = self.device.add_weight(packed.values(arrays))
                except KeyError as error:
                    raise unpacked(error) from error


def graph_of(linker: Linker, program: Any, launches: list[Any] | None = None) -> _native.CudaGraph:
    """Build a graph of a program or of some of its launches; slots are the plan's externals by number."""
    externals = [v for v, b in zip(program.views, program.plan.buffers, strict=False) if b.external >= 0]
    slots = {number: number for number in range(len(externals))}
    linker.ready(program.launches if launches is None else launches)
    part = graphs.part(program, slots, (linker.kernel, linker.weight), launches)
    return _native.CudaGraph(linker.device, [view.bytes for view in externals], [part])


def swap_graph(linker: Linker, swap: Any) -> _native.CudaGraph:
    """Build the graph of a swap, whose weights must be loaded. Slots: see swap.py."""
    linker.ready(swap.launches())
    parts = swap.parts((linker.kernel, linker.weight))
    return _native.CudaGraph(linker.device, swap.sizes, parts)


def run_program(linker: Linker, program: Any, inputs: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Run a program once: copy `inputs` to its first externals, return the last one."""
    last = program.plan.buffers[-1]
    out = np.empty(last.shape, np.uint8 if last.type == "u8" else np.float32)
    arrays = {i: np.ascontiguousarray(array) for i, array in enumerate(inputs)}
    graph_of(linker, program).run(arrays, {len(inputs): out})
    return out


class _Layers:
    """The relighting layers in the form that `Linker.add` takes."""

    def packed(self) -> dict[Any, None]:
        return dict.fromkeys(swaps.relighting_layers().values())


@dataclasses.dataclass(frozen=True)
class Bound:
    """A graph, and the plan that it runs; None for the swap's."""

    plan: Plan | None
    graph: _native.CudaGraph


class Cuda(Planned):
    """Networks on one GPU."""

    name = "native"

    def __init__(self, device: str, precision: str = "auto") -> None:
        """Open the device. Raises BackendError if there is no driver, no such device or no kernel for it."""
        number = int(device.partition(":")[2] or 0)
        self.device = f"cuda:{number}"
        super().__init__("bf16" if precision == "auto" else precision)
        self.linker = Linker(_native.CudaDevice(number))
        card = self.linker.device
        self._table = measured.shipped(card.arch) | measured.load(card.name)
        self._graphs: Instances[Bound] = Instances(IN_FLIGHT)
        self.memory = Memory(_IDLE_BYTES)
        logger.info("engine: %s, sm_%d", card.name, card.arch)

    @property
    def swapper(self) -> Swapper:
        """Return what swaps in one graph."""
        return GraphSwapper(self)

    def load(self, network: str, model: Model) -> None:
        """Load a model as `Planned` does, and its relighting layers, which are in no plan of it."""
        if network == "rgi" and model.config.relight:
            self.linker.add(_Layers(), model.tensors)
        super().load(network, model)

    def swap_graph(self, recipe: Recipe, batch: int) -> AbstractContextManager[Bound]:
        """Lend a graph of `batch` swaps."""

        def build() -> Bound:
            swap = swaps.record(self._network("rgi").config, self.precision, batch, self._table, recipe)
            self.linker.add(swap, self._network("rgi").tensors)
            return Bound(None, swap_graph(self.linker, swap))

        return self._graphs.use(("swap", recipe, batch), build)

    def encode_graph(self, batch: int) -> AbstractContextManager[Bound]:
        """Lend a graph of `batch` encodes of crops."""
        loaded = self._network("rgi")
        shapes = tuple((batch, *shape) for shape in loaded.network.function("encode").examples(loaded.config))
        return self._graph(loaded, "encode", shapes)

    @property
    def model(self) -> Any:
        """Return the config of the generator."""
        return self._network("rgi").config

    def describe(self) -> str:
        """Return the plans at the published input sizes, as tables."""
        parts = []
        for name, plan in self._examples():
            launches = len(self._program(plan).launches)
            head = f"{name}: {plan.flop / 1e9:.1f} GFLOP, {plan.precision}, {launches} launches"
            parts.append(f"{head}\n{plan.table()}")
        return "\n\n".join(parts)

    def time(self, network: str, function: str, arrays: Sequence[npt.NDArray[Any]], runs: int) -> float:
        """Return milliseconds of one launch of a function's graph over these inputs, by device events."""
        loaded = self._network(network)
        with self._graph(loaded, function, tuple(array.shape for array in arrays)) as bound:
            bound.graph.run(dict(enumerate(arrays)), {})
            return bound.graph.time(runs)

    def _program(self, plan: Plan) -> Any:
        return Program(plan, table=self._table)

    def _pack(self, plan: Plan, arrays: Mapping[str, Array]) -> None:
        self.linker.add(self._program(plan), arrays)

    def _run(
        self, loaded: Loaded, name: str, arrays: list[npt.NDArray[Any]], out: npt.NDArray[Any] | None
    ) -> npt.NDArray[Any]:
        with self._graph(loaded, name, tuple(array.shape for array in arrays)) as bound:
            assert bound.plan is not None
            out = result_of(bound.plan) if out is None else out
            bound.graph.run(dict(enumerate(arrays)), {len(arrays): out})
        return out

    def _graph(self, loaded: Loaded, name: str, shapes: tuple[Shape, ...]) -> AbstractContextManager[Bound]:
        def build() -> Bound:
            plan = self._record(loaded, name, shapes)
            program = self._program(plan)
            self.linker.add(program, loaded.tensors)
            return Bound(plan, graph_of(self.linker, program))

        return self._graphs.use((loaded.network.kind, name, shapes), build)

    def _precision_of(self, function: Function) -> str:
        return function.on_cuda(self.precision)

    def _at_once(self, function: Function) -> int:
        return MOST_AT_ONCE
