"""Times of the CUDA engine and of PyTorch on a GPU, for `benchmarks.gpu`."""

from __future__ import annotations

import argparse
import functools
import itertools
import statistics
from typing import Any

import numpy as np

from benchmarks import gpu_kernels
from e4s_engine import regions
from e4s_engine.backends import WHOLE
from e4s_engine.backends.cuda import measured, tune
from e4s_engine.backends.cuda import swap as swaps
from e4s_engine.backends.cuda.backend import Linker, swap_graph
from e4s_engine.kernels.tiles import FORMS
from e4s_engine.pipeline import compose
from e4s_engine.testing.loaded import loaded


def tiles(options: argparse.Namespace) -> dict[str, Any]:
    """Tune tiles for one precision at batch 1, and store them in the cache."""
    wanted = ["--seconds", str(options.tune), "--precision", options.precisions[0]]
    return {"status": tune.main(wanted) if options.tune > 0 else None}


def stages(options: argparse.Namespace) -> dict[str, Any]:
    """Time graph replays on portraits in milliseconds: medians of rounds, by precision, stage and batch."""
    from e4s_engine.backends.cuda.backend import Cuda

    model, parser = gpu_kernels.models()
    times: dict[str, Any] = {}
    for precision in options.precisions:
        backend = loaded(Cuda("cuda:0", precision), model, parser)
        for batch in options.batches:
            pictures, labels = gpu_kernels.inputs(batch)
            styles = np.ones((batch, regions.COUNT, model.config.style_dim), np.float32)
            for network, stage, arrays in (
                ("rgi", "encode", [pictures, labels]),
                ("rgi", "decode", [styles, labels]),
                ("parser", "parse", [pictures]),
            ):
                backend.time(network, stage, arrays, 3)
                rounds = [backend.time(network, stage, arrays, options.runs) for _ in range(5)]
                times[f"{precision} {stage} {batch}"] = statistics.median(rounds)
    return times


KINDS = ("pixels", "labels")

# Swaps that are timed: what they give, and whether both faces were encoded before. The last are sliders.
SWAPS: dict[str, tuple[tuple[int, ...] | None, bool]] = {
    "": (None, False),
    "eyes": ((regions.EYES,), False),
    "face, encoded": (None, True),
    "eyes, encoded": ((regions.EYES,), True),
    "hair, encoded": ((regions.HAIR,), True),
}


def fused_swaps(device: Any, options: argparse.Namespace) -> dict[str, float]:
    """Time fused swaps of aligned crops in milliseconds, 8-bit in and out, by precision, batch and regions.

    "full" generates the whole face, the others what they paste.
    """
    model, _ = gpu_kernels.models()
    table = measured.shipped(device.arch) | measured.load(device.name)
    times = {}
    for precision in options.precisions:
        linker = Linker(device)
        for batch in options.batches:
            for encoded in (False, True):
                recipe = swaps.Recipe(int(encoded), kept=encoded)
                swap = swaps.record(model.config, precision, batch, table, recipe)
                linker.add(swap, model.tensors)
                graph = swap_graph(linker, swap)
                asked = {name: given for name, (given, before) in SWAPS.items() if before == encoded}
                for name, given in asked.items():
                    set_portraits(graph, batch, recipe, given)
                    times[f"{precision} {batch} {name}".strip()] = _graph_ms(graph, options)
                set_portraits(graph, batch, recipe, reach=WHOLE)
                full = "full, encoded" if encoded else "full"
                times[f"{precision} {batch} {full}"] = _graph_ms(graph, options)
    return times


def forms(device: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Time fused swaps of portraits without each form that steps may take (`tiles.FORMS`), and with all.

    Forms that the card's table refuses are asked for as well. In milliseconds, by precision, batch and what
    is left out.
    """
    model, _ = gpu_kernels.models()
    table = measured.shipped(device.arch) | measured.load(device.name)
    table = {problem: block for problem, block in table.items() if block is not None}
    report: dict[str, Any] = {}
    for precision, batch in itertools.product(options.precisions, options.batches):
        linker, recipe = Linker(device), swaps.Recipe()
        swap = swaps.record(model.config, precision, batch, table, recipe)
        taken = {one.problem for one in swap.launches() if one.problem and one.problem.kernel in FORMS}
        for without in ("", *FORMS):
            refused = {problem: None for problem in taken if problem.kernel == without}
            swap = swaps.record(model.config, precision, batch, {**table, **refused}, recipe)
            linker.add(swap, model.tensors)
            graph = swap_graph(linker, swap)
            set_portraits(graph, batch, recipe)
            report[f"{precision} {batch} without {without or 'none'}"] = _graph_ms(graph, options)
    return report


def _graph_ms(graph: Any, options: argparse.Namespace) -> float:
    graph.time(3)
    return statistics.median(graph.time(options.runs) for _ in range(5))


def set_portraits(
    graph: Any,
    batch: int,
    recipe: swaps.Recipe,
    given: tuple[int, ...] | None = None,
    reach: int = 0,
) -> None:
    """Fill the inputs of a swap's graph: labels of zeros would put every tile into one region."""
    sources, targets = gpu_kernels.inputs(batch), gpu_kernels.inputs(batch, first=1)
    people = zip(("source", "target"), (sources, targets), strict=True)
    arrays = {f"{who}_{what}": one for who, pair in people for what, one in zip(KINDS, pair, strict=True)}
    arrays["chosen"] = np.stack([compose.request(given, labels) for labels in sources[1]])
    arrays["settings"] = np.ones((batch, len(compose.SETTINGS)), np.float32)
    arrays["reach"] = np.full(batch, reach, np.int32)
    slot = swaps.SLOTS.index
    graph.run({slot(name): arrays[name] for name in recipe.inputs if name in arrays}, {})


def kernels(device: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Time every kernel alone: see `gpu_kernels.alone`."""
    return gpu_kernels.alone(device, options.precisions[0], options.runs)


def in_torch(options: argparse.Namespace) -> dict[str, Any]:
    """Time a swap's two encodes and its decode in PyTorch on the card: published, one pass, compiled.

    Weights are arguments of what is compiled, as constants they would be part of its guards; the limit of
    recompiles is above the number of different layers.
    """
    import torch
    import torch._dynamo

    from e4s_engine import ops
    from e4s_engine.networks.rgi import decode, encode

    model, _ = gpu_kernels.models()
    images, labels = (torch.from_numpy(a).cuda() for a in gpu_kernels.inputs(2))
    placed = {name: torch.from_numpy(t).cuda() for name, t in model.tensors.items()}
    limits = {"recompile_limit": 512, "cache_size_limit": 512, "accumulated_recompile_limit": 4096}
    for name, limit in limits.items():
        if hasattr(torch._dynamo.config, name):
            setattr(torch._dynamo.config, name, limit)

    def swap(form: Any, weights: Any, pictures: Any, maps: Any) -> Any:
        styles = encode.encode_pixels(form, pictures, maps, weights, model.config)
        return decode.decode(form, styles[:1], maps[:1], weights, model.config)

    times: dict[str, Any] = {}
    for name, form, tf32, dtype in (
        ("published fp32", ops.published, False, None),
        ("published tf32", ops.published, True, None),
        ("published fp16", ops.published, True, torch.float16),
        ("published fp16 compiled", ops.published, True, torch.float16),
        ("onepass fp16", ops.reference, True, torch.float16),
        ("onepass fp16 compiled", ops.reference, True, torch.float16),
    ):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        form_of: Any = functools.partial(swap, form)
        if "compiled" in name:
            torch._dynamo.reset()
            form_of = torch.compile(form_of, mode="reduce-overhead")
        run = functools.partial(form_of, placed, images, labels)
        enabled = dtype is not None
        try:
            with torch.inference_mode(), torch.autocast("cuda", dtype or torch.float16, enabled=enabled):
                times[name] = gpu_kernels.events(run, 3 if "published" in name else options.runs)
                if "compiled" in name:
                    failed = dict(torch._dynamo.utils.counters["graph_break"])
                    times[f"{name}, breaks"] = sum(failed.values())
        except Exception as error:  # a compiler's failure is a result, too
            times[name] = f"{type(error).__name__}: {error}"[:300]
    return times
