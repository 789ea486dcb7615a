"""A decode's convolutions over spread maps and patches (kernels/spread.py, patches.py) against the old forms.

    python -m benchmarks.gpu_spread --compile --arch 90      # anywhere with Triton: fills E4S_CACHE
    python -m benchmarks.gpu_spread --out spread.json        # on a card

Every layer is timed inside a decode: the graph with the layer's launches eleven times, less the graph with
them once, a tenth of it. So maps, styles and labels are a swap's, and waiting between launches counts. Then
whole swaps with each form. Every step is tried by itself, and the report is written after each.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.backends.cuda import swap as swaps
from e4s_engine.backends.cuda import tune
from e4s_engine.backends.plans import example
from e4s_engine.kernels import module
from e4s_engine.kernels.launch import Launch, Program, Tile
from e4s_engine.kernels.tiles import Block, Problem, Table
from e4s_engine.networks.rgi.config import ModelConfig

NEVER, LEAST = 1 << 30, 1024
# Least outputs of a layer whose map is spread; most outputs for patches: squares, pairs, phases.
FORMS = {
    "old": (NEVER, (0, 0, 0)),
    "spread": (LEAST, (0, 0, 0)),
    "new": (LEAST, (32, 64, 32)),
    "fused": (LEAST, (32, 64, 32)),  # layers spread their own maps
    "squares of 64": (LEAST, (64, 64, 32)),
    "phases of 64": (LEAST, (32, 64, 64)),
    "spread from 64": (4096, (32, 64, 32)),
    "cases": (1, (32, 64, 64)),
}
REPEATS = 10
STEPS = ("pictures", "layers", "tiles", "swaps", "encodes", "cases")
SIDES = (  # rows, columns, warps, stages, first-level cache
    (256, 128, 8, 3, True), (128, 256, 8, 3, True), (128, 256, 8, 4, True), (128, 128, 8, 3, True),
    (128, 128, 4, 3, True), (128, 128, 4, 4, True), (64, 256, 4, 3, True), (256, 64, 8, 3, True),
    (64, 128, 4, 4, True), (256, 128, 8, 3, False), (256, 128, 8, 4, True),
)  # fmt: skip

ROWS = (  # the same for patches, whose columns are given
    (128, 8, 3, False), (128, 8, 3, True), (128, 4, 3, True), (128, 4, 3, False), (256, 8, 3, True),
    (256, 8, 3, False), (128, 8, 2, True), (64, 4, 3, True),
)  # fmt: skip

Report = dict[str, Any]


def form(name: str) -> None:
    """Choose the kernels' forms."""
    module("spread").LEAST, limits = FORMS[name]
    module("spread").FUSED = name == "fused"
    patches = module("patches")
    patches.LEAST = 1 if name == "cases" else 4096
    patches.SQUARES, patches.PAIRS, patches.PHASES = limits


def program_of(table: Table, name: str, batch: int = 1) -> Program:
    """Return a decode's launches."""
    form(name)
    return Program(example(ModelConfig(), "decode", "bf16", batch), table=table)


def layers(program: Program) -> dict[int, list[Launch]]:
    """Return the launches of each large modulated layer, without those on labels, by step."""
    found: dict[int, list[Launch]] = {}
    for launch, step in zip(program.launches, program.steps, strict=True):
        small = launch.kernel in ("spread.nearby", "spread.codes")
        y = program.views[step.buffers["y"]]
        if step.kind == "regional_conv" and y.pixels >= LEAST and not small:
            found.setdefault(program.plan.steps.index(step), []).append(launch)
    return found


def name_of(program: Program, index: int) -> str:
    """Return a layer's name."""
    step = program.plan.steps[index]
    x, y = (program.views[step.buffers[n]] for n in "xy")
    return f"{x.c}x{y.c} {x.h}" + (f" to {y.h}" if y.h != x.h else "")


def problem_of(launches: list[Launch]) -> Problem:
    """Return a layer's product."""
    return next(launch.problem for launch in launches if launch.problem is not None)


def candidates(problem: Problem) -> Iterator[Block]:
    """Yield tiles of a layer to measure."""
    if problem.kernel == "patches":
        for m, warps, stages, cached in ROWS:
            if m * problem.columns <= 256 * 32 * warps // 2:
                yield Block(m, problem.columns, 64, Tile(warps, stages, cached))
    if problem.kernel != "spread":
        return
    for m, n, warps, stages, cached in SIDES:
        programs = problem.batch * problem.rows * problem.columns // (m * n)
        if n > problem.columns:
            continue
        for split in (1, 2, 4):
            if (programs * split >= 100 or split == 4) and (split == 1 or programs * split <= 260):
                yield Block(m, n, 64, Tile(warps, stages, cached), split)
                break


def encode_of(table: Table, batch: int) -> Program:
    """Return an encode's launches."""
    return Program(example(ModelConfig(), "encode", "bf16", batch), table=table)


def dense(program: Program) -> dict[Problem, list[list[Launch]]]:
    """Return the launches of each large 3 x 3 convolution, by product."""
    found: dict[Problem, list[list[Launch]]] = {}
    for index, launch in enumerate(program.launches):
        problem = launch.problem
        if problem is None or problem.taps != 9 or problem.depth < 128 or launch.constants["STRIDE"] != 1:
            continue
        after = program.launches[index + 1 : index + 2]
        finish = [a for a in after if a.kernel == "conv2d.finish" and launch.constants["SPLIT"] > 1]
        found.setdefault(problem, []).append([launch, *finish])
    return found


def dense_candidates(problem: Problem) -> Iterator[Block]:
    """Yield tiles of a dense convolution at batch 2 to measure: large ones, their depth split."""
    for m, n, warps, stages in ((128, 128, 8, 3), (128, 128, 4, 4), (128, 256, 8, 3), (256, 128, 8, 3),
                                (64, 256, 4, 3), (128, 64, 4, 4)):  # fmt: skip
        programs = problem.batch * max(problem.rows // m, 1) * (problem.columns // n)
        for split in (1, 2, 4, 8):
            if programs * split >= 100 and (split == 1 or programs * split <= 264):
                if n <= problem.columns and problem.depth % (64 * split) == 0:
                    yield Block(m, n, 64, Tile(warps, stages, True), split)
                break


def repeated(program: Program, chosen: list[Launch]) -> list[Launch]:
    """Return a program's launches with some of them, all of one layer, REPEATS times more."""
    last = max(i for i, launch in enumerate(program.launches) if any(launch is c for c in chosen))
    return [*program.launches[: last + 1], *(chosen * REPEATS), *program.launches[last + 1 :]]


def wanted(arch: int) -> Iterator[Launch]:
    """Yield every launch that a measurement needs."""
    from benchmarks.gpu_checks import TESTS

    table = tune.shipped(arch)
    for name in FORMS:
        yield from program_of(table, name).launches
    for launches in layers(program_of(table, "new")).values():
        problem = problem_of(launches)
        for block in candidates(problem):
            for name in ("new", "fused"):
                yield from program_of({**table, problem: block}, name).launches
    for batch in (1, 8):
        for name in ("old", "spread", "new", "fused"):
            form(name)
            yield from swaps.record(ModelConfig(), "bf16", batch, table).launches()
    for batch in (1, 2):
        yield from encode_of(table, batch).launches
    for problem in dense(encode_of(table, 2)):
        for block in dense_candidates(problem):
            yield from encode_of({**table, problem: block}, 2).launches
    sys.path.insert(0, str(TESTS))
    for case in _cases():
        from device_tools import program_of as of_case

        form("cases")
        yield from of_case(case, "bf16").launches


def _cases() -> list[Any]:
    from cases import CASES

    return [case for case in CASES if case.name.startswith(("regional-", "chain-"))]


def _table(best: Table) -> list[dict[str, Any]]:
    """Return tiles in the form of tiles_sm90.json."""
    return [{"problem": dataclasses.asdict(p), "block": dataclasses.asdict(b)} for p, b in best.items()]


class Measurement:
    """The steps of a run on a card."""

    def __init__(self, runs: int, flush: Callable[[], object]) -> None:
        from benchmarks import gpu_kernels
        from e4s_engine import _native
        from e4s_engine.backends.cuda.backend import Linker, run_program

        self.device = _native.CudaDevice(0)
        self.runs, self.flush = runs, flush
        self.table = tune.shipped(self.device.arch)
        self.model = gpu_kernels.models()[0]
        self.linker = Linker(self.device)
        self.images, self.labels = gpu_kernels.inputs(2)
        encode = Program(example(ModelConfig(), "encode", "bf16", 1), table=self.table)
        self.linker.add(encode, self.model.tensors)
        styles = run_program(self.linker, encode, [self.images[:1], self.labels[:1]])
        self.styles = np.ascontiguousarray(styles.reshape(1, -1, styles.shape[-1]))
        self.best: dict[Problem, Block] = {}

    def graph(
        self, program: Program, launches: list[Launch] | None = None, labels: Any = None
    ) -> tuple[Any, Any]:
        """Build and run a decode's graph; return it and its picture."""
        from e4s_engine.backends.cuda.backend import graph_of

        self.linker.add(program, self.model.tensors)
        graph = graph_of(self.linker, program, launches)
        buffer = program.plan.buffers[-1]
        picture = np.empty(buffer.shape, np.float32)
        graph.run({0: self.styles, 1: self.labels[1:] if labels is None else labels}, {2: picture})
        return graph, picture

    def time(self, graph: Any) -> float:
        """Return milliseconds of a replay."""
        graph.time(3)
        return statistics.median(float(graph.time(self.runs)) for _ in range(3))

    def layer(self, program: Program, chosen: list[Launch], once: float, labels: Any = None) -> float:
        """Return a layer's microseconds."""
        graph, _ = self.graph(program, repeated(program, chosen), labels)
        return 1000 * (self.time(graph) - once) / REPEATS

    def pictures(self, report: Report) -> None:
        """Compare both forms' pictures with each other and with the reference in fp32."""
        from e4s_engine.backends.reference import Reference
        from e4s_engine.testing.loaded import loaded
        from e4s_engine.testing.metrics import psnr

        dice = np.random.default_rng(1)
        reference = loaded(Reference("cuda:0", "fp32"), self.model)
        kinds = {
            "portrait": self.labels[1:],
            "one region": np.zeros_like(self.labels[1:]),
            "noise": dice.integers(0, 12, self.labels[1:].shape, dtype=np.uint8),
            "stripes": np.repeat(dice.integers(0, 12, (1, 512, 128), dtype=np.uint8), 4, axis=2),
        }
        for kind, labels in kinds.items():
            want = reference.run("rgi", "decode", self.styles, labels)
            for name in ("old", "spread", "new", "fused", "squares of 64", "phases of 64"):
                picture = self.graph(program_of(self.table, name), None, labels)[1]
                report[f"{kind}, {name}"] = float(psnr(picture, want))

    def layers(self, report: Report) -> None:
        """Time every layer in both forms with the tiles that each has now, and the passes of the new one."""
        for kind, labels in (("portrait", None), ("one region", np.zeros_like(self.labels[1:]))):
            for what in ("old", "new", "fused", "squares of 64", "phases of 64")[
                : 5 if labels is None else 3
            ]:
                program = program_of(self.table, what)
                once = self.time(self.graph(program, None, labels)[0])
                report[f"{kind} {what} decode ms"] = once
                for index, launches in layers(program).items():
                    narrow = "labels" not in program.plan.steps[index].buffers
                    if (what.endswith("64") and not narrow) or (kind == "one region" and narrow):
                        continue
                    row = report.setdefault(name_of(program, index), {})
                    self.flush()
                    row[f"{kind} {what}"] = self.layer(program, launches, once, labels)
                    if launches[0].kernel == "spread.spread" and labels is None:
                        row["spread alone"] = self.layer(program, launches[:1], once)

    def tiles(self, report: Report, seconds: float) -> None:
        """Time the new form's tiles on portraits, layer by layer."""
        end = time.monotonic() + seconds
        base = program_of(self.table, "new")
        for index, launches in reversed(layers(base).items()):
            problem, rows = problem_of(launches), dict[str, Any]()
            for block in candidates(problem):
                if time.monotonic() > end:
                    report["out of time"] = True
                    return
                key = f"{block.m}x{block.n} w{block.tile.warps} s{block.tile.stages}"
                key += f" /{block.split}" + ("" if block.tile.cached else " L2")
                try:
                    program = program_of({**self.table, problem: block}, "new")
                    once = self.time(self.graph(program)[0])
                    rows[key] = self.layer(program, layers(program)[index], once)
                except Exception as error:
                    rows[key] = f"{type(error).__name__}: {error}"[:200]
                    continue
                if rows[key] <= min(v for v in rows.values() if isinstance(v, float)):
                    self.best[problem] = block
                report[name_of(base, index)] = rows
                self.flush()
        report["table"] = _table(self.best)
        report["decode with the best ms"] = self.time(self.graph(program_of(self.mixed, "new"))[0])

    def encodes(self, report: Report, seconds: float = 25.0) -> None:
        """Time two encodes as parts of a graph, and as a batch of two with larger tiles."""
        from e4s_engine import _native
        from e4s_engine.backends.cuda import graph as graphs
        from e4s_engine.backends.cuda.backend import graph_of

        def time_of(program: Program, launches: list[Launch] | None = None) -> float:
            self.linker.add(program, self.model.tensors)
            return self.time(graph_of(self.linker, program, launches))

        one = encode_of(self.table, 1)
        report["one ms"] = time_of(one)
        sizes = [v.bytes for v, b in zip(one.views, one.plan.buffers, strict=False) if b.external >= 0]
        numbering = (self.linker.kernel, self.linker.weight)
        count = len(sizes)
        parts = [graphs.part(one, {i: first + i for i in range(count)}, numbering) for first in (0, count)]
        report["two parts ms"] = self.time(_native.CudaGraph(self.device, [*sizes, *sizes], parts))
        report["batch of two ms"] = time_of(encode_of(self.table, 2))
        best: dict[Problem, Block] = {}
        end = time.monotonic() + seconds
        for problem, layers in dense(encode_of(self.table, 2)).items():
            rows = report.setdefault(f"{problem.depth}x{problem.columns} {problem.rows} ({len(layers)})", {})
            for block in (None, *dense_candidates(problem)):
                if time.monotonic() > end:
                    break
                key = f"{block.m}x{block.n} w{block.tile.warps} /{block.split}" if block else "shipped"
                self.flush()
                try:
                    program = encode_of({**self.table, problem: block} if block else self.table, 2)
                    chosen = dense(program)[problem][0]
                    rows[key] = (
                        1000 * (time_of(program, repeated(program, chosen)) - time_of(program)) / REPEATS
                    )
                    if block and rows[key] <= min(v for v in rows.values() if isinstance(v, float)):
                        best[problem] = block
                except Exception as error:
                    rows[key] = f"{type(error).__name__}: {error}"[:200]
        report["table"] = _table(best)
        report["batch of two, best tiles ms"] = time_of(encode_of({**self.table, **best}, 2))

    @property
    def mixed(self) -> dict[Problem, Block]:
        """Return the shipped tiles and the best ones found."""
        return {**self.table, **self.best}

    def swaps(self, report: Report) -> None:
        """Time whole swaps of portraits."""
        from benchmarks.gpu_times import set_portraits
        from e4s_engine.backends.cuda.backend import swap_graph

        for batch in (1, 8):
            pictures: dict[str, Any] = {}
            for what, name, table in (
                ("old", "old", self.table), ("spread", "spread", self.table), ("new", "new", self.table),
                ("fused", "fused", self.table),
                ("new, best tiles", "new", self.mixed), ("fused, best tiles", "fused", self.mixed),
                ("from 64", "spread from 64", self.mixed),
                ("old again", "old", self.table),
            ):  # fmt: skip
                try:
                    form(name)
                    swap = swaps.record(self.model.config, "bf16", batch, table)
                    self.linker.add(swap, self.model.tensors)
                    graph = swap_graph(self.linker, swap)
                    set_portraits(graph, batch)
                    out = np.empty((batch, 1024, 1024, 3), np.uint8)
                    graph.run({}, {swaps.SLOTS.index("picture"): out})
                    pictures[what] = out.astype(np.float32)
                    self.flush()
                    away = float(np.abs(out - pictures["old"]).mean())
                    report[f"{what}, batch {batch}"] = {"ms": self.time(graph), "mean 8-bit difference": away}
                except Exception as error:
                    report[f"{what}, batch {batch}"] = f"{type(error).__name__}: {error}"[:300]

    def cases(self, report: Report) -> None:
        """Check the tests' cases of regional layers on the card, all spread."""
        from benchmarks.gpu_checks import TESTS

        sys.path.insert(0, str(TESTS))
        from device_tools import error_of
        from native_tools import expected

        form("cases")
        errors = {case.name: error_of(self.device, case, "bf16", expected(case))[0] for case in _cases()}
        report |= {"worst": max(errors.values()), "errors": errors}


def main() -> int:
    """Compile, or measure; returns the exit status."""
    parser = argparse.ArgumentParser(description="Time regional convolutions over spread maps.")
    parser.add_argument("--out", type=Path, default=Path("spread.json"))
    parser.add_argument("--compile", action="store_true", help="only compile")
    parser.add_argument("--arch", type=int, default=90)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--steps", nargs="+", default=STEPS, choices=STEPS)
    parser.add_argument("--seconds", type=float, default=150.0, help="start no step after these")
    parser.add_argument("--tiles", type=float, default=45.0, help="seconds for the tiles")
    options = parser.parse_args()
    if options.compile:
        kernels = compiling.distinct(wanted(options.arch), options.arch)
        for number, manifest in enumerate(compiling.warm(kernels.values(), options.arch, options.jobs), 1):
            if manifest["spills"] or number % 50 == 0:
                print(number, len(kernels), manifest["kernel"], manifest["registers"], manifest["spills"],
                      manifest["constants"], flush=True)  # fmt: skip
        return 0
    report: Report = {"failures": []}
    begin = start = time.perf_counter()
    measure = Measurement(options.runs, lambda: options.out.write_text(json.dumps(report, indent=1)))
    report["card"] = measure.device.name
    report["start s"] = time.perf_counter() - start
    steps: dict[str, Callable[[Report], None]] = {
        "pictures": measure.pictures,
        "layers": measure.layers,
        "tiles": lambda part: measure.tiles(part, options.tiles),
        "swaps": measure.swaps,
        "encodes": measure.encodes,
        "cases": measure.cases,
    }
    for name, step in steps.items():
        if name not in options.steps or time.perf_counter() - begin > options.seconds:
            report["failures"].append(f"{name}: left out")
            continue
        report[name] = {}
        start = time.perf_counter()
        try:
            step(report[name])
        except Exception as error:
            traceback.print_exc()
            report["failures"].append(f"{name}: {type(error).__name__}: {error}"[:500])
        report[f"{name} s"] = time.perf_counter() - start
        measure.flush()
        print(json.dumps({name: report[name]}), flush=True)
    return 1 if report["failures"] else 0


if __name__ == "__main__":
    os.environ.setdefault("E4S_CACHE", "out/cubins")
    sys.exit(main())
