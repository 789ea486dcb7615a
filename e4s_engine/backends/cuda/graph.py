"""Programs as parts of a graph, the input of `_native.cuda_nodes` and `_native.CudaGraph`.

Parts share memory only through slots, numbered blocks that the caller fills and reads. The runtime places
everything else, and orders launches by the memory they touch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from e4s_engine.kernels.launch import SIZES, Argument, Launch, Operand, Packed, Program

Numbering = tuple[Callable[[Launch], int], Callable[[Packed], int]]


def part(
    program: Program,
    slots: Mapping[int, int],
    numbering: Numbering,
    launches: list[Launch] | None = None,
    box: int = -1,
) -> dict[str, Any]:
    """Return a program's blocks and launches in the form that the runtime takes.

    slots: slot of each of the plan's externals, by number. numbering: functions from a launch to its kernel's
    number and from weights to theirs. launches: subset of the program's launches; None: all. box: slot of the
    program's box.
    """
    externals = [slots[b.external] if b.external >= 0 else -1 for b in program.plan.buffers]
    externals += [-1] * (len(program.bytes) - len(externals))  # temporaries
    if program.box is not None:
        externals[program.box.block] = box
    chosen = program.launches if launches is None else launches
    blocks = list(zip(program.bytes, externals, strict=True))
    return {"blocks": blocks, "launches": described(chosen, numbering)}


def described(launches: list[Launch], numbering: Numbering) -> list[dict[str, Any]]:
    """Return launches in the form that the runtime takes."""
    of_kernel, of_weight = numbering
    return [
        {
            "kernel": of_kernel(launch),
            "grid": launch.programs,
            "arguments": [
                _argument(pointer, name in launch.writes, of_weight)
                for name, pointer in launch.pointers.items()
                if pointer is not None
            ]
            + ([_value(launch.batch)] if launch.count else []),
        }
        for launch in launches
    ]


def _argument(pointer: Argument, written: bool, of_weight: Callable[[Packed], int]) -> dict[str, Any]:
    if isinstance(pointer, Operand):
        offset = pointer.offset * SIZES[pointer.type]
        return {"space": "block", "index": pointer.block, "offset": offset, "written": written}
    assert isinstance(pointer, Packed)
    return {"space": "weight", "index": of_weight(pointer), "offset": 0, "written": False}


def _value(number: int) -> dict[str, Any]:
    return {"space": "value", "index": number, "offset": 0, "written": False}
