"""Recorded networks: the plans of every compiled backend, and a base class for such backends."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from e4s_engine import ops, regions
from e4s_engine.backends import Boxes, Bytes, Floats
from e4s_engine.errors import ArgumentError, BackendError
from e4s_engine.networks import registry
from e4s_engine.networks.network import Config, Function, Input, Network, Shape
from e4s_engine.plan import Array, Plan, Symbol
from e4s_engine.plan.fuse import fuse
from e4s_engine.weights import Model
from e4s_engine.weights.tensorfile import TensorFile


def record(config: Config, function: Function, precision: str, shapes: Sequence[Shape]) -> Plan:
    """Record a function of the network that a config belongs to, for inputs of these shapes [N,...]."""
    network, plan = registry.of(config), Plan(precision)
    symbols = [_input(plan, kind, shape) for kind, shape in zip(function.inputs, shapes, strict=True)]
    weights = plan.weights(network.tensors(config), network.kind)
    plan.output(function.call(ops.record, *symbols, weights, config))
    return fuse(plan)


def _input(plan: Plan, kind: Input, shape: Shape) -> Symbol:
    batch, first, second = shape[:3]
    if kind is Input.PIXELS:
        return plan.pixels(batch, first, second)
    if kind is Input.MAPS:
        return plan.maps(batch, first, second, shape[3])
    if kind is Input.LABELS:
        return plan.labels(batch, first, second, regions.COUNT)
    return plan.vectors(batch, first, second)


def example(config: Config, name: str, precision: str, batch: int = 1) -> Plan:
    """Record a function at the sizes of the published pipeline."""
    function = registry.of(config).function(name)
    return record(config, function, precision, [(batch, *shape) for shape in function.examples(config)])


def examples(configs: Sequence[Config], precision: str, batch: int = 1) -> dict[str, Plan]:
    """Record every function of these networks at the sizes of the published pipeline, by its name."""
    names = ((config, name) for config in configs for name in registry.of(config).functions)
    return {name: example(config, name, precision, batch) for config, name in names}


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A network of a backend. tensors: source of weights in other forms; may be empty."""

    network: Network
    config: Config
    tensors: Mapping[str, Array]


class Planned(ABC):
    """A backend whose networks are recorded plans. Subclasses pack a plan's weights and run it."""

    in_boxes = False

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self._loaded: dict[str, Loaded] = {}

    def load(self, network: str, model: Model) -> None:
        """Pack the weights of a model for the published sizes. Raises WeightsError for damaged ones.

        Arrays in memory are not kept unless a function takes pictures of any size; files stay at hand.
        """
        declared = registry.get(network)
        for name, function in declared.functions.items():
            self._pack(example(model.config, name, self._precision_of(function)), model.tensors)
        model.check()
        keeps = isinstance(model.tensors, TensorFile) or any(f.free for f in declared.functions.values())
        self._loaded[network] = Loaded(declared, model.config, model.tensors if keeps else {})

    def run(
        self, network: str, function: str, *arrays: npt.NDArray[Any], boxes: Boxes | None = None
    ) -> npt.NDArray[Any]:
        """Run a function of a network over inputs [N,...], a few samples at a time.

        boxes: see `Backend`.

        Returns floats [N,H,W,C] or [N,R,C], or bytes [N,H,W]. Raises BackendError for a network that was not
        loaded.
        """
        loaded = self._network(network)
        declared = loaded.network.function(function)
        ready = [_ready(array, kind) for array, kind in zip(arrays, declared.inputs, strict=True)]
        first, *others = slices(len(ready[0]), self._at_once(declared))

        def run(part: slice, out: npt.NDArray[Any] | None) -> npt.NDArray[Any]:
            some = [np.ascontiguousarray(array[part]) for array in ready]
            if boxes is None:
                return self._run(loaded, function, some, out)
            return self._run_box(loaded, function, some, out, _joined(boxes[part]))

        result = run(first, None)
        if not others:
            return result
        whole = np.empty((len(ready[0]), *result.shape[1:]), result.dtype)
        whole[first] = result
        for part in others:
            run(part, whole[part])
        return whole

    def share(self, network: str, function: str, box: Sequence[int]) -> float:
        """Return 1: whole maps are computed."""
        return 1.0

    def invert(self, pictures: Bytes, labels: Bytes, styles: Floats, steps: int, rate: float) -> Floats:
        """Raise BackendError: a recorded plan has no gradients."""
        raise BackendError(
            "backend: inversion descends gradients, which compiled plans do not have; make the engine with "
            "Engine(..., backend='reference') (PyTorch)"
        )

    def _network(self, name: str) -> Loaded:
        if name not in self._loaded:
            raise BackendError(f"backend: network {name!r} is not loaded, only {', '.join(self._loaded)} are")
        return self._loaded[name]

    def _record(self, loaded: Loaded, name: str, shapes: Sequence[Shape]) -> Plan:
        function = loaded.network.function(name)
        return record(loaded.config, function, self._precision_of(function), shapes)

    def _examples(self, batch: int = 1) -> Iterator[tuple[str, Plan]]:
        """Record every function of every loaded network at the sizes of the published pipeline."""
        for loaded in self._loaded.values():
            for name, function in loaded.network.functions.items():
                yield name, example(loaded.config, name, self._precision_of(function), batch)

    @abstractmethod
    def _pack(self, plan: Plan, arrays: Mapping[str, Array]) -> None:
        """Pack the weights of a plan that are not packed yet."""

    @abstractmethod
    def _run(
        self, loaded: Loaded, name: str, arrays: list[npt.NDArray[Any]], out: npt.NDArray[Any] | None
    ) -> npt.NDArray[Any]:
        """Run a function over inputs [N,...] as one batch, into `out` if it is not None."""

    def _run_box(
        self,
        loaded: Loaded,
        name: str,
        arrays: list[npt.NDArray[Any]],
        out: npt.NDArray[Any] | None,
        box: Sequence[int],
    ) -> npt.NDArray[Any]:
        """Run as `_run`; only these pixels of every sample are read. By default all are computed."""
        return self._run(loaded, name, arrays, out)

    @abstractmethod
    def _precision_of(self, function: Function) -> str:
        """Return the precision that a function runs in."""

    @abstractmethod
    def _at_once(self, function: Function) -> int:
        """Return the number of samples per batch."""


def _joined(boxes: Boxes) -> list[int]:
    """Return the smallest box that covers all."""
    return [*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist()]


def _ready(array: npt.NDArray[Any], kind: Input) -> npt.NDArray[Any]:
    """Return an input in its declared type. Raises ArgumentError for labels beyond the regions."""
    if kind is Input.LABELS:
        check_labels(array)
    return np.asarray(array, np.float32) if kind in (Input.VECTORS, Input.MAPS) else array


def check_labels(labels: npt.NDArray[Any]) -> None:
    """Raise ArgumentError for labels beyond the regions."""
    most = int(labels.max(initial=0))
    if most >= regions.COUNT:
        raise ArgumentError(f"labels: expected values below {regions.COUNT}, got {most}")


def result_of(plan: Plan) -> npt.NDArray[Any]:
    """Return an uninitialised array for a plan's result."""
    return np.empty(plan.result, np.uint8 if plan.buffers[-1].type == "u8" else np.float32)


def unpacked(error: KeyError) -> BackendError:
    """Return the error for a tensor that is needed in another form but was not kept."""
    return BackendError(
        f"weights: {error} is needed in another form at this picture size, and official files are not kept "
        "in memory; convert it (`e4s convert OFFICIAL OUT.safetensors`) and load the result"
    )


def slices(count: int, most: int) -> Iterator[slice]:
    """Yield slices of at most `most` samples that cover a batch."""
    for start in range(0, count, most):
        yield slice(start, min(start + most, count))
