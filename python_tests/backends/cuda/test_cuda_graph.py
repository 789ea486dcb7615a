"""Plans as graphs of kernels: memory, order and arguments, without a device."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import interpreted  # noqa: F401
import numpy as np
import pytest
from native_tools import SMALL

from e4s_engine import _native, kernels
from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.backends.cuda import swap as swaps
from e4s_engine.errors import ArgumentError, BackendError
from e4s_engine.kernels.launch import SIZES, Launch, Packed
from e4s_engine.networks.rgi.config import ModelConfig


class Numbers:
    """Stand-in for a device that numbers kernels and weights in the order they are added."""

    def __init__(self) -> None:
        self.kernels: dict[str, int] = {}
        self.weights: dict[Packed, int] = {}

    def kernel(self, launch: Launch) -> int:
        return self.kernels.setdefault(compiling.key(launch, 90), len(self.kernels))

    def weight(self, packed: Packed) -> int:
        return self.weights.setdefault(packed, len(self.weights))


@pytest.fixture(scope="module")
def swap() -> tuple[Any, dict[str, Any]]:
    """Build a whole swap: parts 0 and 1 encode, 2 composes, 3 decodes, 4 pastes."""
    recorded = swaps.record(SMALL, "bf16", 1)
    numbers = Numbers()
    parts = recorded.parts((numbers.kernel, numbers.weight))
    assert set(numbers.weights) == set(recorded.packed())
    return recorded, _native.cuda_nodes(recorded.sizes, parts, len(numbers.kernels), len(numbers.weights))


def launch_of(swap: Any, node: dict[str, Any]) -> Launch:
    first, second = (program.launches for program in swap.encodes.values())
    return [first, second, swap.composition, swap.decode.launches, swap.paste][node["part"]][node["launch"]]


def bytes_of(swap: Any, node: dict[str, Any]) -> list[int]:
    first, second = (program.bytes for program in swap.encodes.values())
    middle, last = (swap.sizes + own for own in swap.temporaries)
    return [first, second, middle, swap.decode.bytes, last][node["part"]]


def ancestors(nodes: list[dict[str, Any]]) -> list[set[int]]:
    found: list[set[int]] = []
    for node in nodes:
        found.append(set().union(*({d} | found[d] for d in node["dependencies"])))
    return found


def test_encodes_run_side_by_side_and_the_decode_waits(swap: Any) -> None:
    nodes = swap[1]["nodes"]
    before = ancestors(nodes)
    part = [node["part"] for node in nodes]
    for i in range(len(nodes)):
        assert part[i] > 1 or {part[j] for j in before[i]} <= {part[i]}
    for encode in (0, 1):
        assert max(i for i in range(len(nodes)) if part[i] == encode) in before[-1]
    roots = [i for i, node in enumerate(nodes) if not node["dependencies"]]
    assert {part[i] for i in roots} == {0, 1, 2, 3}  # composition and constants run beside them


def test_every_launch_is_ordered_by_the_memory_it_touches(swap: Any) -> None:
    """Nodes that may run at the same time share no memory that either writes."""
    recorded, laid_out = swap
    nodes, before = laid_out["nodes"], ancestors(laid_out["nodes"])
    used = []
    for node in nodes:
        launch, sizes = launch_of(recorded, node), bytes_of(recorded, node)
        named = [(n, p) for n, p in launch.pointers.items() if p is not None]
        blocks = []
        for (name, pointer), (space, _, place) in zip(named, node["arguments"], strict=False):
            if space == "block":
                start = place - pointer.offset * SIZES[pointer.type]
                blocks.append((start, start + sizes[pointer.block], name in launch.writes))
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
    recorded, laid_out = swap
    apart = sum(sum(program.bytes) for program in recorded.programs)
    others = sum(recorded.sizes) + sum(map(sum, recorded.temporaries))
    assert laid_out["bytes"] - others < 0.5 * apart


def test_arguments_are_the_manifests_parameters(swap: Any) -> None:
    """They have the number and the order of the kernel's own signature, numbers last."""
    recorded, laid_out = swap
    folder = Path(kernels.__file__).parent
    for node in laid_out["nodes"]:
        launch = launch_of(recorded, node)
        listed = [p["name"] for p in compiling.parameters(launch)]
        assert len(node["arguments"]) == len(listed)
        module, _, name = launch.kernel.partition(".")
        source = (folder / f"{module}.py").read_text()
        found = re.search(rf"def {name}\((.*?)\):", source, re.DOTALL)
        assert found is not None
        signature = re.findall(r"(\w+)(:\s+tl\.constexpr)?(?=,|$)", found.group(1).strip())
        taken = [n for n, constant in signature if not constant and n in listed]
        assert taken == listed
        assert {n for n, constant in signature if constant} == set(launch.constants)
        assert node["grid"] == list(launch.programs)


def test_the_published_swap_ends_in_a_paste() -> None:
    recorded = swaps.record(ModelConfig(), "bf16", 2)
    numbers = Numbers()
    parts = recorded.parts((numbers.kernel, numbers.weight))
    nodes = _native.cuda_nodes(recorded.sizes, parts, len(numbers.kernels), len(numbers.weights))["nodes"]
    before = ancestors(nodes)
    last = nodes[-1]
    assert last["part"] == 4 and launch_of(recorded, last).kernel == "feather.paste"
    decoded = max(i for i, node in enumerate(nodes) if node["part"] == 3)
    composed = next(i for i, node in enumerate(nodes) if node["part"] == 2)
    assert {decoded, composed} <= before[-1]
    # The mask needs no picture: it is computed in parallel with the decode.
    masks = [i for i, node in enumerate(nodes) if node["part"] == 4][:-1]
    assert not any(nodes[j]["part"] == 3 for i in masks for j in before[i])


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


def test_the_gpu_script_says_where_there_is_no_gpu(tmp_path: Path) -> None:
    try:
        _native.CudaDevice(0)
    except BackendError as error:
        why = str(error)
    else:
        pytest.skip("this machine has a GPU: run `python -m benchmarks.gpu`")
    command = [sys.executable, "-m", "benchmarks.gpu", "--out", str(tmp_path / "gpu.json")]
    root = Path(__file__).parents[3]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)
    assert done.returncode == 2 and "no GPU here" in done.stderr, done.stderr
    report = json.loads((tmp_path / "gpu.json").read_text())
    assert report["gpu"] is None and report["why"] == why
