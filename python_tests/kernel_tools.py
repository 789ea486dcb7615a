"""Runner of a recorded plan in Triton's interpreter, on the CPU, in poisoned and guarded memory."""

from __future__ import annotations

from typing import Any

import interpreted  # noqa: F401
import numpy as np
import pytest

from e4s_engine import kernels
from e4s_engine.kernels.launch import Launch, Operand, Packed, Program
from e4s_engine.plan import Arrays, Plan

triton = pytest.importorskip("triton", reason="the kernels' tests need Triton (Linux: `pip install triton`)")
torch = pytest.importorskip("torch", reason="the interpreter reads PyTorch's tensors")

# The interpreter's time depends on the number of programs and steps, not on their size: few large tiles.
kernels.module("tiles").FLOATS = 512
kernels.module("tiles").FILL = 1
for _name in ("instance_norm", "norm_add", "winograd"):
    kernels.module(_name).FEW = 64
kernels.module("transposed").PIXELS = 128
kernels.module("transposed").AT_ONCE = kernels.module("transposed").LINES
for _name in ("argmax", "to_rgb"):
    kernels.module(_name).PIXELS = 512

TYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "u8": torch.uint8}
TYPES["i32"] = torch.int32
GUARD = 256  # bytes after every block that no kernel may touch


class Memory:
    """Blocks of a program, NaN at first, each with a guard band behind it."""

    def __init__(self, sizes: list[int]) -> None:
        self._blocks = [
            torch.full((bytes_ + GUARD,), 0xFF, dtype=torch.uint8)
            for bytes_ in (-(-b // 16) * 16 for b in sizes)
        ]

    def block(self, index: int, kind: str) -> Any:
        return self.bytes(index).view(TYPES[kind])

    def bytes(self, index: int) -> Any:
        return self._blocks[index][:-GUARD]

    def intact(self) -> bool:
        return all(bool((block[-GUARD:] == 0xFF).all()) for block in self._blocks)


def call(launch: Launch, memory: Memory, arrays: Arrays, kept: dict[Packed, Any]) -> None:
    """Interpret one launch."""
    module, _, name = launch.kernel.partition(".")
    arguments: dict[str, Any] = {}
    for parameter, pointer in launch.pointers.items():
        if isinstance(pointer, Operand):
            arguments[parameter] = memory.block(pointer.block, pointer.type)[pointer.offset :]
        elif isinstance(pointer, Packed):
            if pointer not in kept:
                kept[pointer] = torch.from_numpy(pointer.values(arrays)).view(TYPES[pointer.type])
            arguments[parameter] = kept[pointer]
        else:
            arguments[parameter] = None
    if launch.count:
        arguments["count"] = launch.batch
    # The graph's order relies on it: a launch writes nothing but the blocks it names. It may read other
    # channels of a block that it writes.
    written = {p.block for n, p in launch.pointers.items() if n in launch.writes and isinstance(p, Operand)}
    kept_as_they_are = [
        (n, memory.bytes(p.block), memory.bytes(p.block).clone())
        for n, p in launch.pointers.items()
        if isinstance(p, Operand) and p.block not in written
    ]
    getattr(kernels.module(module), name)[launch.programs](**arguments, **launch.constants)
    for parameter, now, before in kept_as_they_are:
        assert torch.equal(now, before), f"{launch.kernel} wrote to {parameter}"


def run(
    plan: Plan, inputs: list[np.ndarray], arrays: Arrays, precision: str = "", box: np.ndarray | None = None
) -> np.ndarray:
    """Run a plan's launches in order; return its last external. box: what to compute of each sample [N,4]."""
    program = Program(plan, precision, boxed=box is not None)
    memory = Memory(program.bytes)
    if program.box is not None:
        memory.block(program.box.block, "i32")[: box.size] = torch.from_numpy(box.astype(np.int32)).flatten()
    for i, buffer in enumerate(plan.buffers):
        if 0 <= buffer.external < len(inputs):
            value = torch.from_numpy(np.ascontiguousarray(inputs[buffer.external]))
            memory.block(i, buffer.type)[: value.numel()] = value.flatten()
    kept: dict[Packed, Any] = {}
    for launch in program.launches:
        call(launch, memory, arrays, kept)
        assert memory.intact(), f"{launch.kernel} wrote beyond a block"
    made = plan.buffers[-1]
    values = memory.block(len(plan.buffers) - 1, made.type)
    return values[: int(np.prod(made.shape))].clone().numpy().reshape(made.shape)


def interpret(launch: Launch, inputs: list[np.ndarray], sizes: list[int]) -> list[np.ndarray]:
    """Run one launch on blocks of these sizes, the first ones filled; return the bytes of all."""
    return interpret_all([launch], dict(enumerate(inputs)), sizes)


def interpret_all(
    launches: list[Launch], given: dict[int, np.ndarray], sizes: list[int], arrays: Arrays | None = None
) -> list[np.ndarray]:
    """Run launches in order on blocks of these sizes, some of them filled; return the bytes of all."""
    memory = Memory(sizes)
    for i, value in given.items():
        memory.block(i, "u8")[: value.nbytes] = torch.from_numpy(value).flatten().view(torch.uint8)
    for launch in launches:
        call(launch, memory, arrays or {}, {})
        assert memory.intact(), f"{launch.kernel} wrote beyond a block"
    return [memory.block(i, "u8")[:size].clone().numpy() for i, size in enumerate(sizes)]
