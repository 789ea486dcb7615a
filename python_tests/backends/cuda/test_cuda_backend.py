"""The CUDA backend on a fake device that only records: sizes, batches and numbers as a GPU gets them."""

from __future__ import annotations

import dataclasses
import gc
import itertools
from collections.abc import Sequence
from typing import Any

import interpreted  # noqa: F401
import numpy as np
import pytest
from native_tools import SMALL, make_model

from e4s_engine import _native, regions
from e4s_engine.backends import APART, PASTED, Ask, Given
from e4s_engine.backends.cuda import ahead, workers
from e4s_engine.backends.cuda import backend as cuda
from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.backends.cuda import swap as swaps
from e4s_engine.backends.cuda.memory import Memory
from e4s_engine.errors import ArgumentError
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.pipeline import compose
from e4s_engine.testing.loaded import loaded

PARSER = ParserConfig(widths=(16, 16, 24, 32, 32), context=16, fusion=32)
WHOLE = dataclasses.replace(SMALL, size=1024, channels=(16,) * 9, latents=18)


class Device:
    """Fake device that takes kernels and weights and checks its arguments."""

    name, arch = "a card of paper", 90

    def __init__(self, number: int) -> None:
        self.kernels: list[str] = []
        self.weights: list[int] = []

    def add_kernel(self, entry: str, cubin: bytes, shared: int, warps: int, scratch: int) -> int:
        assert cubin and warps in (4, 8) and scratch == 2
        self.kernels.append(entry)
        return len(self.kernels) - 1

    def add_weight(self, values: np.ndarray) -> int:
        assert values.flags.c_contiguous
        self.weights.append(values.nbytes)
        return len(self.weights) - 1


class Graph:
    """Fake graph that lays out its parts as the runtime does and returns ones."""

    runs: list[list[int]] = []  # noqa: RUF012

    def __init__(self, device: Device, slots: list[int], parts: list[dict[str, Any]]) -> None:
        self.slots = slots
        self.nodes = _native.cuda_nodes(slots, parts, len(device.kernels), len(device.weights))["nodes"]
        assert self.nodes

    def run(
        self, inputs: dict[int, np.ndarray], outputs: dict[int, np.ndarray], after: Sequence[int] = ()
    ) -> None:
        arrays = {i: value if isinstance(value, list) else [value] for i, value in (inputs | outputs).items()}
        assert all(
            array.nbytes * len(shares) == self.slots[i] for i, shares in arrays.items() for array in shares
        )
        for i in outputs:
            for array in arrays[i]:
                array[...] = 1
        Graph.runs.append([len(shares) if len(shares) > 1 else len(shares[0]) for shares in arrays.values()])

    def time(self, runs: int) -> float:
        return float(runs)


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> cuda.Cuda:
    def get(launch: Any, arch: int) -> tuple[dict[str, Any], bytes]:
        return {"entry": launch.kernel, "shared": 0, "warps": launch.tile.warps, "scratch": 2}, b"cubin"

    monkeypatch.setattr(compiling, "get", get)
    monkeypatch.setattr(workers, "ready", lambda launches, arch: None)
    monkeypatch.setattr(_native, "CudaDevice", Device)
    monkeypatch.setattr(_native, "CudaGraph", Graph)
    monkeypatch.setattr(Graph, "runs", [])
    return loaded(cuda.Cuda("cuda:0", "bf16"), make_model(SMALL), make_model(PARSER))


def test_batches_are_cut_and_sizes_fit(backend: cuda.Cuda) -> None:
    images = np.zeros((10, 128, 128, 3), np.uint8)
    labels = np.zeros((10, 512, 512), np.uint8)
    styles = backend.run("rgi", "encode", images, labels)
    assert styles.shape == (10, regions.COUNT, SMALL.style_dim) and (styles == 1).all()
    assert backend.run("rgi", "decode", styles, labels).shape == (10, SMALL.size, SMALL.size, 3)
    assert backend.run("parser", "parse", np.zeros((1, 1024, 1024, 3), np.uint8)).shape == (1, 512, 512)
    assert Graph.runs == [[8] * 3, [2] * 3, [8] * 3, [2] * 3, [1] * 2]


def test_weights_and_kernels_are_loaded_once(backend: cuda.Cuda) -> None:
    device = backend.linker.device
    weights = len(device.weights)
    for _ in range(2):
        backend.run(
            "rgi", "encode", np.zeros((1, 1024, 1024, 3), np.uint8), np.zeros((1, 512, 512), np.uint8)
        )
    loaded = len(device.kernels)
    one = [np.zeros((1, 1024, 1024, 3), np.uint8), np.zeros((1, 512, 512), np.uint8)]
    backend.run("rgi", "encode", *one)
    assert backend.time("rgi", "encode", one, 7) == 7
    assert (len(device.kernels), len(device.weights)) == (loaded, weights)


def test_a_whole_swap_takes_the_same_weights(backend: cuda.Cuda) -> None:
    linker, swap = backend.linker, swaps.record(SMALL, "bf16", 2)
    weights = len(linker.device.weights) + 2
    linker.add(swap, {})  # all of its kernels are there, but the tables of the enlargement
    graph = cuda.swap_graph(linker, swap)
    assert len(graph.nodes) == len(swap.launches()) and len(linker.device.weights) == weights


def asked(count: int, sources: int = 1, **more: Any) -> list[Ask]:
    """Return swaps of blank pictures, each with its own sources."""
    crop, labels = np.zeros((1024, 1024, 3), np.uint8), np.zeros((512, 512), np.uint8)
    flags, settings = np.zeros((sources, regions.COUNT), np.uint8), np.ones(len(compose.SETTINGS), np.float32)
    return [
        Ask(tuple(Given(labels, crop) for _ in range(sources)), crop, labels, flags, settings, **more)
        for _ in range(count)
    ]


def test_swaps_in_one_go_fill_every_slot(backend: cuda.Cuda) -> None:
    whole = loaded(cuda.Cuda("cuda:0", "bf16"), make_model(WHOLE))
    for engine, size in ((whole, 1024), (backend, SMALL.size)):
        Graph.runs.clear()
        made = engine.swapper.swap(asked(9, outputs=(*PASTED, "picture")))
        assert len(made) == 9 and [len(run) for run in Graph.runs] == [12, 12]
        shapes = {name: array.shape for name, array in made[8].items()}
        assert shapes == {
            "pasted": (1024, 1024, 3), "styles": (12, SMALL.style_dim), "labels": (512, 512),
            "holes": (512, 512), "picture": (size, size, 3),
        }  # fmt: skip
        assert all((array == 1).all() for one in made for array in one.values())
        assert not any(
            np.shares_memory(a, b) for a, b in itertools.combinations([one["pasted"] for one in made], 2)
        )
    (wrong,) = asked(1)
    with pytest.raises(ArgumentError, match="labels"):
        whole.swapper.swap([dataclasses.replace(wrong, target_labels=wrong.target_labels + 12)])


def test_memory_of_results_is_used_again() -> None:
    memory = Memory(2 * 12)
    first, second, third = (memory.array((4, 3)) for _ in range(3))
    first[...], second[...] = 1, 2
    places, view = {first.ctypes.data, second.ctypes.data}, first[1:]
    del first
    gc.collect()
    other = memory.array((4, 3))
    other[...] = 7
    assert view.sum() == 9  # a view keeps the memory
    del view, second
    gc.collect()
    assert {memory.array((2, 6)).ctypes.data} <= places
    del third
    kept = [memory.array((12,)) for _ in range(3)]
    assert not any(np.shares_memory(a, b) for a, b in itertools.combinations(kept, 2))


def test_a_graphs_kernels_are_compiled_together(backend: cuda.Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[list[str]] = []
    monkeypatch.setattr(
        workers,
        "ready",
        lambda launches, arch: asked_for.append([compiling.key(one, arch) for one in launches]),
    )
    for number in (1, 1, 2):
        backend.swapper.swap(asked(number))
    first, second = asked_for  # of one swap and of two; the graph of one is kept
    assert len(set(first)) > 40 and not set(second) & set(first)


def test_sources_that_come_again_are_encoded_once(backend: cuda.Cuda) -> None:
    Graph.runs.clear()
    first, *others = asked(3, relight=False)
    backend.swapper.swap([first, *(dataclasses.replace(ask, sources=first.sources) for ask in others)])
    assert [len(run) for run in Graph.runs] == [3, 11]  # one encode, one graph of three swaps
    styles = np.zeros((regions.COUNT, SMALL.style_dim), np.float32)
    before = [Given(first.target_labels, styles=styles)]
    backend.swapper.swap([dataclasses.replace(first, sources=tuple(before), outputs=APART)])
    assert [len(run) for run in Graph.runs] == [3, 11, 13]  # encoded before
    backend.swapper.swap(asked(1, sources=3))
    assert [len(run) for run in Graph.runs] == [3, 11, 13, 3, 11]
    mixed = dataclasses.replace(
        first, sources=(first.sources[0], *before), chosen=np.zeros((2, 12), np.uint8)
    )
    backend.swapper.swap([mixed])
    assert [len(run) for run in Graph.runs][5:] == [3, 11]


def test_models_that_relight_bring_their_layers(backend: cuda.Cuda) -> None:
    lit = loaded(cuda.Cuda("cuda:0", "bf16"), make_model(dataclasses.replace(SMALL, relight=8)))
    kernels = len(lit.linker.device.kernels)
    lit.swapper.swap(asked(2, relight=True))
    named = lit.linker.device.kernels[kernels:]
    assert {"relight.light", "relight.move", "enlarge.enlarge"} <= set(named)


def test_labels_beyond_the_regions_are_refused(backend: cuda.Cuda) -> None:
    labels = np.full((1, 512, 512), regions.COUNT, np.uint8)
    with pytest.raises(ArgumentError, match="labels: expected values below 12, got 12"):
        backend.run("rgi", "encode", np.zeros((1, 128, 128, 3), np.uint8), labels)


def test_it_says_what_it_runs(backend: cuda.Cuda) -> None:
    text = backend.describe()
    assert all(word in text for word in ("encode:", "decode:", "parse:", "bf16", "launches", "regional_conv"))


def test_every_kernel_is_timed_and_counted(backend: cuda.Cuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """In `benchmarks.gpu`'s table of kernels on the fake device, work and memory add up to the plans'."""
    from benchmarks import gpu_kernels

    plans = dict(backend._examples())
    programs = [backend._program(plan) for plan in plans.values()]
    monkeypatch.setattr(ahead, "programs", lambda precision, arch: programs)
    monkeypatch.setattr(gpu_kernels, "models", lambda: (make_model(SMALL), make_model(PARSER)))
    for name in ("events", "graphed"):
        monkeypatch.setattr(gpu_kernels, name, lambda run, runs: (run(), 2.0)[1])
    monkeypatch.setattr(gpu_kernels, "ceilings", lambda *_: {})
    monkeypatch.setattr(gpu_kernels.ops, "in_torch", lambda *_: lambda: None)
    found = gpu_kernels.alone(Device(0), "bf16", 4)["kernels"]
    assert all(row["ms"] == 4 and row["gbs"] > 0 for row in found)  # the fake device's ms are its runs
    multiplied = [row for row in found if "tflops" in row]
    for program, plan in zip(programs, plans.values(), strict=True):
        products = [
            step
            for step, launch in zip(program.steps, program.launches, strict=True)
            if launch.problem is not None
        ]
        assert len(products) == len({id(step) for step in products})  # a step's work is counted once
        absorbed = {id(plan.steps[index]) for index in program.absorbed}  # run by another step's launches
        assert {id(step) for step in program.steps} == {id(step) for step in plan.steps} - absorbed
    assert multiplied and {row["step"] for row in multiplied} >= {"conv2d", "regional_conv"}
