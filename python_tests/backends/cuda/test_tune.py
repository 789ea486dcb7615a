"""The search for better tiles, without a device: candidates, choices, damaged files."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import interpreted  # noqa: F401
import pytest
from native_tools import SMALL

from benchmarks import gpu_work
from e4s_engine.backends.cuda import ahead, measured
from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.backends.cuda import tune as tuning
from e4s_engine.backends.plans import example, record
from e4s_engine.errors import BackendError
from e4s_engine.kernels import tiles
from e4s_engine.kernels.launch import Program, Tile
from e4s_engine.kernels.tiles import Block, Problem
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.networks.rgi.network import RGI
from e4s_engine.testing.portraits import portrait

LARGE = Problem("regional_conv", 65536, 512, 512, "bf16", 4)
SMALLER = Problem("conv2d", 1024, 512, 4608, "bf16")
LIMIT = compiling.SHARED_LIMIT[90]
BEST = Block(64, 128, 32, Tile(8, 3))


def milliseconds(problem: Problem, block: Block) -> float:
    """Time a tile on a card where one tile is fastest and tiles of 256 do not run."""
    if 256 in (block.m, block.n):
        raise BackendError("kernels: too much shared memory")
    likeness = tiles.distance(block, BEST)
    return (10 if problem == LARGE else 1) * (1 + likeness)


@pytest.mark.parametrize("problem", [LARGE, SMALLER, Problem("conv2d", 9, 3, 20, "f32")], ids=str)
@pytest.mark.parametrize("limit", sorted(set(compiling.SHARED_LIMIT.values())))
def test_candidates_fit_the_card(problem: Problem, limit: int) -> None:
    listed = tiles.candidates(problem, limit)
    assert listed and len(set(listed)) == len(listed)
    size = {"bf16": 2, "f32": 4}[problem.kind]
    for block in listed:
        assert (block.m + block.n) * block.k * size * block.tile.stages <= limit
        assert problem.depth % block.k == 0 or problem.depth % 16 != 0


def test_the_best_tile_is_found_and_taken() -> None:
    found: dict[Problem, Block] = {}
    report = tuning.tune([SMALLER, LARGE], milliseconds, LIMIT, 60.0, found)
    assert list(report) == [LARGE, SMALLER]  # the most expensive problem first
    for problem, (before, after) in report.items():
        assert before == milliseconds(problem, tiles.default(problem))
        assert after < before and milliseconds(problem, found[problem]) == after
        assert tiles.choose(problem, found) == found[problem]
    assert found[LARGE] == BEST
    other = dataclasses.replace(LARGE, rows=7)
    assert tiles.choose(other, found) == tiles.default(other)


def test_time_is_up_between_measurements() -> None:
    found: dict[Problem, Block] = {}
    ticks = itertools.count()
    report = tuning.tune([SMALLER, LARGE], milliseconds, LIMIT, 4, found, clock=lambda: next(ticks))
    assert set(report) == {LARGE, SMALLER} and set(found) <= {LARGE}
    before, after = report[SMALLER]
    assert before == after


def test_kept_under_the_cards_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    table = {LARGE: BEST, SMALLER: tiles.default(SMALLER)}
    measured.save("NVIDIA H200", table, tmp_path)
    assert measured.file_of("NVIDIA H200", tmp_path).name == "tiles-nvidia-h200.json"
    assert measured.load("NVIDIA H200", tmp_path) == table
    assert measured.load("another card", tmp_path) == {} and not caplog.records


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.pop("tiles"),
        lambda content: content["tiles"][0]["block"].update(m=48),
        lambda content: content["tiles"][0]["block"].update(m="64"),
        lambda content: content["tiles"][0]["block"]["tile"].update(stages=99),
        lambda content: content["tiles"][0]["problem"].update(rows=-1),
        lambda content: content["tiles"][0]["problem"].update(extra=1),
        lambda content: content.update(tiles=3),
    ],
)
def test_a_damaged_file_is_said_and_not_taken(damage, tmp_path, caplog) -> None:  # type: ignore[no-untyped-def]
    measured.save("card", {LARGE: BEST}, tmp_path)
    path = measured.file_of("card", tmp_path)
    content = json.loads(path.read_text())
    damage(content)
    path.write_text(json.dumps(content))
    assert measured.load("card", tmp_path) == {}
    assert "tune again" in caplog.text


def test_another_versions_tiles_are_not_taken(tmp_path: Path) -> None:
    measured.save("card", {LARGE: BEST}, tmp_path)
    path = measured.file_of("card", tmp_path)
    path.write_text(path.read_text().replace(measured._version()[2], "0" * 16))
    assert measured.load("card", tmp_path) == {}


def test_a_table_changes_one_launch_and_its_kernel() -> None:
    plan = record(SMALL, RGI.functions["encode"], "bf16", [(1, 128, 128, 3), (1, 512, 512)])
    plain = Program(plan)
    places = tuning.OnDevice(None, [(plain, {})], runs=1)
    problem = max(places.problems, key=lambda p: p.rows * p.columns * p.depth)
    block = next(b for b in tiles.candidates(problem, LIMIT) if b.tile != tiles.default(problem).tile)
    changed, launch = places.launch(problem, block)
    assert launch.problem == problem and launch.tile == block.tile
    assert [launch.constants[f"BLOCK_{side}"] for side in "MNK"] == [block.m, block.n, block.k]
    before, after = ({compiling.key(one, 90) for one in p.launches} for p in (plain, changed))
    assert after - before == {compiling.key(launch, 90)}
    assert set(changed.packed()) == set(plain.packed())  # weights do not depend on tiles


def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert tuning.main(["--device", "1000000"]) == 2
    assert "tune: device: " in capsys.readouterr().err


def test_networks_around_the_swap_are_measured_by_name() -> None:
    """Compile for one picture at a time, in the precision that an engine of bf16 chooses for them."""
    ((program, arrays),) = tuning.owned(["segnext"], ["bf16"], [1, 8], 90)
    assert program.plan.precision == "fp32" and program.plan.buffers[0].shape[0] == 1
    products = tuning.OnDevice(None, [(program, arrays)], runs=1).problems
    assert products and {problem.batch for problem in products} == {1}
    assert len(tuning.owned(["parser"], ["bf16"], [1, 8], 90)) == 2


def test_tiles_that_ship_cover_the_published_networks() -> None:
    """Every product of a swap on Hopper has a measured tile; other cards use the defaults."""
    table = measured.shipped(90)
    assert measured.shipped(80) == {}
    problems = {
        batch: {one.problem for one in ahead.launches("bf16", 90, batch)} - {None} for batch in (1, 8)
    }
    for listed in problems.values():
        deep = {problem for problem in listed if problem.taps > 1 and problem.rows >= 64}
        assert deep and all(tiles.known(problem, table) for problem in deep)
    forms = {one for listed in problems.values() for one in listed if one.kernel in tiles.FORMS}
    assert {one.kernel for one in forms} == set(tiles.FORMS)
    others = [
        one.problem
        for batch in (1, 8)
        for name in ("encode", "decode")
        for one in Program(example(ModelConfig(), name, "bf16", batch), table=dict.fromkeys(forms)).launches
    ]
    assert not forms & set(others)
    used = {one for listed in (*problems.values(), set(others) - {None}) for one in listed}
    assert set(table) <= {dataclasses.replace(problem, kind="bf16") for problem in used}
    assert all(block.m * block.n // (32 * block.tile.warps) <= 128 for block in table.values())


def test_a_batch_that_was_not_measured_takes_the_nearest_one() -> None:
    problem = Problem("conv2d", 256, 512, 512, "bf16", 1, 9)
    one, eight = Block(64, 64, 64, Tile(4, 3)), Block(128, 128, 64, Tile(8, 3))
    table = {problem: one, dataclasses.replace(problem, batch=8): eight}
    wanted = {1: one, 2: one, 4: eight, 16: eight}
    found = {b: tiles.choose(dataclasses.replace(problem, batch=b), table) for b in wanted}
    assert found == wanted
    assert tiles.choose(dataclasses.replace(problem, kind="f16", batch=7), table) == eight
    for other in (dataclasses.replace(problem, rows=1024), dataclasses.replace(problem, kind="f32")):
        assert tiles.choose(other, table) == tiles.default(other)


def test_forms_that_are_slower_in_their_network_are_refused() -> None:
    """A refusal is taken back when the form wins; other products are not asked."""
    slow, fast, again = (Problem("winograd", rows, 512, 512, "bf16", 16) for rows in (16, 64, 256))
    asked: list[Problem] = []

    def whole(problem: Problem, table: tiles.Table) -> float:
        asked.append(problem)
        return (2.0 if problem == slow else 0.5) if not tiles.refused(problem, table) else 1.0

    found: dict[Problem, Block | None] = {again: None}
    report = tuning.choose_forms([slow, LARGE, fast, again], whole, {}, found)
    assert report == {slow: (2.0, 1.0), fast: (0.5, 1.0), again: (0.5, 1.0)}
    assert found == {slow: None} and LARGE not in asked


def test_refusals_are_kept_and_change_the_program(tmp_path: Path) -> None:
    """Convolutions of small, deep maps go by Winograd's tiles, or as before where a table says so."""
    form = {one.problem for one in ahead.launches("bf16", 90) if one.kernel == "winograd.products"}
    assert {problem.rows for problem in form} == {64, 256}
    measured.save("card", dict.fromkeys(form), tmp_path)
    table = measured.load("card", tmp_path)
    assert table == dict.fromkeys(form)
    plan = example(ModelConfig(), "encode", "bf16")
    with_it, without = Program(plan), Program(plan, table=table)
    kernels = {one.kernel.partition(".")[0] for one in without.launches}
    assert "winograd" not in kernels and "conv2d" in kernels
    picture, labels = tuning.faces(with_it).values()
    assert picture.shape == (1, 1024, 1024, 3) and labels.shape == (1, 512, 512, 1)
    asked = [gpu_work.rows_asked(one, 64) for one in (labels[0, ..., 0], portrait(0)[1])]
    assert 0.8 < asked[0] / asked[1] < 1.25
