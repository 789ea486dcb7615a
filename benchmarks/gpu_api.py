"""Times of public calls on a GPU, for `benchmarks.gpu`: what a user waits for, and the host's part of it."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks import gpu_kernels
from e4s_engine import regions
from e4s_engine.backends import Ask, Given
from e4s_engine.engine import Engine
from e4s_engine.pipeline import compose, stages

BATCHES, THREADS = (8, 32), 8
_LEAST = 5  # calls, at least


def calls(options: argparse.Namespace) -> dict[str, Any]:
    """Time public calls of a published model with random weights, and of the demo model with its parser.

    Milliseconds are medians per swap. graph_ms: the same swap's graph alone, by the device's events. host_ms:
    what a swap with pictures in main memory takes beyond that, and in `stages_ms` where.
    """
    model, _ = gpu_kernels.models()
    common: dict[str, Any] = {"device": "cuda", "backend": "native", "landmarks": None}
    with _opened(lambda: Engine(model, parser=None, **common)) as (engine, ready):
        report = {"1024": {"ready_s": ready} | _swaps(engine, options.runs)}
    with _opened(lambda: Engine(**common)) as (engine, ready):
        report["demo 256"] = {"ready_s": ready} | _swaps(engine, options.runs) | _parses(engine, options.runs)
    return report


@contextmanager
def _opened(make: Callable[[], Engine]) -> Iterator[tuple[Engine, float]]:
    """Make an engine; yield it, and the seconds that it took."""
    start = time.perf_counter()
    with make() as engine:
        yield engine, round(time.perf_counter() - start, 2)


def _swaps(engine: Engine, runs: int) -> dict[str, Any]:
    (source, target), (given, kept) = gpu_kernels.inputs(2)
    known: dict[str, Any] = {"source_labels": given, "target_labels": kept}
    face, photo = engine.encode(source, given), engine.encode(target, kept, keep_photo=True)
    here = [_on_card(picture) for picture in (source, target)]
    eyes = {"eyes": source, "nose": face}
    some: dict[str, Any] = {"source_labels": {"eyes": given}, "target_labels": kept}
    timed: dict[str, Callable[[], Any]] = {
        "swap": lambda: engine.swap(source, target, **known),
        "swap of some regions": lambda: engine.swap(source, target, ["eyes", "nose"], **known),
        "on the card": lambda: engine.swap(*here, **known),
        "cached face": lambda: engine.swap(face, target, target_labels=kept),
        "cached face, on the card": lambda: engine.swap(face, here[1], target_labels=kept),
        "both encoded": lambda: engine.swap(face, photo),
        "both encoded, eyes": lambda: engine.swap(face, photo, ["eyes"]),
        "both encoded, eyes, matched nose": lambda: engine.swap(face, photo, ["eyes", "nose"]),
        "full face": lambda: engine.swap(source, target, full_face=True, **known),
        "two sources": lambda: engine.swap(eyes, target, **some),
        "half of the texture": lambda: engine.swap(source, target, extent=0.5, **known),
        "multi-band": lambda: engine.swap(source, target, blend="multiband", **known),
    }
    report: dict[str, Any] = {"precision": engine.precision}
    start = time.perf_counter()
    timed["swap"]()
    report["first_swap_s"] = round(time.perf_counter() - start, 2)
    report["ms"] = {name: _median(call, 3 if name == "multi-band" else runs) for name, call in timed.items()}
    for batch in BATCHES:
        report["ms"][f"batch of {batch}"] = _median(_batch(engine, batch), _LEAST) / batch
    report["ms"][f"{THREADS} threads"] = _threads(timed["swap"], 12)
    report["graph_ms"] = _graph(engine, runs)
    report["host_ms"] = report["ms"]["swap"] - report["graph_ms"]
    report["stages_ms"] = _stages(timed["swap"], runs)
    report["swaps_per_s"] = {name: 1000 / ms for name, ms in report["ms"].items()}
    return report


def _parses(engine: Engine, runs: int) -> dict[str, Any]:
    picture = gpu_kernels.inputs(1)[0][0]
    return {"parse_ms": _median(lambda: engine.parse(picture, align=False), runs)}


def _on_card(picture: Any) -> Any:
    import torch

    return torch.from_numpy(picture).cuda()


def _median(call: Callable[[], Any], runs: int) -> float:
    """Return the median milliseconds of a call, after two that warm up."""
    times = []
    for _ in range(max(runs, _LEAST) + 2):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[2:])


def _batch(engine: Engine, batch: int) -> Callable[[], Any]:
    """Return a call with pictures of their own for every swap."""
    (sources, given), (targets, kept) = gpu_kernels.inputs(batch), gpu_kernels.inputs(batch, first=1)
    known: dict[str, Any] = {"source_labels": list(given), "target_labels": list(kept)}
    return lambda: engine.swap_batch(list(sources), list(targets), **known)


def _threads(call: Callable[[], Any], each: int) -> float:
    """Return milliseconds per swap of several threads with a swap each at a time."""
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda _: call(), range(2 * THREADS)))
        start = time.perf_counter()
        list(pool.map(lambda _: call(), range(each * THREADS)))
    return 1000 * (time.perf_counter() - start) / (each * THREADS)


def _graph(engine: Engine, runs: int) -> float:
    """Return milliseconds of the graph that `swap` replays."""
    from e4s_engine.backends.cuda.swap import Recipe

    assert engine._pipeline is not None
    backend: Any = engine._pipeline.backend
    pictures, labels = gpu_kernels.inputs(2)
    lit = engine._pipeline.lights is not None
    flags, settings = np.full((1, regions.COUNT), 2, np.uint8), np.ones(len(compose.SETTINGS), np.float32)
    given = Given(labels[0], pictures[0])
    backend.swapper.swap([Ask((given,), pictures[1], labels[1], flags, settings, lit)])  # leaves its inputs
    with backend.swap_graph(Recipe(0, lit), 1) as bound:
        return statistics.median(bound.graph.time(runs) for _ in range(5))


def _stages(call: Callable[[], Any], runs: int) -> dict[str, float]:
    """Return the median milliseconds of every stage; "rest" is what lies in none."""
    rounds = []
    for _ in range(max(runs, _LEAST)):
        with stages.timed() as times:
            call()
        rounds.append(dict(times))
    medians = {name: 1000 * statistics.median(one[name] for one in rounds) for name in rounds[0]}
    medians["rest"] = 2 * medians["total"] - sum(medians.values())
    return medians
