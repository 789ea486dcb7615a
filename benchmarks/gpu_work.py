"""Count what the kernels of an encode and a decode have to do, from their launches: no GPU is needed.

    python -m benchmarks.gpu_work

with all forms that steps may take (`kernels/tiles.py`: FORMS), and without each: launches, GFLOP that the
matrix products multiply, repetitions and products with zeros included, and MB of operands that their tiles
load, which mostly come from the second-level cache. Rows at borders are those that a portrait asks for.
"""

from __future__ import annotations

import argparse
import itertools
from typing import Any

import numpy as np

from e4s_engine.backends.cuda import measured
from e4s_engine.backends.plans import example
from e4s_engine.kernels import tiles
from e4s_engine.kernels.launch import SIZES, Launch, Program, blocks
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.regions import COUNT as REGIONS
from e4s_engine.regions import resize_nearest
from e4s_engine.testing.portraits import portrait


def rows_asked(labels: Any, side: int) -> int:
    """Return the rows of `kernels/seams.py` that labels ask for at a layer that upsamples from `side`."""
    wide = 2 * side
    bits = 1 << resize_nearest(labels, wide).astype(np.int64)
    near = np.zeros((side + 1, side + 1), np.int64)
    around = np.pad(bits, 4)
    for down, along in itertools.product(range(-2, 3), repeat=2):
        near |= around[4 + down :: 2, 4 + along :: 2][: side + 1, : side + 1]
    return sum(int(((near >> region) & 1).sum()) for region in range(REGIONS))


def product(launch: Launch, labels: Any) -> tuple[float, float]:
    """Return GFLOP and MB of operands of a launch with a matrix product."""
    problem, sizes = launch.problem, launch.constants
    assert problem is not None
    m, k = sizes["BLOCK_M"], sizes["BLOCK_K"]
    n = sizes.get("BLOCK_N") or sizes["TALL"] * sizes["WIDE"] * sizes["PADDED"]
    down = [launch.grid[0]] * launch.grid[1]
    if launch.kernel == "patches.patches":
        steps = [sizes["ROWS"] * sizes["COLUMNS"] * sizes["DEPTH"] // k]
    elif launch.kernel == "transposed.transposed":
        if launch.pointers["count"] is not None:
            down = [blocks(rows_asked(labels, sizes["H"]), m)] * launch.grid[1]
        parities = [column * n // sizes["PADDED"] for column in range(launch.grid[1])]
        steps = [(2 - parity // 2) * (2 - parity % 2) * sizes["DEPTH"] // k for parity in parities]
    else:
        steps = [blocks(problem.taps * problem.depth // sizes.get("SPLIT", 1), k)] * launch.grid[1]
    count = launch.programs[2] * sum(one * many for one, many in zip(steps, itertools.cycle(down)))
    return 2 * m * n * k * count / 1e9, (m + n) * k * SIZES[problem.kind] * count / 1e6


def counted(function: str, refused: str, arch: int, batch: int) -> tuple[int, float, float]:
    """Return launches, GFLOP and MB of one function of the published generator in bf16 without a form."""
    table = measured.shipped(arch)
    plan = example(ModelConfig(), function, "bf16", batch)
    found = {one.problem for one in Program(plan, table=table).launches if one.problem}
    table |= dict.fromkeys(problem for problem in found if problem.kernel == refused)
    program = Program(plan, table=table)
    work = [product(launch, portrait(0)[1]) for launch in program.launches if launch.problem]
    return len(program.launches), sum(flop for flop, _ in work), sum(mb for _, mb in work)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Count the work of the CUDA engine's kernels.")
    parser.add_argument("--arch", type=int, default=90, help="whose measured tiles are taken")
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    for function in ("encode", "decode"):
        seen = set()
        for refused in ("", *tiles.FORMS):
            found = counted(function, refused, options.arch, options.batch)
            if found not in seen:  # the function has this form
                name = f"{function} without {refused}" if refused else function
                print("{:24}{:4} launches {:8.1f} GFLOP {:8.0f} MB of operands".format(name, *found))
            seen.add(found)


if __name__ == "__main__":
    main()
