"""Plans as graphs of kernels: memory, order and arguments, all without a device."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_tools import SMALL, native

from e4s_engine import _native, kernels, regions
from e4s_engine.errors import ArgumentError, BackendError
from e4s_engine.kernels.launch import Launch, Packed, Program

graph = kernels.module("graph")
compiling = kernels.module("compile")


class Numbers:
    """Kernels and weights numbered as they come, as on a device."""

    def __init__(self) -> None:
        self.kernels: dict[str, int] = {}
        self.weights: dict[Packed, int] = {}

    def kernel(self, launch: Launch) -> int:
        return self.kernels.setdefault(compiling.key(launch, 90), len(self.kernels))

    def weight(self, packed: Packed) -> int:
        return self.weights.setdefault(packed, len(self.weights))

    def part(self, program: Program, slots: dict[int, int]) -> dict[str, Any]:
        return graph.part(program, slots, (self.kernel, self.weight))


@pytest.fixture(scope="module")
def swap() -> tuple[list[Program], dict[str, Any]]:
    """Two encodes, and a decode of what the second made: slots are pixels, labels, pixels, labels, styles,
    styles, picture."""
    encode = [Program(native.record_encode(SMALL, "bf16", 1, 128, 128)) for _ in range(2)]
    decode = Program(native.record_decode(SMALL, "bf16", 1))
    numbers = Numbers()
    parts = [
        numbers.part(encode[0], {0: 0, 1: 1, 2: 4}),
        numbers.part(encode[1], {0: 2, 1: 3, 2: 5}),
        numbers.part(decode, {0: 5, 1: 3, 2: 6}),
    ]
    styles = regions.COUNT * SMALL.style_dim * 4
    slots = [128 * 128 * 3, 512 * 512, 128 * 128 * 3, 512 * 512, styles, styles, SMALL.size**2 * 3 * 4]
    laid_out = _native.cuda_nodes(slots, parts, len(numbers.kernels), len(numbers.weights))
    return [*encode, decode], laid_out


def ancestors(nodes: list[dict[str, Any]]) -> list[set[int]]:
    found: list[set[int]] = []
    for node in nodes:
        found.append(set().union(*({d} | found[d] for d in node["dependencies"])))
    return found


def test_encodes_run_side_by_side_and_the_decode_waits(swap: Any) -> None:
    _, laid_out = swap
    nodes = laid_out["nodes"]
    before = ancestors(nodes)
    part = [node["part"] for node in nodes]
    for i in range(len(nodes)):
        assert {part[j] for j in before[i]} <= ({part[i]} if part[i] < 2 else {1, 2})
    last_encode = max(i for i in range(len(nodes)) if part[i] == 1)
    assert last_encode in before[-1]
    roots = [i for i, node in enumerate(nodes) if not node["dependencies"]]
    assert {part[i] for i in roots} == {0, 1, 2}  # labels are resized and constants written meanwhile


def test_every_launch_is_ordered_by_the_memory_it_touches(swap: Any) -> None:
    """Nodes that may run at the same time share no memory that one of them writes."""
    programs, laid_out = swap
    nodes, before = laid_out["nodes"], ancestors(laid_out["nodes"])
    used = []
    for node in nodes:
        program = programs[node["part"]]
        launch = program.launches[node["launch"]]
        named = [(n, p) for n, p in launch.pointers.items() if p is not None]
        blocks = []
        for (name, pointer), (space, _, place) in zip(named, node["arguments"], strict=False):
            if space == "block":
                start = place - pointer.offset * {"f32": 4, "bf16": 2, "u8": 1}[pointer.type]
                blocks.append((start, start + program.bytes[pointer.block], name in launch.writes))
        used.append(blocks)
    clashes = 0
    for i in range(len(nodes)):
        for j in range(i):
            clash = any((a[2] or b[2]) and a[0] < b[1] and b[0] < a[1] for a in used[i] for b in used[j])
            clashes += clash
            assert not clash or j in before[i]
    assert clashes > len(nodes)


def test_dependencies_are_the_last_ones_only(swap: Any) -> None:
    _, laid_out = swap
    before = ancestors(laid_out["nodes"])
    for i, node in enumerate(laid_out["nodes"]):
        assert all(d < i for d in node["dependencies"])
        assert not any(d in before[e] for d in node["dependencies"] for e in node["dependencies"])


def test_memory_is_shared_within_a_part(swap: Any) -> None:
    programs, laid_out = swap
    assert laid_out["bytes"] < 0.7 * sum(sum(program.bytes) for program in programs)


def test_arguments_are_the_manifests_parameters(swap: Any) -> None:
    """As many, in the order of the kernel's own signature, numbers last."""
    programs, laid_out = swap
    folder = Path(compiling.__file__).parent
    for node in laid_out["nodes"]:
        launch = programs[node["part"]].launches[node["launch"]]
        listed = [p["name"] for p in compiling.parameters(launch)]
        assert len(node["arguments"]) == len(listed)
        module, _, name = launch.kernel.partition(".")
        source = (folder / f"{module}.py").read_text()
        found = re.search(rf"def {name}\((.*?)\):", source, re.DOTALL)
        assert found is not None
        signature = re.findall(r"(\w+)(: tl\.constexpr)?(?=,|$)", found.group(1).strip())
        taken = [n for n, constant in signature if not constant and n in listed]
        assert taken == listed
        assert {n for n, constant in signature if constant} == set(launch.constants)
        assert node["grid"] == list(launch.programs)


def test_impossible_graphs_are_refused() -> None:
    block = {"space": "block", "index": 0, "offset": 0, "written": True}
    launch = {"kernel": 0, "grid": (1, 1, 1), "arguments": [block]}
    good = {"blocks": [(64, -1)], "launches": [launch]}
    assert len(_native.cuda_nodes([], [good], 1, 0)["nodes"]) == 1
    for broken in (
        good | {"blocks": [(0, -1)]},
        good | {"blocks": [(64, 0)]},
        good | {"launches": [launch | {"kernel": 1}]},
        good | {"launches": [launch | {"grid": (1, 0, 1)}]},
        good | {"launches": [launch | {"grid": (1, 1 << 20, 1)}]},
        good | {"launches": [launch | {"arguments": [block | {"index": 1}]}]},
        good | {"launches": [launch | {"arguments": [block | {"offset": 64}]}]},
        good | {"launches": [launch | {"arguments": [block | {"space": "weight"}]}]},
        good | {"launches": [launch | {"arguments": [block | {"space": "register"}]}]},
    ):
        with pytest.raises(ArgumentError, match="graph: "):
            _native.cuda_nodes([], [broken], 1, 0)


def test_no_driver_is_said_in_words() -> None:
    try:
        device = _native.CudaDevice(1 << 20)
    except BackendError as error:
        assert re.search(
            r"device: (no CUDA driver|cuda:\d+ does not exist|.* failed: CUDA_ERROR)", str(error)
        )
    else:
        pytest.fail(f"a device that cannot be: {device.name}")


def test_weights_are_rounded_to_nearest_even() -> None:
    values = np.array([1.0, 1.00390625, 1.01171875, -3.14159], np.float32)
    packed = Packed(("w",), "bf16", lambda _: values)
    back = (packed.values({}).astype(np.uint32) << 16).view(np.float32)
    assert back.tolist() == [1.0, 1.0, 1.015625, -3.140625]
