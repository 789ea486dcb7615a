"""The networks on the compiled runtime: recorded plans, own kernels, no PyTorch."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine import _native, parse, regions
from e4s_engine.backends import Bytes, Floats, WholeSwaps
from e4s_engine.backends.plans import published, record_decode, record_encode, record_parse
from e4s_engine.config import ModelConfig
from e4s_engine.errors import BackendError
from e4s_engine.plan import Array, Conv, Plan, Vector
from e4s_engine.weights import Model, progress

ISA_VARIABLE = "E4S_ISA"
# In bf16 a noise picture keeps 99.1% of its labels: every layer adds a little, none can be singled out. In
# fp32 a picture costs 0.07 s more of one core, and labels do not depend on the precision that was chosen.
PARSER_PRECISION = "fp32"
_MOST_AT_ONCE = {"encode": 2, "decode": 1, "parse": 2}  # more only cost memory: one picture fills the cores


class WeightStore:
    """Weights in the kernels' layouts, packed once and shared by all plans that name the same."""

    def __init__(self) -> None:
        self.packed = _native.Weights()
        self._numbers: dict[Conv | Vector, int] = {}

    def add(self, plan: Plan, arrays: Mapping[str, Array]) -> None:
        """Pack what the plan reads and is not packed yet, one tensor after the other."""
        missing = dict.fromkeys(weight for weight in plan.packed() if weight not in self._numbers)
        for weight in progress(list(missing), "Loading weights"):
            self._numbers[weight] = self._pack(weight, arrays)

    def number(self, weight: Conv | Vector) -> int:
        """The number the runtime knows a weight by."""
        return self._numbers[weight]

    def _pack(self, weight: Conv | Vector, arrays: Mapping[str, Array]) -> int:
        if isinstance(weight, Vector):
            return self.packed.add_vector(np.ascontiguousarray(weight.make(arrays), dtype=np.float32))
        kernel, out_scale, in_scale = weight.make(arrays)
        by_row, by_column = (
            None if s is None else np.ascontiguousarray(s, np.float32) for s in (out_scale, in_scale)
        )
        return self.packed.add_conv(np.ascontiguousarray(kernel, np.float32), by_row, by_column, weight.type)


def compile_plan(plan: Plan, store: WeightStore, isa: str = "", **options: Any) -> _native.Plan:
    """Hand a plan to the runtime, which checks all of it. options: threads, guard, poison."""
    return _native.Plan(*described(plan, store), store.packed, isa, **options)


def described(plan: Plan, store: WeightStore) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Buffers and steps as the binding takes them."""
    buffers = [dict(vars(buffer)) for buffer in plan.buffers]
    steps = [
        {
            "kind": step.kind,
            "buffers": dict(step.buffers),
            "weights": {name: [store.number(w) for w in listed] for name, listed in step.weights.items()},
            "numbers": {name: float(value) for name, value in step.numbers.items()},
        }
        for step in plan.steps
    ]
    return buffers, steps


class Native:
    """Encoder, generator and parser on the CPU."""

    name = "native"
    device = "cpu"
    whole: WholeSwaps | None = None  # on the CPU nothing is gained by one plan for all

    def __init__(
        self,
        model: Model,
        parser: Model | None,
        precision: str = "auto",
        isa: str | None = None,
        threads: int = 0,
    ) -> None:
        """precision: of encoder and generator, "auto": bf16 where the kernels have it; the parser is fp32.

        isa: "portable", "avx2", "avx512" or "amx"; None: what E4S_ISA names, else the best. threads: 0: all.
        """
        assert isinstance(model.config, ModelConfig)
        self._isa = os.environ.get(ISA_VARIABLE, "") if isa is None else isa
        self.isa, has_bf16 = _native.kernels(self._isa)
        self.precision = _choose_precision(precision, has_bf16, self.isa)
        self._threads = threads
        self._config = model.config
        self._parser_config = parser.config if parser else None
        self._store = WeightStore()
        self._plans: dict[tuple[Any, ...], _native.Plan] = {}
        self._lock = threading.Lock()
        # All weights are packed now, so that the model's own arrays need not be kept.
        for name, plan in self._published_plans().items():
            owner = parser if name == "parse" else model
            assert owner is not None
            self._store.add(plan, owner.tensors)
        for owner in filter(None, (model, parser)):
            owner.check()

    def encode(self, images: Bytes, labels: Bytes) -> Floats:
        """Aligned crops [N,1024,1024,3] and labels [N,512,512] -> style vectors [N,12,D]."""
        height, width = images.shape[1:3]

        def record(batch: int) -> Plan:
            return record_encode(self._config, self.precision, batch, height, width)

        styles = np.empty((len(images), regions.COUNT, self._config.style_dim), np.float32)
        self._run("encode", (height, width), record, [images, labels], styles)
        return styles

    def decode(self, styles: Floats, labels: Bytes) -> Floats:
        """Style vectors [N,12,D] and labels [N,512,512] -> images [N,S,S,3], unclamped."""

        def record(batch: int) -> Plan:
            return record_decode(self._config, self.precision, batch)

        pictures = np.empty((len(styles), self._config.size, self._config.size, 3), np.float32)
        self._run("decode", (), record, [np.asarray(styles, np.float32), labels], pictures)
        return pictures

    def parse(self, images: Bytes) -> Bytes:
        """Pictures [N,1024,1024,3] or [N,512,512,3] -> the parser's own classes [N,512,512]."""
        config = self._parser_config
        assert config is not None, "the engine asks for labels when there is no parser"
        height, width = images.shape[1:3]

        def record(batch: int) -> Plan:
            return record_parse(config, PARSER_PRECISION, batch, height, width)

        classes = np.empty((len(images), parse.SIDE, parse.SIDE), np.uint8)
        self._run("parse", (height, width), record, [images], classes)
        return classes

    def _published_plans(self) -> dict[str, Plan]:
        return published(self._config, self._parser_config, self.precision, PARSER_PRECISION)

    def describe(self) -> str:
        """The plans at the published input sizes, as tables, with the arena and what sharing memory saves."""
        parts = []
        for name, plan in self._published_plans().items():
            compiled = compile_plan(plan, self._store, self._isa)
            arena, apart = compiled.arena_bytes / 1e6, compiled.unshared_bytes / 1e6
            head = f"{name}: {plan.flop / 1e9:.1f} GFLOP, {plan.precision}, {compiled.isa}, "
            parts.append(
                head + f"arena {arena:.1f} MB ({apart:.1f} MB without reuse)\n{plan.table(compiled.offset)}"
            )
        return "\n\n".join(parts)

    def _run(
        self,
        kind: str,
        key: tuple[int, ...],
        record: Callable[[int], Plan],
        inputs: list[npt.NDArray[Any]],
        out: npt.NDArray[Any],
    ) -> None:
        for part in _parts(len(out), _MOST_AT_ONCE[kind]):
            arrays = [np.ascontiguousarray(array[part]) for array in inputs]
            self._plan((kind, len(arrays[0]), *key), record).run([*arrays, out[part]])

    def _plan(self, key: tuple[Any, ...], record: Callable[[int], Plan]) -> _native.Plan:
        with self._lock:
            if key not in self._plans:
                plan = record(key[1])
                self._plans[key] = compile_plan(plan, self._store, self._isa, threads=self._threads)
            return self._plans[key]


def _parts(count: int, most: int) -> Iterator[slice]:
    for start in range(0, count, most):
        yield slice(start, min(start + most, count))


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
