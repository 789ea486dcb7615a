"""Winograd's tiles of 4 x 4 pixels ("fp32_wide"): near those of 2 x 2, and the same bits however they run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cases import CASES
from native_tools import kernels, native, ready_case

from e4s_engine import ops
from e4s_engine.errors import ArgumentError
from e4s_engine.networks import registry
from e4s_engine.plan import WIDE, Plan
from e4s_engine.plan.fuse import fuse

ISAS = [isa for isa, precision in kernels() if precision == "fp32"]
# Inputs, outputs, height, width, samples, slices of a volume (1: none). "seven" has a kernel of 7 x 7.
SHAPES = {
    "odd_groups": (48, 80, 32, 36, 2, 1),
    "seven": (48, 80, 32, 36, 2, 1),
    "many_channels": (272, 19, 32, 32, 1, 1),
    "volumes": (32, 32, 32, 32, 2, 5),
    "deep_volume": (32, 32, 32, 32, 1, 50),
    "flattened": (32, 70, 32, 32, 2, 4),
}


def recorded(name: str, precision: str, samples: int = 0) -> tuple[Plan, dict[str, np.ndarray], np.ndarray]:
    """Return a convolution's plan, its weights and its input; maps have a residual and a leaky ReLU.

    samples: number of the last samples to take; 0: all.
    """
    inputs, outputs, height, width, batch, depth = SHAPES[name]
    rng = np.random.default_rng(len(name))
    deep = depth > 1 and name != "flattened"
    side = 7 if name == "seven" else 3
    kernel = (outputs, inputs, 3, 3, 3) if deep else (outputs, inputs * depth, side, side)
    weight = rng.standard_normal(kernel, np.float32) / np.float32(np.sqrt(np.prod(kernel[1:])))
    arrays = {"w": weight, "b": rng.standard_normal(outputs, np.float32)}
    x = rng.standard_normal((batch * depth, height, width, inputs), np.float32)[-samples * depth :]
    plan = Plan(precision)
    w = plan.weights({key: value.shape for key, value in arrays.items()}, "case")
    maps = plan.maps(*x.shape)
    if name == "flattened":
        y = ops.record.conv_slices(maps, w["w"], w["b"], depth=depth)
    elif deep:
        y = ops.record.conv3d(maps, w["w"], w["b"], depth=depth)
    else:
        y = ops.record.conv2d(maps, w["w"], bias=w["b"], slope=0.2)
        y = ops.record.add(y, ops.record.conv2d(maps, w["w"], bias=w["b"]), relu=True)
    plan.output(y)
    return fuse(plan), arrays, x


def run(
    name: str, isa: str, precision: str = WIDE, samples: int = 0, box: Any = None, **options: Any
) -> np.ndarray:
    """Run it in memory that starts as NaN, with guard bytes after every buffer."""
    plan, arrays, x = recorded(name, precision, samples)
    store = native.WeightStore(isa)
    store.add(plan, arrays)
    assert ({store.form(plan, step) for step in plan.steps} == {"", "winograd4"}) == (precision == WIDE)
    compiled = native.compile_plan(plan, store, isa, guard=True, poison=True, **options)
    result = np.full(plan.result, np.nan, np.float32)
    for _ in range(2):
        compiled.run([x, result], box=box)
    return result


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", SHAPES)
def test_they_agree_with_smaller_tiles(name: str, isa: str) -> None:
    wide, exact = run(name, isa), run(name, isa, "fp32")
    assert 0 < np.abs(wide - exact).max() < 1e-4 * np.abs(exact).max()


@pytest.mark.parametrize("name", SHAPES)
def test_threads_change_no_bit(name: str) -> None:
    assert np.array_equal(run(name, "", threads=1), run(name, ""))


@pytest.mark.parametrize("name", ["odd_groups", "seven"])
@pytest.mark.parametrize("box", [(0, 0, 1, 1), (5, 3, 18, 29), (31, 0, 32, 36), (8, 4, 16, 36)])
def test_a_box_has_the_bits_of_the_whole(name: str, box: tuple[int, int, int, int]) -> None:
    whole, part = run(name, ""), run(name, "", box=box)
    window = np.s_[:, box[0] : box[2], box[1] : box[3]]
    np.testing.assert_array_equal(part[window], whole[window])
    assert np.isnan(part).any()


@pytest.mark.parametrize("name", ["odd_groups", "volumes", "flattened"])
def test_batches_change_no_bit(name: str) -> None:
    last = run(name, "", samples=1)
    np.testing.assert_array_equal(run(name, "")[-len(last) :], last)


def test_regional_convolutions_do_without_them() -> None:
    case = next(case for case in CASES if case.name.startswith("regional-64-64-16-one"))
    plan, store, _ = ready_case(case, "fp32")
    buffers, steps = native.described(plan, store)
    regional = next(step for step in steps if step["kind"] == "regional_conv")
    kernel = np.ones((64, 64, 3, 3), np.float32)
    regional["weights"]["kernel"] = [store.packed.add_conv(kernel, None, None, "f32", "winograd4")]
    with pytest.raises(ArgumentError, match="winograd4 is for plain convolutions"):
        native._native.Plan(buffers, steps, store.packed)


def test_they_are_for_bf16_engines_alone() -> None:
    """An fp32 engine keeps the smaller tiles, and their bits."""
    wide = {
        (network.kind, name)
        for network in registry.NETWORKS.values()
        for name, function in network.functions.items()
        if function.on_cpu("bf16") == WIDE
    }
    assert {kind for kind, _ in wide} == {"facevid2vid", "parsenet", "retinaface"}
    assert all(registry.get(kind).function(name).on_cpu("fp32") == "fp32" for kind, name in wide)
