"""Runs of a part of the result: the same bits as the whole, and nothing read outside the cone."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from cases import REGIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from native_tools import EMULATED, SMALL, kernels, make_model, native

from e4s_engine.backends.plans import example
from e4s_engine.errors import ArgumentError
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.testing.loaded import loaded
from e4s_engine.testing.portraits import portrait

# Wide enough for Winograd's form, odd groups of channels, strips of several chunks, and layers with and
# without regions.
WIDE = ModelConfig(
    size=128, channels=(64, 64, 64, 80, 32, 16), latents=12, latent_dim=32, injected=10, mlp_hidden=32,
    stem=16, stages=((16, 1), (32, 2), (48, 1), (32, 1)), encoder_size=64,
)  # fmt: skip
CONFIGS = {"small": SMALL, "wide": WIDE}
MAPS = ("noise", "blocks", "portrait")


@functools.cache
def bound(name: str, isa: str, precision: str, threads: int, poison: bool) -> tuple[Any, Any]:
    config = CONFIGS[name]
    plan, store = example(config, "decode", precision, batch=2), native.WeightStore(isa)
    store.add(plan, make_model(config).tensors)
    # Poisoned runs fill every block with NaN before its first step: a read outside the cone would show.
    return plan, native.compile_plan(plan, store, isa, threads=threads, poison=poison, guard=poison)


def drawn(config: ModelConfig, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = {
        "noise": lambda: rng.integers(0, REGIONS, (2, 512, 512)),
        "blocks": lambda: np.kron(rng.integers(0, REGIONS, (2, 16, 16)), np.ones((1, 32, 32), int)),
        "portrait": lambda: np.stack([portrait(seed % 7)[1], portrait(seed % 5)[1]]),
    }[kind]()
    return rng.standard_normal((2, REGIONS, config.style_dim)).astype(np.float32), labels.astype(np.uint8)


def test_the_share_of_a_box_is_of_the_work() -> None:
    """All of it for the whole picture; for a part less than for a larger one, and more than its pixels'."""
    backend = loaded(native.Native("fp32"), make_model(CONFIGS["wide"]))
    shares = [backend.share("rgi", "decode", (0, 0, side, side)) for side in (16, 32, 64, 128)]
    assert shares == sorted(shares) and 1 / 64 < shares[0] < shares[2] < 1 and shares[3] == 1


@st.composite
def boxes(draw: Any, side: int) -> tuple[int, int, int, int]:
    (top, bottom), (left, right) = (
        sorted(draw(st.lists(st.integers(0, side), min_size=2, max_size=2, unique=True))) for _ in range(2)
    )
    return top, left, bottom, right


@pytest.mark.parametrize(("isa", "precision"), [*kernels(), EMULATED])
@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=15)
@given(data=st.data())
def test_a_box_has_the_bits_of_the_whole(name: str, isa: str, precision: str, data: Any) -> None:
    config = CONFIGS[name]
    threads = data.draw(st.integers(1, 3))
    box = data.draw(boxes(config.size))
    inputs = drawn(config, data.draw(st.sampled_from(MAPS)), data.draw(st.integers(0, 99)))
    plan, whole = bound(name, isa, precision, 1, False)
    _, poisoned = bound(name, isa, precision, threads, True)
    expected, part = np.empty(plan.result, np.float32), np.full(plan.result, 7, np.float32)
    whole.run([*inputs, expected])
    poisoned.run([*inputs, part], box=box)
    window = (slice(None), slice(box[0], box[2]), slice(box[1], box[3]))
    np.testing.assert_array_equal(part[window], expected[window])
    top, left = box[0] // 2 * 2, box[1] // 2 * 2  # boxes grow to even sides at most
    part[:, top : box[2] + box[2] % 2, left : box[3] + box[3] % 2] = 7
    assert (part == 7).all()


def test_a_cone_narrows_towards_the_result() -> None:
    plan, compiled = bound("wide", "portable", "fp32", 1, False)
    sides = {}
    for step, (top, left, bottom, right) in zip(plan.steps, compiled.boxes((60, 64, 62, 66)), strict=True):
        height, width = plan.buffers[step.buffers["y"]].shape[1:3]
        assert 0 <= top < bottom <= height and 0 <= left < right <= width
        if step.kind == "regional_conv":
            sides[height] = bottom - top
    assert sides[128] == 2 and sides[4] == 4 and sides[64] < 16
    everything = compiled.boxes(None)
    assert everything[-1] == [0, 0, 128, 128]


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (3, 3, 2, 9), (-1, 0, 5, 5), (0, 0, 129, 5), (0, 5, 128, 130)])
def test_impossible_boxes_are_refused(box: tuple[int, ...]) -> None:
    plan, compiled = bound("wide", "portable", "fp32", 1, False)
    with pytest.raises(ArgumentError, match="box"):
        compiled.run([*drawn(WIDE, "blocks", 0), np.empty(plan.result, np.float32)], box=box)


def test_every_sample_has_its_own_box() -> None:
    backend = loaded(native.Native("fp32"), make_model(SMALL))
    styles, labels = drawn(SMALL, "portrait", 0)
    whole = backend.run("rgi", "decode", styles, labels)
    wanted = np.array([[0, 0, 9, 9], [20, 22, 32, 31]])
    parts = backend.run("rgi", "decode", styles, labels, boxes=wanted)
    for got, expected, (top, left, bottom, right) in zip(parts, whole, wanted, strict=True):
        np.testing.assert_array_equal(got[top:bottom, left:right], expected[top:bottom, left:right])
