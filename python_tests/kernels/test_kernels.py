"""Every Triton kernel against PyTorch, in Triton's interpreter: no GPU is needed.

bf16 is tested on GPUs only: the interpreter multiplies it as integers. No line of a kernel treats it
otherwise than fp16.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from cases import CASES, Case, make_labels
from kernel_tools import interpret, interpret_all, run
from native_tools import expected, record_case
from PIL import Image

from benchmarks import gpu_work
from e4s_engine import regions
from e4s_engine.backends.cuda import swap
from e4s_engine.kernels import module
from e4s_engine.kernels.launch import SIZES, Launch, Operand, Program, blocks, constants
from e4s_engine.networks.rgi import relight as relighting
from e4s_engine.options import SwapOptions
from e4s_engine.photo import align, blend, images
from e4s_engine.pipeline import compose, pipeline
from e4s_engine.pipeline.located import Portrait
from e4s_engine.pipeline.portraits import Job, Part, Regions, WholeFace
from e4s_engine.result import Face
from e4s_engine.testing.portraits import portrait

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


# The longest of every kind, beside shorter ones that run the same lines.
LONG = re.compile(
    r"regional-(64-64-16|64-64-35-twelve|48-32|24-80-9-(one|twelve|checkerboard))"
    r"|volume-.*(k7|16x18).*joined|depthwise-.*-5x5|motion-17.*moved"
)


def some(cases: list[Case]) -> list[Any]:
    """Return cases as parameters; CI leaves out the longest."""
    return [pytest.param(case, marks=pytest.mark.sweep if LONG.match(case.name) else ()) for case in cases]


def check(case: Case, precision: str) -> None:
    got = run(*record_case(case, precision), case.weights)
    want = expected(case)
    assert got.shape == want.shape
    if got.dtype == np.uint8:
        assert (got == want).mean() > (0.999 if precision == "fp32" else 0.95)
        return
    assert np.isfinite(got).all()
    assert np.abs(got - want).max() / max(np.abs(want).max(), 1e-3) < TOLERANCE[precision]


@pytest.mark.parametrize("case", some(INTERPRETED), ids=str)
def test_agrees_with_reference(case: Case) -> None:
    check(case, "fp32")


@pytest.mark.parametrize("case", some(SMALL[::9]), ids=str)
def test_half_precision(case: Case) -> None:
    check(case, "fp16")


# Layers with regions, whose maps are spread first: border pixels have several copies, or too many regions.
SPREAD = [case for case in SMALL if re.match(r"(regional|chain)-.*-(twelve|checkerboard|bands)", case.name)]


@pytest.mark.parametrize("case", some(SPREAD), ids=str)
def test_spread_maps(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module("spread"), "LEAST", 1)
    check(case, "fp32")


@pytest.mark.parametrize(
    ("kind", "most"),
    [("twelve", ""), ("checkerboard", ""), ("bands", ""), ("bands", "few rows"), ("bands", "refused")],
)
def test_seams(kind: str, most: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Upsampling with regions: in rows of quads, if labels ask for more than fit, if a table refuses it."""
    (case,) = (case for case in CASES if case.name == f"regional-20-40-7-up-{kind}-n1")
    spread, seams, tiles = module("spread"), module("seams"), module("tiles")
    monkeypatch.setattr(spread, "LEAST", 1)
    monkeypatch.setattr(seams, "SHARE", 0 if most == "few rows" else 12)
    if most == "refused":
        monkeypatch.setattr(tiles, "refused", lambda problem, table: True)
    launches = Program(record_case(case, "fp32")[0]).launches
    assert any(launch.kernel == "seams.ranked" for launch in launches) == (most != "refused")
    check(case, "fp32")


def test_rows_at_borders() -> None:
    """Every quad has a row for each region that reads it, its own region's first, as the benchmark counts."""
    side, most = 16, 600
    quads = (side + 1) ** 2
    labels = regions.resize_nearest(portrait(0)[1], 2 * side)
    spread, seams = module("spread"), module("seams")
    i32 = [Operand(i, "i32") for i in range(5)]
    near = Launch(
        "spread.nearby", {"labels": Operand(0, "u8"), "y": i32[1]}, ("y",),
        constants(h=2 * side, w=2 * side, rows=side + 1, columns=side + 1, scale=2, first=-2, last=3,
                  block=spread.BLOCK), (blocks(quads, spread.BLOCK), 1), 1,
    )  # fmt: skip
    written = {"starts": i32[2], "entries": i32[3], "count": i32[4]}
    ranked = Launch(
        "seams.ranked", {"near": i32[1], **written}, tuple(written),
        constants(quads=quads, most=most, others=regions.COUNT - 1, block=seams.BLOCK), (1, 1), 1,
    )  # fmt: skip
    sizes = [labels.size, 4 * quads, 4 * quads, 4 * most, 4]
    made = [block.view(np.int32) for block in interpret_all([near, ranked], {0: labels}, sizes)[2:]]
    starts, entries, count = made[0], made[1], int(made[2][0])
    assert count == gpu_work.rows_asked(labels, side) < most
    assert (entries[count:] == -1).all()  # poisoned memory: nothing was written there
    wanted = set()
    for quad in range(quads):
        row, column = 2 * (quad // (side + 1)), 2 * (quad % (side + 1))
        window = labels[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
        wanted |= {quad | int(region) << 24 for region in np.unique(window)}
        assert entries[quad] == quad | int(labels[min(row, 31), min(column, 31)]) << 24
        if starts[quad] < count:
            assert entries[starts[quad]] & 0xFFFFFF >= quad
    assert set(entries[:count].tolist()) == wanted and len(wanted) == count


@pytest.mark.parametrize("limits", [(64, 64, 64), (0, 64, 0)])
def test_patches_of_outputs(limits: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    patches = module("patches")
    for name, limit in zip(("SQUARES", "PAIRS", "PHASES"), limits, strict=True):
        monkeypatch.setattr(patches, name, limit)
    monkeypatch.setattr(patches, "LEAST", 1)
    for case in CASES:
        if re.match(r"last-|regional-(16-16-1|20-40-7|16-24)-.*bands", case.name):
            check(case, "fp32")


# Tiles that a card may use and the interpreter's defaults do not cover: depths shared by two programs, and
# column blocks of one, two and more parities of an upsampling layer.
SHARED = [
    case
    for case in CASES
    if re.match(r"(conv-(33|64)|norm|unit|widening|both|general|regional-(24|48|64-64-16))-", case.name)
]


@pytest.mark.parametrize("case", some(SHARED[::2]), ids=str)
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


@pytest.mark.parametrize("case", [case for case in CASES if case.name.startswith("units-")], ids=str)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_winograd(case: Case, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains of convolutions hand each other planes; a table that refuses the form gets the other one."""
    winograd, tiles = module("winograd"), module("tiles")
    monkeypatch.setattr(winograd, "LEAST_CHANNELS", 16)
    monkeypatch.setattr(winograd, "LEAST_PIXELS", 4)
    plan, _ = record_case(case, precision)
    launches = Program(plan).launches
    problems = {launch.problem for launch in launches if launch.kernel == "winograd.products"}
    assert len([launch for launch in launches if launch.problem in problems]) == 5
    refused = Program(plan, table=dict.fromkeys(problems)).launches
    assert not any(launch.kernel.startswith("winograd") for launch in refused)
    assert {one.kernel for one in problems} <= set(tiles.FORMS)
    check(case, precision)


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


def settings_of(options: SwapOptions, count: int) -> np.ndarray:
    return np.array([[getattr(options, name) for name in compose.SETTINGS]] * count, np.float32)


@pytest.mark.parametrize(("given", "kept"), [("twelve", "blocks"), ("blocks", "blocks")])
def test_composed_labels(given: str, kept: str) -> None:
    rng = np.random.default_rng(3)
    count, area = len(TAKEN), 512 * 512
    source, target = (make_labels(kind, count, 512, rng) for kind in (given, kept))
    chosen = np.stack([compose.request(taken, mask) for taken, mask in zip(TAKEN, source, strict=True)])
    settings = settings_of(SwapOptions(), count)
    sizes = [count * area, count * area, chosen.size, settings.nbytes, *[count * area] * 4]
    given = dict(enumerate((source, target, chosen, settings)))
    out = [made.reshape(source.shape) for made in interpret_all(label_launches(count), given, sizes)[4:7]]
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


def composed_slots() -> tuple[tuple[Operand, ...], tuple[Operand, ...]]:
    """Return the operands of `launch_labels`: those that it reads, and those that it writes."""
    return (*(Operand(i, "u8") for i in range(3)), Operand(3, "f32")), tuple(
        Operand(i, "u8") for i in range(4, 7)
    )


def label_launches(batch: int, people: int = 1) -> list[Launch]:
    """Return the launches of labels, holes and foreground, of `composed_slots` and a temporary.

    Their blocks are large: the interpreter takes as long for a small one.
    """
    given, made = composed_slots()
    slots = (given[1], given[2], (made[0], made[2]), Operand(7, "u8"), batch, people)
    compose = module("compose")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compose, "BLOCK", 1 << 16)
        return [compose.launch_labels(given, made, batch, people), *compose.band_launches(*slots)]


def style_slots() -> tuple[Operand, ...]:
    return Operand(0, "f32"), Operand(1, "f32"), Operand(2, "u8"), Operand(3, "f32")


def test_composed_styles() -> None:
    count = len(TAKEN)
    source, target = np.random.default_rng(4).standard_normal((2, 3 * count, 12, 40)).astype(np.float32)
    source[1::3, [7, 9, 4, 6]] = 0  # no ears, no inner mouth, no hair, no skin
    target[2::3, [1, 4, 9]] = 0
    every = np.arange(regions.COUNT, dtype=np.uint8)
    chosen = np.repeat([compose.request(taken, every) for taken in TAKEN], 3, axis=0)
    settings = settings_of(SwapOptions(), 3 * count)
    launch = module("compose").launch_styles(style_slots(), Operand(4, "f32"), 3 * count, 40)
    sizes = [source.nbytes, source.nbytes, chosen.size, settings.nbytes, source.nbytes]
    given = [source, target, chosen, settings]
    out = interpret(launch, given, sizes)[4].view(np.float32).reshape(source.shape)
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
    blocks = [("u8", area), *[("u8", 12 * area)] * 3, ("u8", 4 * area), *feather.temporaries(side)]
    sizes = [2 * SIZES[kind] * count for kind, count in blocks]
    slots = {n: Operand(i, "u8") for i, n in enumerate(("foreground", "face", "photo", "pasted", "opacity"))}
    temporaries = [Operand(i, kind) for i, (kind, _) in enumerate(blocks)][5:]
    given = {0: foreground.astype(np.uint8), 1: face, 2: photo}
    made = interpret_all(feather.launches(slots, temporaries, 2, side), given, sizes)
    pasted = made[3].reshape(2, full, full, 3)
    for i in range(2):
        alpha = blend_at(foreground[i], full)
        want = align.composite(photo[i], face[i], alpha).astype(int)
        assert np.abs(pasted[i] - want).max() <= 1
        assert (pasted[i] == want).mean() > 0.999
        opacity = made[4].reshape(2, full, full)[i].astype(int)
        assert np.abs(opacity - alpha).max() <= 1 and (opacity == alpha).mean() > 0.999
    assert 0 < (pasted[0] == photo[0]).mean() < 1


ASKED = (
    SwapOptions(),
    SwapOptions(hair_first=False),
    SwapOptions(hair_first=False, earrings_first=True),
    SwapOptions(shape=False, extent=0.25),
    SwapOptions(texture=False, earrings_first=True),
    SwapOptions(extent=0.0),
)


@pytest.mark.parametrize("people", [1, 3])
def test_composition_follows_the_options(people: int) -> None:
    """Labels and styles of one source and of several, by every option, as the pipeline composes them."""
    dice, area = np.random.default_rng(people), 512 * 512
    shares = [[regions.HAIR, regions.NOSE], [regions.EYES, regions.SKIN, regions.EARS], [regions.LIPS]]
    kinds = ["bands", "checkerboard", "twelve"]
    source = np.stack([make_labels(kind, 1, 512, dice)[0] for kind in kinds[:people]])
    target = make_labels("checkerboard", 1, 512, dice)
    vectors, own = dice.standard_normal((people, 12, 40)), dice.standard_normal((1, 12, 40))
    vectors, own = vectors.astype(np.float32), own.astype(np.float32)
    own[0, [1, 3, 7]] = 0
    vectors[-1, 1] = 0
    for options in ASKED:
        for whole in (True, False) if people == 1 else (False,):
            parts = [None] if whole else shares[:people]
            chosen = np.stack([compose.request(ids, mask) for ids, mask in zip(parts, source, strict=True)])
            settings = settings_of(options, 1)
            faces = [Face(mask, style) for mask, style in zip(source, vectors, strict=True)]
            want = stages_of(faces, Face(target[0], own[0]), parts, options)
            sizes = [people * area, area, chosen.size, settings.nbytes, *[area] * 4]
            pictures = dict(enumerate((source, target, chosen, settings)))
            made = interpret_all(label_launches(1, people), pictures, sizes)[4:7]
            for got, wanted in zip(made, (want.labels, want.holes, want.foreground), strict=True):
                assert np.array_equal(got.reshape(512, 512), wanted.astype(np.uint8)), (options, whole)
            launch = module("compose").launch_styles(style_slots(), Operand(4, "f32"), 1, 40, people)
            sizes = [vectors.nbytes, own.nbytes, chosen.size, settings.nbytes, own.nbytes]
            made = interpret(launch, [vectors, own, chosen, settings], sizes)[4].view(np.float32)
            assert np.allclose(made.reshape(12, 40), want.styles, atol=1e-6), (options, whole)


def stages_of(
    faces: list[Face], target: Face, parts: list[list[int] | None], options: SwapOptions
) -> compose.Composed:
    """Compose faces as the pipeline's stages do."""
    kept = Portrait("target", None)  # type: ignore[arg-type]
    given = tuple(Part(face, tuple(ids or ())) for face, ids in zip(faces, parts, strict=True))
    request = (
        WholeFace() if parts[0] is None else Regions(tuple(sorted(r for ids in parts for r in ids or ())))
    )
    known = {face: face for face in faces}
    return pipeline._compose(Job(kept, given, request), {**known, kept: target}, options, None)


@pytest.mark.parametrize("sides", [(16, 64), (24, 64), (96, 64)])
def test_pictures_are_enlarged_as_pillow_does_it(sides: tuple[int, int]) -> None:
    side, full = sides
    pictures = np.random.default_rng(side).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    pictures[1] = np.where(pictures[1] > 127, 255, 0)  # overshoots
    enlarge = module("enlarge")
    sizes = [pictures.nbytes, *(2 * count for _, count in enlarge.temporaries(side, full))]
    slots = [Operand(i, "u8") for i in range(3)]
    made = interpret_all(enlarge.launches(*slots, sides, 2), {0: pictures}, sizes)[2]
    want = [images.resize(picture, full, full, Image.Resampling.LANCZOS) for picture in pictures]
    assert np.array_equal(made.reshape(2, full, full, 3), np.stack(want))


@pytest.mark.parametrize("people", [1, 2])
def test_relit_styles(people: int) -> None:
    length, hidden, batch = 40, 24, 2
    dice = np.random.default_rng(8)
    shapes = {"light.weight": (hidden, length), "inner.weight": (hidden, length), "inner.bias": (hidden,),
              "shift.weight": (hidden, hidden), "outer.weight": (length, hidden)}  # fmt: skip
    arrays = {
        f"relight.{region}.{leaf}": dice.standard_normal(shape).astype(np.float32) / 4
        for region in range(12)
        for leaf, shape in shapes.items()
    } | {"relight.light.bias": dice.standard_normal(hidden).astype(np.float32)}
    source = dice.standard_normal((batch, people, 12, length)).astype(np.float32)
    target = dice.standard_normal((batch, 12, length)).astype(np.float32)
    source[1, :, 3] = 0
    f32 = [Operand(i, "f32") for i in range(5)]
    sizes = [source.nbytes, target.nbytes, batch * people * hidden * 4, batch * hidden * 4, source.nbytes]
    listed = module("relight").launches(
        f32[0], f32[1], (f32[2], f32[3]), f32[4], swap.relighting_layers(), relighting.SLOPE,
        (length, hidden), batch, people,
    )  # fmt: skip
    made = interpret_all(listed, {0: source, 1: target}, sizes, arrays)[4].view(np.float32)
    layers = relighting.layers(arrays, np.stack)
    for number in range(people):
        want = relighting.relight(source[:, number], target, layers)
        got = made.reshape(source.shape)[:, number]
        assert np.allclose(got, want, atol=1e-4) and not got[1, 3].any()


def blend_at(foreground: np.ndarray, full: int) -> np.ndarray:
    """Compute the feathered `blend.alpha` at another size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blend, "CROP", full)
        return blend.alpha(foreground, "feather")
