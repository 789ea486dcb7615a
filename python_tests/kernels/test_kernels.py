"""Every Triton kernel against PyTorch, in Triton's interpreter: no GPU is needed.

bf16 is tested on GPUs only: the interpreter multiplies it as integers. No line of a kernel treats it
otherwise than fp16.
"""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from cases import CASES, Case, make_labels
from kernel_tools import interpret, interpret_all, run
from native_tools import expected, record_case

from e4s_engine import regions
from e4s_engine.kernels import module
from e4s_engine.kernels.launch import SIZES, Operand
from e4s_engine.photo import align, blend
from e4s_engine.pipeline import compose

# Largest error relative to the largest value; fp16 rounds to 11 bits after every step.
TOLERANCE = {"fp32": 2e-5, "fp16": 1e-2}

# The largest shapes take the interpreter ten seconds each: run half of their variants.
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


# Tiles that a card may use and the interpreter's defaults do not cover: depths shared by two programs, and
# column blocks of one, two and more parities of an upsampling layer.
SHARED = [
    case
    for case in CASES
    if re.match(r"(conv-(33|64)|norm|unit|widening|both|general|regional-(24|48|64-64-16))-", case.name)
]


@pytest.mark.parametrize("case", SHARED[::2], ids=str)
def test_shared_depth(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = module("tiles")
    default = tiles.default

    def halved(problem: tiles.Problem) -> tiles.Block:  # type: ignore[name-defined]
        block = default(problem)
        if problem.taps == 1 or problem.depth % 32:
            return block
        return dataclasses.replace(block, m=min(block.m, 64), k=16, split=2)

    monkeypatch.setattr(tiles, "default", halved)
    check(case, "fp32")


@pytest.mark.parametrize("columns", [16, 32, 64])
def test_parities_of_an_upsampling_layer(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tiles = module("tiles")
    default = tiles.default

    def narrow(problem: tiles.Problem) -> tiles.Block:  # type: ignore[name-defined]
        block = default(problem)
        return dataclasses.replace(block, n=columns) if problem.kernel == "transposed" else block

    monkeypatch.setattr(tiles, "default", narrow)
    for case in CASES:
        if re.match(r"regional-(16-16-1|20-40-7)-up-bands", case.name):
            check(case, "fp32")


# Regions of swaps: the whole face, one region, several, those never painted over by others, and all.
TAKEN = (None, (regions.EYES,), (regions.LIPS, regions.MOUTH, regions.SKIN), (regions.HAIR,),
         (regions.BACKGROUND, regions.GLASSES), tuple(range(regions.COUNT)), ())  # fmt: skip


@pytest.mark.parametrize(("given", "kept"), [("twelve", "twelve"), ("bands", "checkerboard")])
def test_composed_labels(given: str, kept: str) -> None:
    rng = np.random.default_rng(3)
    count, area = len(TAKEN), 512 * 512
    source, target = (make_labels(kind, count, 512, rng) for kind in (given, kept))
    chosen = np.stack([compose.request(taken, mask) for taken, mask in zip(TAKEN, source, strict=True)])
    slots = [Operand(i, "u8") for i in range(6)]
    launch = module("compose").launch_labels(*slots[:3], tuple(slots[3:]), count)
    sizes = [count * area, count * area, chosen.size, *[count * area] * 3]
    out = [made.reshape(source.shape) for made in interpret(launch, [source, target, chosen], sizes)[3:]]
    for i, taken in enumerate(TAKEN):
        if taken is not None:
            ids = compose.shown(source[i], taken)
            labels, holes = compose.region_labels([(source[i], ids)], target[i])
            foreground = compose.region_foreground(ids, labels, holes, target[i])
        else:
            labels, holes = compose.whole_face_labels(source[i], target[i], earrings_first=False)
            foreground = compose.whole_face_foreground(labels, holes)
        for made, want in zip(out, (labels, holes, foreground), strict=True):
            assert np.array_equal(made[i], want.astype(np.uint8)), taken


def test_composed_styles() -> None:
    count = len(TAKEN)
    source, target = np.random.default_rng(4).standard_normal((2, 3 * count, 12, 40)).astype(np.float32)
    source[1::3, [7, 9, 4, 6]] = 0  # no ears, no inner mouth, no hair, no skin
    target[2::3, [1, 4, 9]] = 0
    every = np.arange(regions.COUNT, dtype=np.uint8)
    chosen = np.repeat([compose.request(taken, every) for taken in TAKEN], 3, axis=0)
    f32, u8 = (lambda i: Operand(i, "f32")), (lambda i: Operand(i, "u8"))
    launch = module("compose").launch_styles(f32(0), f32(1), u8(2), f32(3), 3 * count, 40)
    sizes = [source.nbytes, source.nbytes, chosen.size, source.nbytes]
    out = interpret(launch, [source, target, chosen], sizes)[3].view(np.float32).reshape(source.shape)
    for s, t, taken, got in zip(source, target, np.repeat(np.arange(count), 3), out, strict=True):
        ids = TAKEN[taken]
        whole = ids is None
        want = compose.whole_face_styles(s, t) if whole else compose.region_styles([(s, ids)], t)
        want = compose.complete_styles(want, [(s, regions.FACE if whole else ids)], t)
        assert np.allclose(got, want, atol=1e-6)


@pytest.mark.parametrize("side", [24, 40])
def test_the_feathered_paste(side: int) -> None:
    """All its passes agree with the pipeline's own blending, in batch 2; both sizes are small."""
    dice = np.random.default_rng(side)
    full, area = 2 * side, side * side
    labels = dice.choice([0, 4, 6, 6, 6, 11], (2, side, side)).astype(np.uint8)
    labels[:, 4:-6, 5:-4] = 6
    labels[1] = 6
    foreground = compose.whole_face_foreground(labels, dice.random((2, side, side)) < 0.01)
    face, photo = dice.integers(0, 256, (2, 2, full, full, 3), dtype=np.uint8)
    feather = module("feather")
    blocks = [("u8", area), *[("u8", 12 * area)] * 3, *feather.temporaries(side)]
    sizes = [2 * SIZES[kind] * count for kind, count in blocks]
    slots = {n: Operand(i, "u8") for i, n in enumerate(("foreground", "face", "photo", "pasted"))}
    temporaries = [Operand(i, kind) for i, (kind, _) in enumerate(blocks)][4:]
    given = {0: foreground.astype(np.uint8), 1: face, 2: photo}
    made = interpret_all(feather.launches(slots, temporaries, 2, side), given, sizes)
    pasted = made[3].reshape(2, full, full, 3)
    for i in range(2):
        alpha = blend_at(foreground[i], full)
        want = align.composite(photo[i], face[i], alpha).astype(int)
        assert np.abs(pasted[i] - want).max() <= 1
        assert (pasted[i] == want).mean() > 0.999
    assert 0 < (pasted[0] == photo[0]).mean() < 1


def blend_at(foreground: np.ndarray, full: int) -> np.ndarray:
    """Compute the feathered `blend.alpha` at another size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blend, "CROP", full)
        return blend.alpha(foreground, "feather")
