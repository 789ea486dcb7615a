"""Every Triton kernel against PyTorch, in Triton's interpreter: no GPU is needed.

bf16 is left to GPUs: the interpreter multiplies it as integers. No line of a kernel tells it from fp16.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from cases import CASES, Case, make_labels
from kernel_tools import interpret, interpret_all, run
from native_tools import expected, record_case

from e4s_engine import align, blend, compose
from e4s_engine.kernels import module
from e4s_engine.kernels.launch import SIZES, Operand

# Largest error relative to the largest value; fp16 rounds to 11 bits after every step.
TOLERANCE = {"fp32": 2e-5, "fp16": 1e-2}

# The largest shapes take the interpreter ten seconds each: of those, half the variants.
INTERPRETED = [
    case
    for case in CASES
    if not re.match(r"regional-(48|64).*-(one|checkerboard)|conv-(272|64-80|96).*relu", case.name)
]
# NumPy multiplies 16-bit matrices without BLAS.
SMALL = [case for case in CASES if not re.match(r"regional-(48|64)|conv-(272|64-80|96)", case.name)]


def check(case: Case, precision: str) -> None:
    got = run(*record_case(case, precision), case.weights)
    want = expected(case)
    assert got.shape == want.shape
    if got.dtype == np.uint8:
        assert (got == want).mean() > (0.999 if precision == "fp32" else 0.95)
        return
    assert np.isfinite(got).all()
    assert np.abs(got - want).max() / max(np.abs(want).max(), 1e-3) < TOLERANCE[precision]


@pytest.mark.parametrize("case", INTERPRETED, ids=str)
def test_agrees_with_reference(case: Case) -> None:
    check(case, "fp32")


@pytest.mark.parametrize("case", SMALL[::9], ids=str)
def test_half_precision(case: Case) -> None:
    check(case, "fp16")


@pytest.mark.parametrize("hair_first", [True, False])
def test_composed_labels(hair_first: bool) -> None:
    rng = np.random.default_rng(3)
    source = np.concatenate([make_labels(kind, 1, 512, rng) for kind in ("twelve", "bands")])
    target = np.concatenate([make_labels(kind, 1, 512, rng) for kind in ("twelve", "checkerboard")])
    launch = module("compose").launch_labels(
        *(Operand(i, "u8") for i in range(4)), batch=2, hair_first=hair_first
    )
    out = interpret(launch, [source, target], [source.size] * 4)
    for i in range(2):
        labels, holes = compose.whole_face_labels(source[i], target[i], hair_first)
        assert np.array_equal(out[2].reshape(source.shape)[i], labels)
        assert np.array_equal(out[3].reshape(source.shape)[i].astype(bool), holes)


@pytest.mark.parametrize("extent", [1.0, 0.25])
def test_composed_styles(extent: float) -> None:
    source, target = np.random.default_rng(4).standard_normal((2, 3, 12, 40)).astype(np.float32)
    source[1, [7, 9]] = 0  # no ears, no inner mouth
    target[2, [1, 4, 9]] = 0
    launch = module("compose").launch_styles(*(Operand(i, "f32") for i in range(3)), 3, 40, extent)
    out = interpret(launch, [source, target], [source.nbytes] * 3)[2].view(np.float32).reshape(source.shape)
    for s, t, got in zip(source, target, out, strict=True):
        want = compose.whole_face_styles(s, t, extent)
        want = compose.complete_styles(want, [(s, (1, 2, 3, 5, 6, 9))], t)
        assert np.allclose(got, want, atol=1e-6)


@pytest.mark.parametrize("side", [24, 40])
def test_the_feathered_paste(side: int) -> None:
    """All of its passes, batch 2, against the pipeline's own blending; both sizes are small ones."""
    dice = np.random.default_rng(side)
    full, area = 2 * side, side * side
    labels = dice.choice([0, 4, 6, 6, 6, 11], (2, side, side)).astype(np.uint8)
    labels[:, 4:-6, 5:-4] = 6
    labels[1] = 6
    holes = (dice.random((2, side, side)) < 0.01).astype(np.uint8)
    face, photo = dice.integers(0, 256, (2, 2, full, full, 3), dtype=np.uint8)
    feather = module("feather")
    blocks = [("u8", area), ("u8", area), *[("u8", 12 * area)] * 3, *feather.temporaries(side)]
    sizes = [2 * SIZES[kind] * count for kind, count in blocks]
    slots = {n: Operand(i, "u8") for i, n in enumerate(("labels", "holes", "face", "photo", "pasted"))}
    temporaries = [Operand(i, kind) for i, (kind, _) in enumerate(blocks)][5:]
    given = {0: labels, 1: holes, 2: face, 3: photo}
    made = interpret_all(feather.launches(slots, temporaries, 2, side), given, sizes)
    pasted = made[4].reshape(2, full, full, 3)
    for i in range(2):
        foreground = compose.whole_face_foreground(labels[i], holes[i].astype(bool))
        alpha = blend_at(foreground, full)
        want = align.composite(photo[i], face[i], alpha).astype(int)
        assert np.abs(pasted[i] - want).max() <= 1
        assert (pasted[i] == want).mean() > 0.999
    assert 0 < (pasted[0] == photo[0]).mean() < 1


def blend_at(foreground: np.ndarray, full: int) -> np.ndarray:
    """`blend.alpha`, feathered, at another size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blend, "CROP", full)
        return blend.alpha(foreground, "feather")
