"""Random chains of ops: recorded, fused and run by the compiled runtime, they agree with PyTorch."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from cases import Case
from native_tools import expected, record_case, run_case

from e4s_engine.plan import fuse as fusing
from e4s_engine.plan.fuse import RULES, RUNTIME, Graph

CHAINS = 520
TOLERANCE = 2e-4  # of the largest value: a dozen ops in fp32
KINDS = ("conv", "conv", "norm", "norm", "activation", "add", "add", "concat", "resize", "instance")
NORM = ("gain", "bias", "mean", "var")


def chain(seed: int) -> Case:
    """Make a chain of two to nine ops; each takes the last value or an earlier one again."""
    rng = np.random.default_rng(seed)
    # Sides of one pixel make constant maps, whose instance norms are noise over zero: chains have either.
    least, kinds = (1, [k for k in KINDS if k != "instance"]) if seed % 3 == 0 else (2, list(KINDS))
    height, width, batch = (
        int(rng.integers(least, 9)),
        int(rng.integers(least, 9)),
        int(rng.choice([1, 1, 3])),
    )
    pixels = rng.integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
    weights: dict[str, np.ndarray] = {}
    steps: list[tuple[Any, ...]] = []
    first = int(rng.choice([8, 16, 20]))
    weights["in"] = _kernel(rng, first, 3, 1)
    shapes = [(first, height, width)]
    for number in range(int(rng.integers(2, 10))):
        last = len(shapes) - 1
        source = last if rng.random() < 0.75 else int(rng.integers(0, last + 1))
        kind = str(rng.choice(kinds))
        shape, step = _step(rng, kind, number, source, shapes, weights, least)
        shapes.append(shape)
        steps.append(step)

    def network(ops: Any, inputs: dict[str, Any], w: dict[str, Any]) -> Any:
        values = [ops.conv2d(ops.from_uint8(inputs["pixels"], -1, 1), w["in"])]
        for step in steps:
            values.append(_apply(ops, step, values, w))
        return values[-1]

    return Case(f"chain-{seed}", network, {"pixels": pixels}, weights)


def _kernel(rng: np.random.Generator, outputs: int, inputs: int, size: int) -> np.ndarray:
    values = rng.standard_normal((outputs, inputs, size, size), dtype=np.float32)
    return values / np.float32((inputs * size * size) ** 0.5)


def _step(
    rng: np.random.Generator,
    kind: str,
    number: int,
    source: int,
    shapes: list[tuple[int, int, int]],
    weights: dict[str, np.ndarray],
    least: int,
) -> tuple[tuple[int, int, int], tuple[Any, ...]]:
    """One op as (result's shape, (kind, source, how)); its weights are added under names of their own."""
    channels, height, width = shapes[source]
    name, after = f"{number}.", str(rng.choice(["", "", "relu", "prelu"]))

    def add(leaf: str, count: int, low: float = -1, high: float = 1) -> None:
        weights[name + leaf] = rng.uniform(low, high, count).astype(np.float32)

    if kind == "conv":
        outputs, size = int(rng.choice([8, 16, 20, *[channels] * 5])), int(rng.choice([1, 3]))
        biased = bool(rng.random() < 0.5)
        weights[name + "w"] = _kernel(rng, outputs, channels, size)
        add("b", outputs)
        add("slope", outputs)
        return (outputs, height, width), (kind, source, name, biased, after)
    if kind == "norm":
        for leaf in NORM:
            add(leaf, channels, 0.5 if leaf in ("gain", "var") else -1, 2)
        return (channels, height, width), (kind, source, name, after == "relu")
    if kind in ("activation", "instance"):
        add("slope", channels)
        return (channels, height, width), (kind, source, name, after == "prelu")
    others = [i for i, shape in enumerate(shapes) if shape == shapes[source] and i != source] or [source]
    other = others[int(rng.integers(0, len(others)))]
    if kind == "add":
        return (channels, height, width), (kind, source, other, bool(rng.random() < 0.75))
    if kind == "concat":
        beside = [
            i for i, shape in enumerate(shapes) if shape[1:] == shapes[source][1:] and channels % 16 == 0
        ]
        if beside and channels <= 48:
            other = beside[int(rng.integers(0, len(beside)))]
            return (channels + shapes[other][0], height, width), (kind, source, other)
    to = int(rng.integers(least, 12)), int(rng.integers(least, 12))
    mode = str(rng.choice(["nearest", "bilinear", "bilinear_corners"]))
    return (channels, *to), ("resize", source, to, mode)


def _apply(ops: Any, step: tuple[Any, ...], values: list[Any], w: dict[str, Any]) -> Any:
    kind, x, *how = step[0], values[step[1]], *step[2:]
    if kind == "conv":
        name, biased, after = how
        activation = {"relu": {"relu": True}, "prelu": {"prelu": w[name + "slope"]}}.get(after, {})
        return ops.conv2d(x, w[name + "w"], bias=w[name + "b"] if biased else None, **activation)
    if kind == "norm":
        name, relu = how
        return ops.batch_norm(x, *(w[name + leaf] for leaf in NORM), relu=relu)
    if kind in ("activation", "instance"):
        name, prelu = how
        op = ops.activation if kind == "activation" else ops.instance_norm
        return op(x, prelu=w[name + "slope"]) if prelu else op(x)
    if kind == "add":
        other, relu = how
        return ops.add(x, values[other], relu=relu)
    if kind == "concat":
        return ops.concat([x, values[how[0]]])
    return ops.resize(x, *how[0], how[1])


def error(case: Case) -> float:
    """Return the largest difference to PyTorch, relative to the largest value."""
    want = expected(case)
    got = run_case(case, "", "fp32")
    return float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-3))


def test_random_chains_agree_with_pytorch() -> None:
    wrong = {seed: round(off, 5) for seed in range(CHAINS) if not (off := error(chain(seed))) < TOLERANCE}
    assert not wrong


def test_chains_reach_every_rule_that_they_can() -> None:
    """The sample means something: it makes each of these steps and joints often."""
    kinds: Counter[str] = Counter()
    for seed in range(CHAINS):
        for step in record_case(chain(seed), "fp32")[0].steps:
            kinds[step.kind] += 1
            kinds.update(f"{step.kind}+{name}" for name in step.weights)
            kinds["residual"] += "residual" in step.buffers
            kinds["relu last"] += bool(step.numbers.get("relu_last"))
    for name in ("conv2d", "conv2d+bias", "conv2d+prelu", "affine", "affine+prelu", "add", "copy", "resize"):
        assert kinds[name] >= 100, name
    for name in ("residual", "relu last", "instance_norm+prelu"):
        assert kinds[name] >= 10, name


@pytest.mark.parametrize("broken", ["norm through an activation", "shared value", "activation before a sum"])
def test_a_rule_that_is_broken_makes_chains_fail(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if broken == "shared value":
        monkeypatch.setattr(Graph, "readers", lambda graph, buffer: 1)
    elif broken == "norm through an activation":
        monkeypatch.setattr(fusing, "_is_activated", lambda step: False)
    else:

        def early(graph: Graph, step: Any) -> bool:
            conv = graph.before(step, "x", "conv2d")
            if conv is None or "residual" not in conv.buffers or "prelu" in conv.weights:
                return False
            conv.weights["prelu"] = step.weights["prelu"]
            graph.fold(step, conv)
            return True

        monkeypatch.setitem(RULES, "activation", (early, *RULES["activation"]))

    def fails(seed: int) -> bool:
        try:
            return not error(chain(seed)) < TOLERANCE
        except Exception:  # a plan that the runtime refuses is found, too
            return True

    assert any(fails(seed) for seed in range(100))


def test_the_table_names_steps_of_either_side() -> None:
    assert set(RULES) - RUNTIME == {
        "activation", "batch_norm", "biased", "cubic_half", "latent_codes", "normalize", "sigmoid",
        "squeeze_excite",
    }  # fmt: skip
