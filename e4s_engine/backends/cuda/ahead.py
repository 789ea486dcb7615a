"""Kernels of the published networks, compiled ahead of time.

    python -m e4s_engine.backends.cuda.ahead --arch 80 90

They are those that an engine runs on a card of each architecture: in its precisions, with the tiles that ship
for it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from e4s_engine.backends.cuda import compile as compiling
from e4s_engine.backends.cuda import measured, swap, workers
from e4s_engine.backends.plans import example
from e4s_engine.kernels import tiles
from e4s_engine.kernels.launch import Launch, Program
from e4s_engine.networks import registry
from e4s_engine.networks.bisenet.config import ParserConfig
from e4s_engine.networks.rgi.config import ModelConfig


def programs(precision: str, arch: int, batch: int = 1) -> Iterator[Program]:
    """Yield the programs of the networks of a published swap."""
    table = measured.shipped(arch)
    for config in (ModelConfig(), ParserConfig()):
        for name, function in registry.of(config).functions.items():
            yield Program(example(config, name, function.on_cuda(precision), batch), table=table)


def launches(precision: str, arch: int, batch: int = 1) -> list[Launch]:
    """Return all launches of the published model: its networks one by one, and a swap as one graph."""
    stages = [launch for program in programs(precision, arch, batch) for launch in program.launches]
    return stages + swap.record(ModelConfig(), precision, batch, measured.shipped(arch)).launches()


def may_spill(launch: Launch, arch: int) -> bool:
    """Return whether a launch has a measured tile, which was the fastest whatever it spills."""
    return launch.problem is not None and tiles.known(launch.problem, measured.shipped(arch)) is not None


def main(arguments: list[str] | None = None) -> int:
    """Compile a published model's kernels ahead of time; the exit status is 1 if a default tile spills."""
    name = "python -m e4s_engine.backends.cuda.ahead"
    parser = argparse.ArgumentParser(prog=name, description=main.__doc__)
    parser.add_argument(
        "--arch", type=int, nargs="+", default=[90], help="compute capabilities, such as 80 90"
    )
    parser.add_argument("--precision", nargs="+", default=["bf16"], choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--jobs", type=int, default=workers.cores(), help="processes that compile")
    parser.add_argument("--only", default="", help="kernels whose name begins so")
    parser.add_argument("--json", action="store_true", help="print one object per kernel")
    options = parser.parse_args(arguments)
    spilled = 0
    for precision in options.precision:
        for arch in options.arch:
            named = compiling.distinct(launches(precision, arch), arch)
            kernels = [launch for launch in named.values() if launch.kernel.startswith(options.only)]
            start = time.perf_counter()
            manifests = workers.warm(kernels, arch, options.jobs)
            for number, (launch, manifest) in enumerate(zip(kernels, manifests, strict=True), 1):
                spilled += manifest["spills"] > 0 and not may_spill(launch, arch)
                _report(manifest, options.json, f"{number}/{len(kernels)}")
            seconds = time.perf_counter() - start
            print(f"sm_{arch} {precision}: {len(kernels)} kernels in {seconds:.0f} s", file=sys.stderr)
    return 1 if spilled else 0


def _report(manifest: dict[str, Any], as_json: bool, number: str) -> None:
    if as_json:
        print(json.dumps(manifest, sort_keys=True))
        return
    sizes = {k: v for k, v in manifest["constants"].items() if k.startswith("BLOCK")}
    print(
        f"{number:<8}{manifest['kernel']:<30}{manifest['registers']:4d} registers "
        f"{manifest['spills']:5d} spilled {manifest['shared']:7d} shared "
        f"{manifest['warps']} warps {manifest['stages']} stages {sizes}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
