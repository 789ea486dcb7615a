"""Random calls of the binding: refused with a Python error, or harmless. `make sanitize` makes many more.

E4S_FUZZ is the number of calls. Each call follows from its own number alone, so failures can be reproduced.
"""

from __future__ import annotations

import copy
import dataclasses
import os
from typing import Any

import numpy as np
import pytest
from cases import CASES, REGIONS
from native_tools import SMALL, kernels, make_model, native, ready_case

from e4s_engine import _native
from e4s_engine.backends.plans import example
from e4s_engine.errors import ArgumentError, E4SError

COUNT = int(os.environ.get("E4S_FUZZ", "1500"))
REFUSALS = (E4SError, TypeError, KeyError, RuntimeError)  # RuntimeError: a value that cannot be cast


@dataclasses.dataclass
class Described:
    """Plan in the binding's form, its weights, and arrays to run it on."""

    buffers: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    weights: Any
    arrays: list[np.ndarray]


def whole_decode() -> Described:
    plan = example(SMALL, "decode", "fp32")
    store = native.WeightStore()
    store.add(plan, make_model(SMALL).tensors)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, REGIONS, (1, 512, 512)).astype(np.uint8)
    styles = rng.standard_normal((1, REGIONS, SMALL.style_dim)).astype(np.float32)
    arrays = [styles, labels, np.empty((1, SMALL.size, SMALL.size, 3), np.float32)]
    return Described(*native.described(plan, store), store.packed, arrays)


def small_plans() -> list[Described]:
    """Record a plan of every fourth case in every precision."""
    found = []
    for precision in sorted({p for _, p in kernels()}):
        for case in CASES[::4]:
            plan, store, arrays = ready_case(case, precision)
            described = native.described(plan, store)
            found.append(Described(*described, store.packed, [np.copy(array) for array in arrays]))
    return found


def pick(rng: np.random.Generator, items: Any) -> Any:
    return items[rng.integers(len(items))]


def mutate(rng: np.random.Generator, buffers: list[dict[str, Any]], steps: list[dict[str, Any]]) -> None:
    """Change one thing in a plan."""
    buffer, step = pick(rng, buffers), pick(rng, steps)
    kind = rng.integers(0, 8)
    if kind == 0:
        shape = list(buffer["shape"])
        shape[rng.integers(4)] = pick(rng, [-1, 0, 1, 2, 3, 16, 33, 64, 1 << 21, 1 << 62])
        buffer["shape"] = tuple(shape)
    elif kind == 1:
        field = pick(rng, ["type", "halo", "external", "limit"])
        buffer[field] = pick(rng, ["f32", "bf16", "u8"]) if field == "type" else int(rng.integers(-2, 20))
    elif kind == 2:
        step["buffers"][pick(rng, list(step["buffers"]))] = int(rng.integers(-1, len(buffers) + 1))
    elif kind == 3 and step["weights"]:
        listed = step["weights"][pick(rng, list(step["weights"]))]
        listed[rng.integers(len(listed))] = int(rng.integers(-1, 80))
    elif kind == 4 and step["numbers"]:
        value = pick(rng, [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 1e9, float("nan"), float("inf")])
        step["numbers"][pick(rng, list(step["numbers"]))] = value
    elif kind == 5:
        steps[rng.integers(len(steps))] = copy.deepcopy(step)  # one step replaced by a copy of another
    elif kind == 6:
        part = pick(rng, [buffer, step, step["buffers"], step["weights"], step["numbers"]])
        part.pop(pick(rng, list(part)) if part else "", None)
    else:
        step["kind"] = pick(rng, [other["kind"] for other in steps] + ["", "swap"])


def broken_plan(rng: np.random.Generator, plan: Described) -> None:
    buffers, steps = copy.deepcopy((plan.buffers, plan.steps))
    for _ in range(rng.integers(1, 4)):
        mutate(rng, buffers, steps)
    options = {"threads": int(rng.integers(-1, 4)), "poison": bool(rng.integers(2))}
    isa = pick(rng, ["", "portable"])
    try:
        _native.Plan(buffers, steps, plan.weights, isa, guard=True, **options).run(plan.arrays)
    except ArgumentError as error:
        assert "beyond" not in str(error), error  # a step wrote to the bytes behind its buffer
        raise


def junk(rng: np.random.Generator) -> Any:
    return pick(
        rng, [None, -1, 1 << 70, 0.5, "", "f32", b"x", [], {}, (), np.zeros(3), np.zeros((2, 2), "U1")]
    )


def broken_arrays(rng: np.random.Generator, plan: Described) -> None:
    arrays: list[Any] = list(plan.arrays)
    i = rng.integers(len(arrays))
    array = arrays[i]
    arrays[i] = pick(
        rng, [array[:0], array[..., :-1], array.T, np.zeros(array.shape), np.float32(1), junk(rng)]
    )
    _native.Plan(plan.buffers, plan.steps, plan.weights).run(arrays if rng.integers(4) else arrays[:-1])


def broken_weights(rng: np.random.Generator, _: Described) -> None:
    weights = _native.Weights()
    shape = tuple(rng.integers(0, 9, rng.integers(1, 6)))
    array = pick(rng, [np.ones(shape, pick(rng, ["f4", "f8", "i8", "?"])), junk(rng)])
    if rng.integers(4) == 0:
        weights.add_vector(array)
        return
    scales = [pick(rng, [None, np.ones(rng.integers(0, 9), np.float32), junk(rng)]) for _ in range(2)]
    kind = pick(rng, ["f32", "bf16", "u8", "", junk(rng)])
    weights.add_conv(array, *scales, kind, pick(rng, ["direct", "winograd", "winograd4", junk(rng)]))


def broken_types(rng: np.random.Generator, plan: Described) -> None:
    buffers, steps = copy.deepcopy((plan.buffers, plan.steps))
    part: Any = pick(rng, [pick(rng, buffers), pick(rng, steps), pick(rng, steps)["buffers"]])
    part[pick(rng, list(part))] = junk(rng)
    arguments: list[Any] = [buffers, steps, plan.weights, ""]
    if rng.integers(4) == 0:
        arguments[rng.integers(4)] = junk(rng)
    _native.Plan(*arguments).run(plan.arrays)


def test_random_calls_are_refused_or_harmless() -> None:
    small, whole = small_plans(), whole_decode()
    calls = [broken_plan] * 7 + [broken_arrays, broken_weights, broken_types]
    refused = 0
    for number in range(COUNT):
        rng = np.random.default_rng(number)
        plan = whole if number % 50 == 0 else pick(rng, small)
        try:
            pick(rng, calls)(rng, plan)
        except REFUSALS:
            refused += 1
    assert COUNT // 2 < refused < COUNT


def test_wrong_arrays_are_refused() -> None:
    described = whole_decode()
    plan = _native.Plan(described.buffers, described.steps, described.weights)
    arrays = described.arrays
    plan.run(arrays)
    for broken in (
        arrays[:2],
        [arrays[0][:, :5], *arrays[1:]],
        [arrays[0], arrays[1].transpose(0, 2, 1), arrays[2]],
        [arrays[0].astype(np.float64), *arrays[1:]],
    ):
        with pytest.raises((ArgumentError, TypeError)):
            plan.run(broken)
    arrays[2].flags.writeable = False
    with pytest.raises(ArgumentError, match="read-only"):
        plan.run(arrays)
