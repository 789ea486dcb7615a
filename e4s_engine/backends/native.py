"""Native backend: networks as recorded plans on the compiled runtime, without PyTorch."""

from __future__ import annotations

import dataclasses
import math
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine import _native
from e4s_engine._forks import Lock
from e4s_engine.backends import Swapper
from e4s_engine.backends.plans import Loaded, Planned, result_of, unpacked
from e4s_engine.errors import BackendError
from e4s_engine.networks.network import Function, Shape
from e4s_engine.plan import WIDE, Array, Conv, Plan, Step, Vector
from e4s_engine.weights import progress

ISA_VARIABLE = "E4S_ISA"
_MOST_PLANS = 12  # number of cached plans, each with its arenas; the least recently used go first


class WeightStore:
    """Weights in the kernels' layouts, packed once and shared by all plans that name them."""

    def __init__(self, isa: str = "", direct: bool = False) -> None:
        """isa: instruction set that convolutions are packed for, as in `_native.kernels`.

        direct: flag that packs every convolution in the direct form, for comparisons with the others.
        """
        self.packed = _native.Weights()
        self._isa, self._direct = isa, direct
        self._numbers: dict[Conv | Vector, int] = {}

    def of(self, plan: Plan, step: Step) -> dict[str, list[Conv | Vector]]:
        """Return a step's weights by name, with its convolution in the form that the runtime wants."""
        form = self.form(plan, step)
        if not form:
            return step.weights
        return step.weights | {
            "kernel": [dataclasses.replace(kernel, form=form) for kernel in _slices_of(step)]
        }

    def form(self, plan: Plan, step: Step) -> str:
        """Return the form of a step's convolution; "" for other steps."""
        if "kernel" not in step.weights:
            return ""
        if self._direct:
            return "direct"
        kernel = _slices_of(step)[0]
        x, y = (plan.buffers[step.buffers[name]].shape for name in ("x", "y"))
        first = int(step.numbers.get("first", 0))
        wide = plan.precision == WIDE and step.kind == "conv2d"
        return _native.conv_form(self._isa, kernel.shape, kernel.type, x, y, first, wide)

    def add(self, plan: Plan, arrays: Mapping[str, Array]) -> None:
        """Pack the plan's weights that are not packed yet, one tensor after the other."""
        wanted = [w for step in plan.steps for listed in self.of(plan, step).values() for w in listed]
        missing = dict.fromkeys(weight for weight in wanted if weight not in self._numbers)
        for weight in progress(list(missing), "Loading weights"):
            try:
                self._numbers[weight] = self._pack(weight, arrays)
            except KeyError as error:
                raise unpacked(error) from error

    def number(self, weight: Conv | Vector) -> int:
        """Return the runtime's number of a weight."""
        return self._numbers[weight]

    def _pack(self, weight: Conv | Vector, arrays: Mapping[str, Array]) -> int:
        if isinstance(weight, Vector):
            return self.packed.add_vector(np.ascontiguousarray(weight.make(arrays), dtype=np.float32))
        kernel, out_scale, in_scale = weight.make(arrays)
        by_row, by_column = (
            None if s is None else np.ascontiguousarray(s, np.float32) for s in (out_scale, in_scale)
        )
        values = np.ascontiguousarray(kernel, np.float32)
        return self.packed.add_conv(values, by_row, by_column, weight.type, weight.form)


def _kernel_of(step: Step) -> Conv:
    (kernel,) = step.weights["kernel"]
    assert isinstance(kernel, Conv)
    return kernel


def _slices_of(step: Step) -> list[Conv]:
    """Return a step's kernel as those of single slices: one for maps, several for volumes."""
    kernel = _kernel_of(step)
    if len(kernel.shape) == 4:
        return [kernel]
    outputs, inputs, depth, *sides = kernel.shape

    def part(arrays: Mapping[str, Array], number: int) -> tuple[Array, Array | None, Array | None]:
        whole, out_scale, in_scale = kernel.make(arrays)
        return whole[:, :, number], out_scale, in_scale

    return [
        Conv((*kernel.key, f"slice{i}"), (outputs, inputs, *sides), kernel.type, partial(part, number=i))
        for i in range(depth)
    ]


def compile_plan(plan: Plan, store: WeightStore, isa: str = "", **options: Any) -> _native.Plan:
    """Compile a plan in the runtime, which checks it. options: threads, guard, poison."""
    return _native.Plan(*described(plan, store), store.packed, isa, **options)


def described(plan: Plan, store: WeightStore) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return buffers and steps as the dicts that the binding expects."""
    buffers = [dict(vars(buffer)) for buffer in plan.buffers]
    steps = [
        {
            "kind": step.kind,
            "buffers": dict(step.buffers),
            "weights": {n: [store.number(w) for w in listed] for n, listed in store.of(plan, step).items()},
            "numbers": {name: float(value) for name, value in step.numbers.items()},
        }
        for step in plan.steps
    ]
    return buffers, steps


@dataclasses.dataclass(frozen=True)
class _Compiled:
    """A plan and its compiled form."""

    plan: Plan
    runtime: _native.Plan


class Native(Planned):
    """Networks on the CPU, as compiled plans."""

    name = "native"
    device = "cpu"
    in_boxes = True
    swapper: Swapper | None = None  # on the CPU one plan for the whole swap gains nothing

    def __init__(self, precision: str = "auto", isa: str | None = None, threads: int = 0) -> None:
        """precision: precision of functions that choose none themselves; "auto": bf16 if the kernels have it.

        isa: "portable", "avx2", "avx512" or "amx"; None: the one in E4S_ISA, else the best.
        threads: number of threads; 0: all.
        """
        self._isa = os.environ.get(ISA_VARIABLE, "") if isa is None else isa
        self.isa, has_bf16 = _native.kernels(self._isa)
        super().__init__(_choose_precision(precision, has_bf16, self.isa))
        self._threads = threads
        self._store = WeightStore(self._isa)
        self._plans: OrderedDict[tuple[Any, ...], _Compiled] = OrderedDict()
        self._lock = Lock()  # plans and weights are complete wherever a fork may come

    def describe(self) -> str:
        """Return the plans at the published input sizes as tables, and arena sizes with and without reuse."""
        parts = []
        for name, plan in self._examples():
            compiled = compile_plan(plan, self._store, self._isa)
            arena, apart = compiled.arena_bytes / 1e6, compiled.unshared_bytes / 1e6
            head = f"{name}: {plan.flop / 1e9:.1f} GFLOP, {plan.precision}, {compiled.isa}, "
            table = plan.table(compiled.offset, partial(self._store.form, plan))
            parts.append(head + f"arena {arena:.1f} MB ({apart:.1f} MB without reuse)\n{table}")
        return "\n\n".join(parts)

    def share(self, network: str, function: str, box: Sequence[int]) -> float:
        """Return the part of a function's multiplications that a box of its map takes."""
        loaded = self._network(network)
        shapes = loaded.network.function(function).examples(loaded.config)
        plan = self._record(loaded, function, [(1, *shape) for shape in shapes])
        computed = compile_plan(plan, self._store, self._isa).boxes(list(box))
        parts = (
            step.flop
            * (bottom - top)
            * (right - left)
            / math.prod(plan.buffers[step.buffers["y"]].shape[1:3])
            for step, (top, left, bottom, right) in zip(plan.steps, computed, strict=True)
        )
        return sum(parts) / plan.flop

    def _pack(self, plan: Plan, arrays: Mapping[str, Array]) -> None:
        self._store.add(plan, arrays)

    def _run(
        self, loaded: Loaded, name: str, arrays: list[npt.NDArray[Any]], out: npt.NDArray[Any] | None
    ) -> npt.NDArray[Any]:
        return self._run_box(loaded, name, arrays, out, None)

    def _run_box(
        self,
        loaded: Loaded,
        name: str,
        arrays: list[npt.NDArray[Any]],
        out: npt.NDArray[Any] | None,
        box: Sequence[int] | None,
    ) -> npt.NDArray[Any]:
        compiled = self._plan(loaded, name, tuple(array.shape for array in arrays))
        out = result_of(compiled.plan) if out is None else out
        compiled.runtime.run([*arrays, out], box=box)
        return out

    def _plan(self, loaded: Loaded, name: str, shapes: tuple[Shape, ...]) -> _Compiled:
        key = (loaded.network.kind, name, shapes)
        with self._lock:
            if key not in self._plans:
                plan = self._record(loaded, name, shapes)
                self._store.add(plan, loaded.tensors)
                runtime = compile_plan(plan, self._store, self._isa, threads=self._threads)
                self._plans[key] = _Compiled(plan, runtime)
                while len(self._plans) > _MOST_PLANS:
                    self._plans.popitem(last=False)  # running calls hold a reference to theirs
            self._plans.move_to_end(key)
            return self._plans[key]

    def _precision_of(self, function: Function) -> str:
        return function.on_cpu(self.precision)

    def _at_once(self, function: Function) -> int:
        return function.at_once


def _choose_precision(precision: str, has_bf16: bool, isa: str) -> str:
    if precision == "auto":
        return "bf16" if has_bf16 else "fp32"
    if precision == "fp16":
        raise BackendError("precision: fp16 needs a GPU; on the CPU use 'fp32' or 'bf16'")
    if precision == "bf16" and not has_bf16:
        raise BackendError(
            f"precision: bf16 needs AVX512_BF16 or AMX, the kernels chosen here are {isa}; use 'fp32'"
        )
    return precision
