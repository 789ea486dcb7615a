"""Measure what re-colouring and inpainting add to a swap of the official size, in turns in one process.

    python -m benchmarks.longer [--precision bf16] [--rounds 5] [--json]

Weights are random: times do not depend on them, but on the labels' parts, which are a rendered pair's; the
source's chin is cut off, so that there is a hole. "Seen" are swaps onto one target that was encoded before
and keeps its photo: its features were computed once. Seconds are medians; those of the processor count only
the time that this process ran, on all its threads, which other jobs on the machine disturb less.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from benchmarks import machine
from e4s_engine import Engine, regions, weights
from e4s_engine.networks.inpaint.config import InpaintConfig
from e4s_engine.networks.recolor.config import RecolorConfig
from e4s_engine.networks.rgi.config import ModelConfig
from e4s_engine.testing.portraits import portrait

Precision = Literal["fp32", "bf16"]

_CHIN = 390  # row of the label map from which the source shows no face
WAYS = {
    "plain": {"recolor": False, "inpaint": False},
    "re-coloured": {"recolor": True, "inpaint": False},
    "inpainted": {"recolor": False, "inpaint": True},
    "both": {"recolor": True, "inpaint": True},
}


def official(precision: Precision) -> Engine:
    """Return an engine over random weights of the official sizes."""
    with tempfile.TemporaryDirectory() as folder:
        for config in (ModelConfig(), RecolorConfig(), InpaintConfig()):
            weights.save(weights.random_model(config), Path(folder) / f"{type(config).__name__}.safetensors")
        engine = Engine(
            folder, backend="native", device="cpu", precision=precision, parser=None, landmarks=None
        )
        engine.swap(**pair(), recolor=True, inpaint=True)  # loads every network
    return engine


def pair() -> dict[str, Any]:
    """Return the arguments of a swap between two rendered people."""
    (source, own), (target, other) = (portrait(seed) for seed in (0, 1))
    own = own.copy()
    own[_CHIN:] = regions.BACKGROUND
    return {"source": source, "target": target, "source_labels": own, "target_labels": other, "align": False}


def cases(engine: Engine) -> dict[str, Callable[[], Any]]:
    """Return the swaps by name."""
    given = pair()
    seen = engine.encode(given["target"], given["target_labels"], align=False, keep_photo=True)
    onto = {"source": given["source"], "target": seen, "source_labels": given["source_labels"]}

    def swap(arguments: dict[str, Any], way: dict[str, Any]) -> Callable[[], Any]:
        return lambda: engine.swap(**arguments, **way)

    listed = {name: swap(given, way) for name, way in WAYS.items()}
    return listed | {f"{name}, seen": swap({**onto, "align": False}, way) for name, way in WAYS.items()}


def measure(precision: Precision, rounds: int) -> dict[str, dict[str, float]]:
    """Return medians of seconds and of the processor's, by case."""
    wall: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    with official(precision) as engine:
        listed = cases(engine)
        for number in range(rounds + 1):
            for name, run in listed.items():
                start, busy = time.perf_counter(), time.process_time()
                run()
                if number:  # the first round warms up
                    wall.setdefault(name, []).append(time.perf_counter() - start)
                    cpu.setdefault(name, []).append(time.process_time() - busy)
    return {
        name: {"seconds": statistics.median(wall[name]), "cpu_seconds": statistics.median(cpu[name])}
        for name in listed
    }


def main() -> None:
    """Run the benchmark from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    options = parser.parse_args()
    found = measure(options.precision, options.rounds)
    for name, times in found.items():
        base = found["plain, seen" if name.endswith("seen") else "plain"]
        more = [100 * (times[unit] / base[unit] - 1) for unit in ("seconds", "cpu_seconds")]
        print(
            f"{name:<20}{times['seconds']:8.3f} s ({more[0]:+.0f}%)"
            f"{times['cpu_seconds']:9.3f} s of the processor ({more[1]:+.0f}%)"
        )
    print(machine.describe())
    if options.json:
        print(json.dumps({"machine": machine.describe(), "precision": options.precision, "results": found}))


if __name__ == "__main__":
    main()
