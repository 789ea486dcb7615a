"""Tuner that measures tiles on the installed card within a time limit, the costliest products first.

    python -m e4s_engine.backends.cuda.tune --seconds 300
    python -m e4s_engine.backends.cuda.tune --seconds 300 --networks recolor inpaint

Last, every form that a step may take in place of another (`tiles.FORMS`) is measured in the graph of its
whole network, on labels like a face's, against that other form.

The results are cached under the card's name and used by every engine on such a card; an engine never measures
by itself. Without names the networks of a swap are measured: the limit is soon spent on larger ones. Results
hold for one version of the kernels and of Triton; another version starts anew.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from e4s_engine.backends.cuda import ahead, measured
from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.errors import BackendError
from e4s_engine.kernels import tiles
from e4s_engine.kernels.launch import Launch, Program
from e4s_engine.kernels.tiles import Block, Problem, Table

logger = logging.getLogger("e4s_engine")

_NEAR = 1.0  # largest tiles.distance from the best tile so far to the next one to measure

Measure = Callable[[Problem, Block], float]  # milliseconds; raises BackendError if a tile cannot run
Whole = Callable[[Problem, Table], float]  # milliseconds of the network that has a product


def tune(
    problems: Iterable[Problem],
    measure: Measure,
    shared: int,
    seconds: float,
    found: dict[Problem, Block | None],
    clock: Callable[[], float] = time.monotonic,
) -> dict[Problem, tuple[float, float]]:
    """Add tiles that beat the defaults to `found`; return (default, best) milliseconds per product.

    shared: bytes of shared memory per program. The time limit applies between measurements, so results are
    always complete.
    """
    end = clock() + seconds
    before = {problem: measure(problem, tiles.default(problem)) for problem in problems}
    report: dict[Problem, tuple[float, float]] = {}
    for problem in sorted(before, key=lambda p: -before[p]):
        block, best = _climb(problem, before[problem], measure, shared, lambda: clock() >= end)
        if best < before[problem]:
            found[problem] = block
        report[problem] = before[problem], best
    return report


def _climb(
    problem: Problem, best: float, measure: Measure, shared: int, is_over: Callable[[], bool]
) -> tuple[Block, float]:
    """Climb from the default to better neighbours until none is left; return (tile, milliseconds)."""
    block = tiles.default(problem)
    left = [other for other in tiles.candidates(problem, shared) if other != block]
    while not is_over():
        near = [other for other in left if tiles.distance(other, block) <= _NEAR]
        if not near:
            break
        left.remove(near[0])
        try:
            spent = measure(problem, near[0])
        except BackendError as error:  # for example too much shared memory: the next tile may fit
            logger.debug("tiles: %s: %s", near[0], error)
            continue
        if spent < best:
            block, best = near[0], spent
    return block, best


def choose_forms(
    problems: Iterable[Problem], whole: Whole, shipped: Table, found: dict[Problem, Block | None]
) -> dict[Problem, tuple[float, float]]:
    """Refuse forms in `found` that are slower; return milliseconds of their networks (with, without)."""
    report: dict[Problem, tuple[float, float]] = {}
    for problem in problems:
        if problem.kernel not in tiles.FORMS:
            continue
        taken = {**shipped, **found}
        if taken.get(problem, True) is None:
            taken.pop(problem)
        report[problem] = whole(problem, taken), whole(problem, {**taken, problem: None})
        if report[problem][1] < report[problem][0]:
            found[problem] = None
        elif found.get(problem, True) is None:
            found.pop(problem)
    return report


def owned(
    kinds: Sequence[str], precisions: Sequence[str], batches: Sequence[int], arch: int
) -> list[tuple[Program, Any]]:
    """Return the programs of some networks with random arrays; those around the swap run single pictures.

    A network of several sizes has its default one: a linker knows weights by network and name.
    """
    from e4s_engine import weights
    from e4s_engine.networks import registry

    owners = []
    for kind in kinds:
        config = registry.get(kind).config()
        arrays = weights.random_model(config).tensors
        for precision in precisions:
            for batch in batches if config in ahead.PUBLISHED else (1,):
                owners += [(one, arrays) for one in ahead.programs(precision, arch, batch, [config])]
    return owners


def faces(program: Program) -> dict[int, Any]:
    """Return pictures and labels for a program's inputs, by number: rings, with as long borders as a face.

    Labels of zeros, which inputs hold before, would put every tile into one region.
    """
    import numpy as np

    found = {}
    for buffer in [b for b in program.plan.buffers if b.external >= 0][:-1]:
        batch, height, width, channels = buffer.shape
        if buffer.type != "u8":
            continue
        rows, columns = np.indices((height, width)) / np.array([height, width]).reshape(2, 1, 1) - 0.5
        ring = np.minimum(np.hypot(rows, columns) * 9, 4).astype(np.uint8)
        found[buffer.external] = np.broadcast_to(ring[..., None], (batch, height, width, channels)).copy()
    return found


class OnDevice:
    """Measurement of tiles by the device's own events, each product in the first layer that has it."""

    def __init__(self, linker: Any, owners: list[tuple[Program, Any]], runs: int) -> None:
        """Collect the products of programs. owners: programs with their models' arrays."""
        self._linker, self._runs = linker, runs
        self._places: dict[Problem, tuple[Program, int, Any]] = {}
        for program, arrays in owners:
            for index, launch in enumerate(program.launches):
                if launch.problem is not None:
                    self._places.setdefault(launch.problem, (program, index, arrays))

    @property
    def problems(self) -> list[Problem]:
        """Return every product of the programs."""
        return list(self._places)

    def launch(self, problem: Problem, block: Block) -> tuple[Program, Launch]:
        """Return a program with this tile for the product, and the product's launch in it."""
        program, index, _ = self._places[problem]
        other = Program(program.plan, program.precision, {problem: block})
        return other, other.launches[index]

    def whole(self, problem: Problem, table: Table) -> float:
        """Return the milliseconds of the network that has a product, on labels like a face's."""
        from e4s_engine.backends.cuda.backend import graph_of

        before, _, arrays = self._places[problem]
        program = Program(before.plan, before.precision, table)
        self._linker.add(program, arrays)
        graph = graph_of(self._linker, program)
        graph.run(faces(program), {})
        graph.time(2)
        return min(float(graph.time(self._runs)) for _ in range(3))

    def __call__(self, problem: Problem, block: Block) -> float:
        """Return the milliseconds of a product's step with this tile: parts of a depth are summed as well."""
        from e4s_engine.backends.cuda.backend import graph_of

        program, launch = self.launch(problem, block)
        self._linker.add(program, self._places[problem][2])
        by_step = list(zip(program.launches, program.steps, strict=True))
        own = next(step for one, step in by_step if one is launch)
        graph = graph_of(self._linker, program, [one for one, step in by_step if step is own])
        graph.time(2)
        return min(float(graph.time(self._runs)) for _ in range(3))


def main(arguments: list[str] | None = None) -> int:
    """Measure tiles for published networks on this machine's GPU."""
    from e4s_engine import _native
    from e4s_engine.backends.cuda.backend import Linker
    from e4s_engine.networks import registry

    parser = argparse.ArgumentParser(prog="python -m e4s_engine.backends.cuda.tune", description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=300.0, help="how long to look, after the defaults")
    parser.add_argument("--device", type=int, default=0, help="the card's number")
    parser.add_argument("--precision", nargs="+", default=["bf16"], choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1], help="swaps at once")
    parser.add_argument(
        "--networks",
        nargs="+",
        default=[registry.kind_of(config) for config in ahead.PUBLISHED],
        choices=ahead.KINDS,
        help="networks; default: %(default)s",
    )
    parser.add_argument("--runs", type=int, default=20, help="replays per measurement")
    options = parser.parse_args(arguments)
    try:
        device = _native.CudaDevice(options.device)
    except BackendError as error:
        print(f"tune: {error}", file=sys.stderr)
        return 2
    owners = owned(options.networks, options.precision, options.batches, device.arch)
    measure = OnDevice(Linker(device), owners, options.runs)
    table = measured.load(device.name)
    shared = compiling.SHARED_LIMIT.get(device.arch, min(compiling.SHARED_LIMIT.values()))
    try:
        report = tune(measure.problems, measure, shared, options.seconds, table)
        forms = choose_forms(measure.problems, measure.whole, measured.shipped(device.arch), table)
    finally:
        measured.save(device.name, table)
    for problem, (old, new) in sorted(report.items(), key=lambda entry: -entry[1][0]):
        print(f"{old:8.4f} -> {new:8.4f} ms  {problem}  {table.get(problem, 'default')}")
    for problem, (with_it, without) in forms.items():
        print(f"{with_it:8.4f} ms with, {without:8.4f} without  {problem}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
